// Every message of the configuration reader, word for word and with its place.

import Pipeline
import Testing

@testable import Server

private let replicationHead = "extensions: { replication: { destination: { bootstrapList: [\n"
private let replicationTail = "\n] }, source: { type: file, path: /src } } }"

private func locations(_ name: String, _ items: String, _ remarks: [String], capabilities: Capabilities = .everything)
  -> RemarkCase
{
  RemarkCase(
    name: name, text: replicationHead + items + replicationTail,
    remarks: remarks.map { "config.yaml:\($0)" }, capabilities: capabilities)
}

private let list = "extensions.replication.destination.bootstrapList"

@Suite struct ConfigurationRemarkTests {
  @Test(arguments: [
    RemarkCase(
      name: "broken YAML", text: "node: {id: a\nserver: {",
      remarks: ["config.yaml:2:7: error: did not find expected ',' or '}' (while parsing a flow mapping that starts at line 1)"]),
    RemarkCase(
      name: "a key twice", text: "log: {logLevel: info}\nlog: {logLevel: debug}",
      remarks: ["config.yaml:1:1: error: log: is given more than once"]),
    RemarkCase(
      name: "a list at the top", text: "- a\n",
      remarks: ["config.yaml:1:1: error: the file must hold fields at its top, not a list"]),
    RemarkCase(
      name: "two documents", text: "node: {id: a}\n---\nnode: {id: b}\n",
      remarks: [
        "config.yaml:2:1: error: but found another document (expected a single document in the stream that starts at line 1)"
      ]),
    RemarkCase(
      name: "a control character", text: "node: {id: a\u{1}b}",
      remarks: ["config.yaml:1:13: error: control characters are not allowed"]),
    RemarkCase(name: "an empty file is all defaults", text: "", remarks: []),
    RemarkCase(name: "comments only", text: "# nothing\n", remarks: []),
    RemarkCase(name: "null counts as absent", text: "server: { port: null }\nredis: ~\n", remarks: []),
  ]) func aFileThatIsNoConfigurationIsOneError(_ row: RemarkCase) { row.check() }

  @Test(arguments: [
    RemarkCase(
      name: "unknown", text: "color: red\n", remarks: ["config.yaml:1:8: note: color: unknown field, ignored"]),
    RemarkCase(
      name: "a likely slip", text: "sever: { port: 1 }\n",
      remarks: ["config.yaml:1:8: note: sever: unknown field, ignored (did you mean “server”?)"]),
    RemarkCase(
      name: "Backbeat's own", text: "vaultAdmin: { host: a, port: 1 }\nserver: { host: 1.2.3.4 }\n",
      remarks: [
        "config.yaml:1:13: note: vaultAdmin: not used by Downbeat", "config.yaml:2:17: note: server.host: not used by Downbeat",
      ]),
    RemarkCase(
      name: "an expiry that Redis does not have",
      text: "kafka: { hosts: \"127.0.0.1:9\" }\nzookeeper: { connectionString: \"127.0.0.1:9\" }\nredis: { host: 127.0.0.1, port: 9 }\n"
        + "extensions: { replication: { monitorReplicationFailureExpiryTimeS: 2678401 } }",
      remarks: [
        "config.yaml:4:68: note: extensions.replication.monitorReplicationFailureExpiryTimeS: in Redis a failure is listed for 31 days at most"
      ],
      embedded: false),
    RemarkCase(
      name: "the longest one it has",
      text: "kafka: { hosts: \"127.0.0.1:9\" }\nzookeeper: { connectionString: \"127.0.0.1:9\" }\nredis: { host: 127.0.0.1, port: 9 }\n"
        + "extensions: { replication: { monitorReplicationFailureExpiryTimeS: 2678400 } }",
      remarks: [], embedded: false),
    RemarkCase(
      name: "a directory lists failures for a year", text: "extensions: { replication: { monitorReplicationFailureExpiryTimeS: 31536000 } }",
      remarks: []),
  ]) func aFieldWithoutEffectIsANote(_ row: RemarkCase) { row.check() }

