// From a file to a `Configuration`, or to the list of what is wrong with it.
//
// One pass over the document, one function a section, each next to its neighbours in the file's own order. The rules are
// Backbeat's field names and defaults (its configuration reference), the additions of Downbeat, and: no field is required
// in itself, only by the role or location that uses it. Nothing here connects to anything or looks at replicated trees.

internal import CLinux
internal import Glibc
internal import HTTP
internal import Logging
internal import Yams

/// What the configuration will be used for, which decides what it must hold.
struct ConfigurationPurpose: Equatable, Sendable {
  var capabilities: Capabilities
  /// Broker, control bus and state store inside the process: their sections are not needed.
  var embedded: Bool
  var roles: Set<Role>
}

/// The outcome of a load: remarks always, the configuration only without errors.
struct LoadedConfiguration: Sendable {
  var configuration: Configuration?
  var diagnostics: [Diagnostic]
}

struct ConfigurationLoader {
  /// 4 MiB: a bootstrap list of ten thousand locations fits.
  static let fileBytesMax = 4 << 20
  /// A node id is part of znode names and group instance ids.
  static let nodeIDBytesMax = 200

  let context: LoadContext
  let purpose: ConfigurationPurpose

  /// Reads and checks a file, YAML or JSON.
  ///
  /// - Blocking: yes, on the disk (the file, secret files it names, locationConfig.json beside it).
  /// - Errors: none thrown; everything wrong is among the diagnostics.
  static func load(path: String, purpose: ConfigurationPurpose, environment: [String: String]) -> LoadedConfiguration {
    let diagnostics = Diagnostics()
    let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    let context = LoadContext(file: path, directory: directory, environment: environment, diagnostics: diagnostics)
    guard let root = YAMLDocument.read(path, bytesMax: fileBytesMax, diagnostics: diagnostics) else {
      return LoadedConfiguration(configuration: nil, diagnostics: diagnostics.sorted)
    }
    let configuration = ConfigurationLoader(context: context, purpose: purpose).configuration(
      from: Section(root: root, context: context))
    return LoadedConfiguration(
      configuration: diagnostics.hasErrors ? nil : configuration, diagnostics: diagnostics.sorted)
  }

  private func configuration(from root: Section) -> Configuration {
    var result = Configuration()
    result.nodeID = nodeID(root.section("node"))
    result.server = server(root.section("server"))
    result.kafka = kafka(root.section("kafka"))
    result.zookeeper = zookeeper(root.section("zookeeper"))
    result.redis = redis(root.section("redis"))
    result.logLevel = logLevel(root.section("log"))
    result.shutdownTimeoutS = root.int("shutdownTimeoutS", in: 1...3600, default: result.shutdownTimeoutS)
    checkReplicationGroupId(root)
    let metrics = root.section("metrics")
    result.metricsTopic = metrics.topic("topic", default: result.metricsTopic, prefix: result.kafka.topicPrefix)
    metrics.finish(unused: ["groupIdPrefix"])
    let extensions = root.section("extensions")
    let replication = ReplicationReader(
      context: context, purpose: purpose, topicPrefix: result.kafka.topicPrefix, hasBrokers: !result.kafka.hosts.isEmpty,
      listsInRedis: !result.kafka.hosts.isEmpty && result.redis != nil)
    result.replication = replication.read(extensions.section("replication"))
    result.ingestion = ingestion(extensions.section("ingestion"), prefix: result.kafka.topicPrefix)
    extensions.section("gc").finish(unused: ["topic", "auth", "consumer", "probeServer", "circuitBreaker"])
    extensions.finish(unused: ["lifecycle", "mongoProcessor", "mdProcessor", "notification", "oplogPopulator"])
    result.lifecycleLocations = LocationConfigFile.names(beside: context)
    root.finish(unused: [
      "transport", "s3", "vaultAdmin", "queuePopulator", "healthcheckServer", "localCache", "certFilePaths",
      "internalCertFilePaths", "internalTransport", "mongo", "management", "internalHttps",
    ])
    return result
  }

  private func nodeID(_ node: Section) -> String {
    defer { node.finish() }
    let id = node.string("id", default: Self.hostName())
    if let problem = NodeName.problem(id, bytesMax: Self.nodeIDBytesMax) { node.error("id", problem) }
    return id
  }

