// The librdkafka properties of this daemon: our defaults, then the operator's, then the few our promises rest on
// (contract section 3), which an operator cannot set. Validated by trying them on a configuration object, so that
// `check-config` finds a wrong one without a broker. Values of secret keys are never printed.
internal import CRdkafka

/// A property the operator gave that cannot stand; the text names the key.
public enum KafkaPropertyError: Error, Hashable, Sendable, CustomStringConvertible {
  /// One of `KafkaProperties.reservedKeys`.
  case reserved(key: String)
  /// One of `KafkaProperties.requiredValues`, with another value.
  case required(key: String, value: String)
  /// librdkafka does not know it (or this build of it does not).
  case unknown(key: String)
  case invalid(key: String, reason: String)

  public var key: String {
    switch self {
    case .reserved(let key), .required(let key, _), .unknown(let key), .invalid(let key, _): key
    }
  }

  public var description: String {
    switch self {
    case .reserved(let key): "kafka.properties: \(key) is set by downbeat and cannot be changed"
    case .required(let key, let value): "kafka.properties: \(key) must be \(value): statuses could be lost or change places"
    case .unknown(let key): "kafka.properties: \(key) is no property of librdkafka \(KafkaProperties.libraryVersion)"
    case .invalid(let key, let reason): "kafka.properties: \(key): \(reason)"
    }
  }
}

public struct KafkaProperties: Sendable, CustomStringConvertible {
  /// Keys our promises rest on: no loss, order, an exact pause, no foreign code in the process.
  public static let reservedKeys: Set<String> = [
    "group.id", "group.instance.id", "enable.auto.offset.store", "enable.auto.commit", "auto.offset.reset",
    "partition.assignment.strategy", "plugin.library.paths",
    // librdkafka's old names of the same properties.
    "auto.commit.enable", "offset.store.method",
    // It makes a producer idempotent, and every message wait for transactions that nobody begins.
    "transactional.id",
  ]

  /// Keys that may be given, but with one value only: an offset is committed when the broker has its status on disk, and statuses
  /// keep their order. Not by idempotence: 2.0.2 can end an idempotent producer for good after an error that may have stored the
  /// batch, and our readers bear a repeat.
  public static let requiredValues: [String: String] = [
    "acks": "all", "max.in.flight.requests.per.connection": "1", "enable.idempotence": "false", "queuing.strategy": "fifo",
    // Without the reports of what was delivered nothing would ever be committed.
    "delivery.report.only.error": "false",
    // librdkafka's other names of the same properties.
    "request.required.acks": "all", "max.in.flight": "1",
  ]

  /// Whether librdkafka takes a value for the one that is required, whatever its spelling (`-1` is `all`).
  private static func isRequired(_ value: String, of key: String) throws(KafkaPropertyError) -> Bool {
    guard let required = requiredValues[key] else { return true }
    let given = KafkaConf()
    let ours = KafkaConf()
    try given.set(key, value)
    ours.setOwn(key, required)
    return given.get(key) == ours.get(key)
  }

  /// Version of the library we are linked to, for example `2.0.2`.
  public static var libraryVersion: String { rd_kafka_version_str().map { String(cString: $0) } ?? "?" }

  public let bootstrapServers: String
  /// The operator's properties, sorted by key. Do not print the values: use `description`.
  public let user: [(key: String, value: String)]

  /// - Parameter bootstrapServers: `host:port`, comma separated.
  /// - Errors: the first property (by key) that is reserved, unknown, refused, or has a value our promises do not bear.
  public init(bootstrapServers: String, user: [String: String] = [:]) throws(KafkaPropertyError) {
    self.bootstrapServers = bootstrapServers
    self.user = user.sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) }
    let conf = KafkaConf()
    guard !bootstrapServers.isEmpty else { throw .invalid(key: "bootstrap.servers", reason: "no broker given") }
    try conf.set("bootstrap.servers", bootstrapServers)
    for property in self.user {
      if Self.reservedKeys.contains(property.key) { throw .reserved(key: property.key) }
      guard try Self.isRequired(property.value, of: property.key) else {
        throw .required(key: property.key, value: Self.requiredValues[property.key] ?? "")
      }
      try conf.set(property.key, property.value)
    }
  }

  /// Whether the key's value must not be shown (contract section 3).
  public static func isSecret(_ key: String) -> Bool {
    key.contains("password") || key.contains("secret") || key.hasPrefix("sasl.") || key.hasPrefix("ssl.key")
  }

  /// `key=value`, one a line, with secrets hidden.
  public var description: String {
    var lines = ["bootstrap.servers=\(bootstrapServers)"]
    for property in user { lines.append("\(property.key)=\(Self.isSecret(property.key) ? "(hidden)" : property.value)") }
    return lines.joined(separator: "\n")
  }

  /// Defaults of both roles, then the operator's, then what must be so.
  /// - Parameter defaults: the role's own, which the operator may override.
  /// - Parameter forced: the role's own, which nobody may.
  func conf(
    clientId: String, defaults: [(String, String)], forced: [(String, String)]
  ) throws(KafkaPropertyError) -> KafkaConf {
    let conf = KafkaConf()
    conf.setOwn("client.id", clientId)
    for (key, value) in Self.commonDefaults + defaults { conf.setOwn(key, value) }
    try conf.set("bootstrap.servers", bootstrapServers)
    for property in user { try conf.set(property.key, property.value) }
    for (key, value) in Self.commonForced + forced { conf.setOwn(key, value) }
    return conf
  }

  private static let commonDefaults: [(String, String)] = [
    ("socket.keepalive.enable", "true"),
    // Small requests (commits, heartbeats) must not wait for an acknowledgement of the one before.
    ("socket.nagle.disable", "true"),
    // Brokers close idle connections as a matter of course: not worth a line each.
    ("log.connection.close", "false"),
    // The library's default of 10 s would make a short outage of a broker a long one for us.
    ("reconnect.backoff.max.ms", "5000"),
  ]

  private static let commonForced: [(String, String)] = [
    // Log lines come through a queue that the reactor serves; none is written by a thread of the library.
    ("log.queue", "true")
  ]
}