  @Test(arguments: [
    RemarkCase(
      name: "port out of range", text: "server:\n  port: 65536\n",
      remarks: ["config.yaml:2:9: error: server.port: must be a whole number from 0 to 65535, not “65536”"]),
    RemarkCase(
      name: "port in words", text: "server: { port: http }",
      remarks: ["config.yaml:1:17: error: server.port: must be a whole number from 0 to 65535, not “http”"]),
    RemarkCase(
      name: "a section instead of a number", text: "shutdownTimeoutS: { a: 1 }",
      remarks: ["config.yaml:1:19: error: shutdownTimeoutS: must be a whole number, not a section"]),
    RemarkCase(
      name: "text instead of a section", text: "server: 8900",
      remarks: ["config.yaml:1:9: error: server: must be a section, not text"]),
    RemarkCase(
      name: "a host name to bind", text: "server: { bindAddress: example.org }",
      remarks: ["config.yaml:1:24: error: server.bindAddress: must be an IP address or localhost, not “example.org”"]),
    RemarkCase(
      name: "allowFrom", text: "server: { healthChecks: { allowFrom: [10.0.0.0/33, 'fe80::/10', 300.1.1.1, {a: b}] } }",
      remarks: [
        "config.yaml:1:39: error: server.healthChecks.allowFrom[0]: must be an IP address or a CIDR range, not “10.0.0.0/33”",
        "config.yaml:1:65: error: server.healthChecks.allowFrom[2]: must be an IP address or a CIDR range, not “300.1.1.1”",
        "config.yaml:1:76: error: server.healthChecks.allowFrom[3]: must be an IP address or a CIDR range, not a section",
      ]),
    RemarkCase(
      name: "allowedHosts", text: "server: { allowedHosts: 'a.example' }",
      remarks: ["config.yaml:1:25: error: server.allowedHosts: must be a list of a host name without a port, not text"]),
    RemarkCase(
      name: "log level", text: "log: { logLevel: loud }",
      remarks: ["config.yaml:1:18: error: log.logLevel: must be one of fatal, error, warn, info, debug, trace, not “loud”"]),
    RemarkCase(
      name: "node id", text: "node: { id: a/b }", remarks: ["config.yaml:1:13: error: node.id: must not hold a `/`"]),
    RemarkCase(
      name: "replication group id", text: "replicationGroupId: RG1",
      remarks: ["config.yaml:1:21: error: replicationGroupId: must be exactly 7 bytes, not 3"]),
  ]) func aWrongValueNamesLineFieldAndWhatIsWanted(_ row: RemarkCase) { row.check() }

  @Test(arguments: [
    RemarkCase(
      name: "nothing given, not embedded", text: "{}",
      remarks: [
        "config.yaml:1:1: error: kafka.hosts: is required unless the daemon runs embedded",
        "config.yaml:1:1: error: zookeeper.connectionString: is required unless the daemon runs embedded",
        "config.yaml:1:1: error: redis.host: is required (or sentinels) unless the daemon runs embedded",
      ], embedded: false),
    RemarkCase(
      name: "reserved properties",
      text: "kafka: { properties: { group.id: x, plugin.library.paths: y, security.protocol: ssl, ssl.ca.location: } }",
      remarks: [
        "config.yaml:1:34: error: kafka.properties.group.id: is decided by Downbeat and cannot be set",
        "config.yaml:1:59: error: kafka.properties.plugin.library.paths: is decided by Downbeat and cannot be set",
        "config.yaml:1:103: error: kafka.properties.ssl.ca.location: must have a value",
      ]),
    RemarkCase(
      name: "properties with one value only",
      text: "kafka: { properties: { acks: 0, max.in.flight: 1, enable.idempotence: true } }",
      remarks: [
        "config.yaml:1:30: error: kafka.properties.acks: must be all, or left out: statuses could be lost or change places",
        "config.yaml:1:71: error: kafka.properties.enable.idempotence: must be false, or left out: statuses could be lost or change places",
      ]),
    RemarkCase(
      name: "properties that librdkafka refuses",
      text: "kafka: { properties: { no.such: 1, socket.timeout.ms: soon, sasl.oauthbearer.method: hush } }",
      remarks: [
        "config.yaml:1:33: error: kafka.properties.no.such: is no property of librdkafka \(KafkaProperties.libraryVersion)",
        #"config.yaml:1:55: error: kafka.properties.socket.timeout.ms: Invalid value for configuration property "socket.timeout.ms""#,
        "config.yaml:1:86: error: kafka.properties.sasl.oauthbearer.method: has a value that librdkafka refuses",
      ]),
    RemarkCase(
      name: "hosts", text: "kafka: { hosts: 'a:1,b:x' }",
      remarks: ["config.yaml:1:17: error: kafka.hosts: “b:x” is not a host and port"]),
    RemarkCase(
      name: "topic prefix", text: "extensions: { replication: { topic: a/b } }",
      remarks: [
        "config.yaml:1:37: error: extensions.replication.topic: “pre-a/b” is not a Kafka topic name (letters, digits, `.`, `_`, `-`, at most 249)"
      ], environment: ["KAFKA_TOPIC_PREFIX": "pre-"]),
    RemarkCase(
      name: "zookeeper", text: "zookeeper: { connectionString: 'a:2181,/x' }",
      remarks: ["config.yaml:1:32: error: zookeeper.connectionString: “” is not a host and port"]),
    RemarkCase(
      name: "chroot", text: "zookeeper: { connectionString: 'a:2181/x//y' }",
      remarks: ["config.yaml:1:32: error: zookeeper.connectionString: a part of the path “/x//y” must not be empty"]),
    RemarkCase(
      name: "redis both ways", text: "redis: { host: a, sentinels: 'b:1' }",
      remarks: ["config.yaml:1:30: error: redis.sentinels: cannot be given together with host and port"]),
    RemarkCase(
      name: "digest credential", text: "zookeeper: { auth: { scheme: digest, credentialFile: cred } }",
      remarks: ["config.yaml:1:20: error: zookeeper.auth: the credential must have the form user:password"],
      neighbours: ["cred": "justauser\n"]),
  ]) func theServersAreChecked(_ row: RemarkCase) { row.check() }