  private func server(_ section: Section) -> Configuration.Server {
    var result = Configuration.Server()
    if let text = section.string("bindAddress"), text != "localhost" {
      if let address = IPAddress(text) {
        result.bindAddress = address
      } else {
        section.error("bindAddress", "must be an IP address or localhost, not “\(text)”")
      }
    }
    result.port = section.port(allowsZero: true) ?? result.port
    result.allowedHosts = section.items("allowedHosts", wanted: "a host name without a port") { text in
      HostPort(text, defaultPort: 1).flatMap { $0.host == text ? text : nil }
    }
    let checks = section.section("healthChecks")
    let ranges = checks.items("allowFrom", wanted: "an IP address or a CIDR range") { AllowList([$0]).invalid.isEmpty ? $0 : nil }
    result.allowFrom = AllowList(ranges)
    checks.finish()
    section.finish(unused: ["host"])
    return result
  }

  private func logLevel(_ section: Section) -> Logger.Level {
    enum Word: String, CaseIterable { case fatal, error, warn, info, debug, trace }
    defer { section.finish(unused: ["dumpLevel"]) }
    switch section.choice("logLevel", Word.self) {
    case .fatal: return .critical
    case .error: return .error
    case .warn: return .warning
    case .info, nil: return .info
    case .debug: return .debug
    case .trace: return .trace
    }
  }

  /// It ends version ids, which are never made here; one that Backbeat refuses is refused all the same.
  private func checkReplicationGroupId(_ root: Section) {
    guard let id = root.string("replicationGroupId") else { return }
    guard id.utf8.count == 7 else { return root.error("replicationGroupId", "must be exactly 7 bytes, not \(id.utf8.count)") }
    root.note("replicationGroupId", "not used by Downbeat")
  }

  private func ingestion(_ section: Section, prefix: String) -> Configuration.Ingestion {
    var result = Configuration.Ingestion()
    result.topic = section.topic("topic", default: result.topic, prefix: prefix)
    for item in section.sections("sources") {
      let isDisabled = item.bool("disabled", default: false)
      let field = item.has("locationConstraint") ? "locationConstraint" : "name"
      defer {
        item.finish(unused: ["name", "type", "bucket", "host", "port", "https", "auth", "prefix", "zenkoBucket", "cronRule"])
      }
      guard let name = item.string(field) else {
        if !item.has(field) { item.missing("locationConstraint", "(or name)") }
        continue
      }
      if let problem = NodeName.locationProblem(name) { item.error(field, problem) }
      if !isDisabled && !purpose.capabilities.roles.contains(.ingestion) {
        item.error("", "this build does not serve the role “ingestion” (write `disabled: true` to keep the entry)")
      }
      // Several buckets may be ingested into one location: the service lists it once.
      if !result.sources.contains(where: { $0.location == name }) {
        result.sources.append(.init(location: name, isDisabled: isDisabled))
      }
    }
    section.finish(unused: [
      "auth", "zookeeperPath", "cronRule", "maxParallelReaders", "probeServer", "circuitBreaker", "processor", "logLevel",
    ])
    return result
  }

  private static func hostName() -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count) == 0 else { return Configuration().nodeID }
    let name = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return name.isEmpty ? Configuration().nodeID : name
  }
}

/// Names that become one element of a ZooKeeper path and of a URL.
enum NodeName {
  /// A location's name is also part of the extended attribute `user.<site>-replication-status`, at most 255 bytes.
  static let locationBytesMax = 255 - "user.-replication-status".utf8.count

  /// Why `name` cannot be one path element, or nil.
  static func problem(_ name: String, bytesMax: Int) -> String? {
    if name.isEmpty { return "must not be empty" }
    if name == "." || name == ".." { return "must not be “\(name)”" }
    if name.contains("/") { return "must not hold a `/`" }
    if name.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }) {
      return "must not hold control characters"
    }
    if name.utf8.count > bytesMax { return "must be at most \(bytesMax) bytes long" }
    return nil
  }

  /// Why `name` cannot name a location, or nil.
  static func locationProblem(_ name: String) -> String? {
    if name == "all" || name == "failed" { return "“\(name)” is a word of the API and cannot name a location" }
    return problem(name, bytesMax: locationBytesMax)
  }
}
