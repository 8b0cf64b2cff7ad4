// What a good file becomes.

import Logging
import Testing

@testable import Server

@Suite struct ConfigurationTests {
  @Test func anEmptyFileIsTheDefaults() throws {
    var configuration = try #require(load("").configuration)
    #expect(!configuration.nodeID.isEmpty)
    configuration.nodeID = Configuration().nodeID
    #expect(configuration == Configuration())
  }

  @Test func theContractsExampleLoads() throws {
    let text = """
      node: { id: node-a }
      server: { bindAddress: 127.0.0.1, port: 8900, allowedHosts: [], healthChecks: { allowFrom: ["127.0.0.1/8", "::1"] } }
      kafka: { hosts: "127.0.0.1:9092", staticMembership: false, properties: { security.protocol: plaintext } }
      extensions:
        replication:
          source: { type: file, path: /srv/objects/ }
          destination:
            bootstrapList:
              - { site: aws-east, type: s3, endpoint: "https://s3.example.org/", region: eu-west-1, bucket: b, credentials: { accessKey: AK, secretKey: SK } }
              - { site: archive,  type: file, path: /srv/archive, bucketMatch: true }
              - { site: dr-ring,  servers: ["10.0.0.1:8000"], echo: true }
          queueProcessor: { groupId: backbeat-replication-group, concurrency: 20, workerThreads: 2, pauseMode: hold }
      """
    let loaded = load(text)
    #expect(
      loaded.remarks == [
        "config.yaml:3:17: note: kafka.hosts: with --embedded these brokers are used instead of the one inside; leave the field out for that"
      ])
    let configuration = try #require(loaded.configuration)
    #expect(configuration.nodeID == "node-a")
    #expect(configuration.kafka.hosts == [HostPort(host: "127.0.0.1", port: 9092)])
    #expect(configuration.kafka.properties["security.protocol"]?.reveal() == "plaintext")
    #expect(configuration.replication.source == .file(path: "/srv/objects"))
    #expect(configuration.replication.locations.map(\.site) == ["aws-east", "archive", "dr-ring"])
    #expect(configuration.replication.locations.map(\.type) == [.s3, .file, .cloudserver])
    #expect(configuration.replication.locations[1].target == .file(.init(path: "/srv/archive", bucketMatch: true)))
    #expect(
      configuration.replication.locations[2].target
        == .cloudserver(.init(servers: [HostPort(host: "10.0.0.1", port: 8000)], echo: true)))
    guard case .s3(let s3) = configuration.replication.locations[0].target else {
      Issue.record("not an s3 location")
      return
    }
    #expect(s3.endpoint.url == "https://s3.example.org")
    #expect(s3.endpoint.region == "eu-west-1" && s3.endpoint.furtherURLs.isEmpty && s3.storageClass == nil)
    #expect(s3.endpoint.credentials.secretKey.reveal() == "SK")
    let processor = configuration.replication.queueProcessor
    #expect(processor.concurrency == 20)
    #expect(processor.waitingMax == 20, "waitingMax follows concurrency")
    #expect(processor.pauseMode == .hold)
    #expect(processor.group(site: "archive") == "backbeat-replication-group-archive")
  }

  @Test func anS3SourceNeedsBrokersThatItsEntriesComeFrom() {
    let text = """
      extensions:
        replication:
          source: { type: s3, endpoint: "http://127.0.0.1:9000", credentials: { accessKey: AK, secretKey: SK } }
          destination: { bootstrapList: [{ site: archive, type: file, path: /srv/archive }] }
      """
    let alone = load(text)
    #expect(alone.configuration == nil)
    #expect(alone.remarks.count == 1 && alone.remarks.allSatisfy { $0.contains("source.type") && $0.contains("kafka.hosts") }, "\(alone.remarks)")
    #expect(load("kafka: { hosts: \"127.0.0.1:9092\" }\n" + text).configuration != nil)
  }

  @Test func backbeatsOwnFileLoadsWithNotesOnly() throws {
    let fixture = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    let loaded = ConfigurationLoader.load(
      path: "/\(fixture)/Fixtures/backbeat-config.json",
      purpose: ConfigurationPurpose(capabilities: .everything, embedded: false, roles: Set(Role.allCases)), environment: [:])
    #expect(loaded.diagnostics.filter { $0.severity == .error } == [])
    #expect(
      Set(loaded.diagnostics.map(\.field)) == [
        "transport", "s3", "vaultAdmin", "queuePopulator", "healthcheckServer", "localCache", "certFilePaths",
        "internalCertFilePaths", "extensions.lifecycle", "extensions.mongoProcessor", "extensions.gc.auth",
        "extensions.gc.consumer", "extensions.ingestion.auth", "extensions.ingestion.zookeeperPath",
        "extensions.ingestion.cronRule", "extensions.ingestion.maxParallelReaders", "extensions.ingestion.probeServer",
        "extensions.replication.destination.transport", "extensions.replication.destination.auth", "log.dumpLevel",
        "server.host", "extensions.replication.source.auth.vault", "replicationGroupId", "kafka.backlogMetrics", "extensions.gc.topic",
        "extensions.replication.dataMoverTopic",
      ])
    #expect(loaded.diagnostics.allSatisfy { $0.message == "not used by Downbeat" })
    let configuration = try #require(loaded.configuration)
    #expect(configuration.zookeeper?.chroot == "/backbeat")
    #expect(
      configuration.redis?.endpoint
        == .sentinels([HostPort(host: "127.0.0.1", port: 26_379)], name: "backbeat", password: nil))
    #expect(configuration.redis?.password == nil, "an empty password is none")
    #expect(configuration.replication.locations.map(\.site) == ["zenko", "us-east-2"])
    #expect(configuration.replication.replayTopics == [.init(name: "backbeat-replication-replay-0", retries: 5)])
    #expect(configuration.replication.queueProcessor.retry == Configuration.RetryTable())
    #expect(configuration.replication.queueProcessor.probe == HostPort(host: "localhost", port: 4043))
    guard case .cloudserver(let source) = configuration.replication.source else {
      Issue.record("the source is not a CloudServer")
      return
    }
    #expect(source == .init(server: HostPort(host: "127.0.0.1", port: 8000), auth: .service("service-replication")))
  }

  @Test func secretsComeFromTextFileOrEnvironment() throws {
    let text = """
      redis: { host: r, passwordFile: secret/redis }
      kafka: { properties: { sasl.passwordEnv: KAFKA_PASS, ssl.key.password: direct } }
      zookeeper: { connectionString: z, auth: { scheme: digest, credentialEnv: ZK } }
      extensions: { replication: { destination: { bootstrapList: [
        { site: a, type: s3, endpoint: "http://h", bucket: b, credentialsFile: keys.json } ] },
        source: { type: file, path: /src } } }
      """
    let loaded = load(
      text.split(separator: "secret/redis").joined(separator: "redis.txt"),
      environment: ["KAFKA_PASS": "kafka-word", "ZK": "user:zk-word"],
      neighbours: [
        "redis.txt": "redis-word\r\n", "keys.json": #"{"accessKey": "AK", "secretKey": "s3-word", "sessionToken": "t"}"#,
      ])
    #expect(loaded.remarks == [])
    let configuration = try #require(loaded.configuration)
    #expect(configuration.redis?.password?.reveal() == "redis-word")
    #expect(configuration.kafka.properties["sasl.password"]?.reveal() == "kafka-word")
    #expect(configuration.kafka.properties["ssl.key.password"]?.reveal() == "direct")
    #expect(configuration.zookeeper?.digestCredential?.reveal() == "user:zk-word")
    let printed = "\(configuration)" + String(reflecting: configuration) + dumped(configuration)
    for word in ["redis-word", "kafka-word", "direct", "zk-word", "s3-word"] {
      #expect(!printed.contains(word), "a secret shows in a printed configuration")
    }
  }

  @Test(arguments: [
    RemarkCase(
      name: "two ways at once", text: "redis: { host: h, password: a, passwordFile: b }",
      remarks: ["config.yaml:1:46: error: redis.passwordFile: is given together with “password”: keep one"]),
    RemarkCase(
      name: "variable not set", text: "redis: { host: h, passwordEnv: NOWHERE }",
      remarks: ["config.yaml:1:32: error: redis.passwordEnv: the environment variable NOWHERE is not set"]),
    RemarkCase(
      name: "empty file", text: "redis: { host: h, passwordFile: empty }",
      remarks: ["config.yaml:1:33: error: redis.passwordFile: empty is empty"], neighbours: ["empty": "\n"]),
    RemarkCase(
      name: "no file", text: "redis: { host: h, passwordFile: none }",
      remarks: ["config.yaml:1:33: error: redis.passwordFile: cannot open none: No such file or directory"]),
    RemarkCase(
      name: "broken credentials file",
      text: "extensions: { replication: { source: { type: s3, endpoint: 'http://h', credentialsFile: k.json } } }",
      remarks: ["k.json:1:1: error: accessKey: is required", "k.json:1:16: error: secretKey: must be text, not a list"],
      neighbours: ["k.json": #"{ "secretKey": [] }"#]),
  ]) func aSecretThatCannotBeReadIsNamedButNeverShown(_ row: RemarkCase) { row.check() }

  @Test func theTopicPrefixGoesBeforeTopicsOnly() throws {
    let configuration = try #require(load("", environment: ["KAFKA_TOPIC_PREFIX": "eu-", "CI": "true"]).configuration)
    #expect(configuration.kafka.topic(configuration.replication.topic) == "eu-backbeat-replication")
    #expect(configuration.replication.topic == "backbeat-replication")
  }

  @Test func retrySettingsFollowTheKindOfTarget() throws {
    let text =
      "extensions: { replication: { queueProcessor: { retry: { aws_s3: { maxRetries: 2, backoff: { min: 5, max: 10 } } } } } }"
    let retry = try #require(load(text).configuration).replication.queueProcessor.retry
    #expect(retry.settings(for: .s3) == Configuration.Retry(maxRetries: 2, backoffMinMs: 5, backoffMaxMs: 10))
    #expect(retry.settings(for: .awsS3) == retry.settings(for: .s3))
    #expect(retry.settings(for: .azure) == .cloud)
    #expect(retry.settings(for: .file) == Configuration.Retry())
  }

  @Test func lifecycleLocationsAreTheKeysOfTheNeighbouringFile() throws {
    let loaded = load("", neighbours: ["locationConfig.json": #"{"us-east-1": {"type": "file"}, "cold": {"isCold": true}}"#])
    #expect(try #require(loaded.configuration).lifecycleLocations == ["us-east-1", "cold"])
    #expect(load("", neighbours: ["locationConfig.json": "{"]).remarks.map { $0.prefix(25) } == ["locationConfig.json:2:1: "])
  }

  @Test func disabledLocationsAreListedButHaveNoTarget() throws {
    let text = "extensions: { replication: { destination: { bootstrapList: [{ site: a, type: azure, disabled: true }] } } }"
    let location = try #require(load(text, capabilities: .fileOnly).configuration).replication.locations[0]
    #expect(location.isDisabled)
    #expect(location.target == nil)
  }

  @Test func logLevelsAreBackbeatsWords() throws {
    let levels: [(String, Logger.Level)] = [
      ("fatal", .critical), ("error", .error), ("warn", .warning), ("info", .info), ("debug", .debug), ("trace", .trace),
    ]
    for (word, level) in levels {
      #expect(try #require(load("log: { logLevel: \(word) }").configuration).logLevel == level)
    }
  }

  @Test func deeplyNestedInputIsAnErrorAndNoCrash() {
    let loaded = load("a: " + String(repeating: "[", count: 100_000))
    #expect(loaded.configuration == nil)
    #expect(loaded.remarks.count == 1)
  }
}

private func dumped(_ value: some Any) -> String {
  var text = ""
  dump(value, to: &text)
  return text
}