  @Test(arguments: [
    locations(
      "words of the API", "{ site: all, type: noop }, { site: failed, type: noop }",
      [
        "2:9: error: \(list)[0].site: “all” is a word of the API and cannot name a location",
        "2:36: error: \(list)[1].site: “failed” is a word of the API and cannot name a location",
      ]),
    locations(
      "path elements", "{ site: a/b, type: noop }, { site: .., type: noop }, { site: \"a\\u0001\", type: noop }",
      [
        "2:9: error: \(list)[0].site: must not hold a `/`", "2:36: error: \(list)[1].site: must not be “..”",
        "2:62: error: \(list)[2].site: must not hold control characters",
      ]),
    locations(
      "NUL and nothing", "{ site: \"a\\0b\", type: noop }, { type: noop }",
      [
        "2:9: error: \(list)[0].site: must not hold a NUL", "2:31: error: \(list)[1].site: is required",
      ]),
    locations(
      "twice", "{ site: a, type: noop },\n{ site: a, type: noop }",
      [
        "3:9: error: \(list)[1].site: “a” is already the name of the location at line 2"
      ]),
    locations(
      "two defaults", "{ site: a, type: noop, default: true },\n{ site: b, type: noop, default: true }",
      [
        "3:33: error: \(list)[1].default: “a” is the default already: there can be one"
      ]),
    locations(
      "no type", "{ site: a }, { site: b, type: tape }",
      [
        "2:1: error: \(list)[0].type: is required (an entry without one must have servers)",
        "2:31: error: \(list)[1].type: must be one of file, s3, noop, cloudserver, aws_s3, azure, gcp, not “tape”",
      ]),
    locations(
      "a file location", "{ site: a, type: file }, { site: b, type: file, path: x/y }",
      [
        "2:1: error: \(list)[0].path: is required by a location of type file",
        "2:55: error: \(list)[1].path: must be an absolute path, not “x/y”",
      ]),
    locations(
      "overlapping trees",
      "{ site: a, type: file, path: /src/in }, { site: b, type: file, path: /b },\n{ site: c, type: file, path: /b/../b/c }",
      [
        "2:30: error: \(list)[0].path: /src/in overlaps /src of the source",
        "3:30: error: \(list)[2].path: /b/c overlaps /b of “b”",
      ]),
    locations(
      "s3", "{ site: a, type: s3, endpoint: example.org, bucket: b, credentials: { accessKey: k } }",
      [
        "2:32: error: \(list)[0].endpoint: must be http://host[:port] or https://host[:port], not “example.org”",
        "2:69: error: \(list)[0].credentials.secretKey: is required",
      ]),
    locations(
      "fields of another type", "{ site: a, type: file, path: /a, bucket: b }",
      [
        "2:42: note: \(list)[0].bucket: unknown field, ignored"
      ]),
  ]) func theBootstrapListIsChecked(_ row: RemarkCase) { row.check() }

  @Test(arguments: [
    locations(
      "types", "{ site: a, type: s3 }, { site: b, servers: ['h:1'] }, { site: c, type: azure }",
      [
        "2:18: error: \(list)[0].type: this build does not serve locations of type “s3” (write `disabled: true` to keep “a” unserved)",
        "2:44: error: \(list)[1].servers: this build does not serve locations of type “cloudserver” (write `disabled: true` to keep “b” unserved)",
        "2:72: error: \(list)[2].type: this build does not serve locations of type “azure” (write `disabled: true` to keep “c” unserved)",
      ], capabilities: .fileOnly),
    locations(
      "disabled ones", "{ site: a, type: s3, disabled: true }, { site: b, servers: ['h:1'], disabled: true }", [],
      capabilities: .fileOnly),
    RemarkCase(
      name: "source",
      text:
        "extensions: { replication: { source: { type: s3 }, destination: { bootstrapList: [{ site: a, type: file, path: /a }] } } }",
      remarks: ["config.yaml:1:46: error: extensions.replication.source.type: this build does not serve a source of type “s3”"],
      capabilities: .fileOnly),
    RemarkCase(
      name: "an unneeded source", text: "extensions: { replication: { source: { type: s3 } } }",
      remarks: ["config.yaml:1:46: note: extensions.replication.source.type: this build does not serve a source of type “s3”"],
      capabilities: .fileOnly),
    RemarkCase(
      name: "ingestion", text: "extensions: { ingestion: { sources: [{ locationConstraint: a }, { name: b, disabled: true }] } }",
      remarks: [
        "config.yaml:1:38: error: extensions.ingestion.sources[0]: this build does not serve the role “ingestion” (write `disabled: true` to keep the entry)"
      ],
      capabilities: .fileOnly),
  ]) func whatThisBuildCannotServeIsAnErrorUnlessDisabled(_ row: RemarkCase) { row.check() }

  @Test func theSlotsOfAllLocationsTogetherAreBounded() {
    let text = """
      extensions: { replication: { source: { type: file, path: /src },
        destination: { bootstrapList: [{ site: a, type: noop }, { site: b, type: noop }, { site: c, type: azure, disabled: true }] },
        queueProcessor: { concurrency: 10000, waitingMax: 30000 } } }
      """
    #expect(
      load(text).remarks == [
        "config.yaml:3:34: error: extensions.replication.queueProcessor.concurrency: and waitingMax make 40000 entries for each "
          + "of 2 locations; all together may have 65536"
      ])
  }

  @Test func aSourceIsRequiredByLocationsThatReadIt() {
    let text = "extensions: { replication: { destination: { bootstrapList: [{ site: a, type: file, path: /a }] } } }"
    #expect(
      load(text).remarks == [
        "config.yaml:1:28: error: extensions.replication.source: is required by the locations of the bootstrap list"
      ])
    #expect(load(text, roles: [.api]).remarks == [])
    #expect(load(text.split(separator: "file, path: /a").joined(separator: "noop")).remarks == [])
  }

  @Test func everyProblemIsReportedAtOnceInTheOrderOfTheFile() {
    let loaded = load("log: { logLevel: x }\nserver: { port: y }\nnode: { id: .. }\n")
    #expect(loaded.remarks.map { $0.split(separator: ":")[1] } == ["1", "2", "3"])
  }

  @Test func anUnreadableFileIsNamed() {
    let loaded = ConfigurationLoader.load(
      path: "/nonexistent/config.yaml",
      purpose: ConfigurationPurpose(capabilities: .everything, embedded: true, roles: []), environment: [:])
    #expect(
      loaded.diagnostics.map(\.description) == [
        "/nonexistent/config.yaml:1:1: error: cannot open /nonexistent/config.yaml: No such file or directory"
      ])
  }
}

extension Capabilities {
  /// A build with little in it, so that the table shows what is refused.
  static let fileOnly = Capabilities(
    locationTypes: [.file, .noop], sourceTypes: [.file], roles: [.api, .queueProcessor], externalServers: false)
}
