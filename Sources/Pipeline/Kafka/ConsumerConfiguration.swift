// What a consumer is made from.
internal import PipelineCore

public struct ConsumerConfiguration: Sendable {
  /// How a consumer comes to its partitions.
  public enum Membership: Hashable, Sendable {
    /// By a group whose members share the topic's partitions.
    case group
    /// All of them at once, for a process that is alone by construction (embedded mode): same events, same commits, no
    /// joining (the mock takes 3 s for it). Two such consumers of one group would both get everything.
    case standalone(partitions: Int)
  }

  public var properties: KafkaProperties
  public var groupId: String
  public var topic: String
  public var clientId = "downbeat"
  /// Static membership (`group.instance.id`); nil: dynamic. Only a real broker knows it.
  public var instanceId: String?
  public var membership = Membership.group
  /// Bound of what librdkafka holds fetched and not yet taken, KiB. One fetch may exceed it by its own size. Larger ones
  /// cost memory and gain nothing (see Consumer+Refill).
  public var queuedKiBMax = 16_384
  /// The same bound in messages.
  public var queuedMessagesMax = 100_000
  /// Backbeat's `kafka.maxPollIntervalMs`, if it is given.
  public var maxPollIntervalMs: Int?
  /// The library's `message.max.bytes`.
  static let messageBytesMaxDefault = 1_000_000
  /// Longest wait of a fetch for data. Kafka cuts it short when data comes, the embedded broker does not.
  public var fetchWaitMs = 500
  /// `max.poll.interval.ms` where the operator gives none. The library's five minutes are made for consumers that work between two polls;
  /// ours polls every second and gives partitions back within ten (`RebalanceMachine.drainMaxMs`). For us it is how long the answer
  /// to a join is waited for (and three seconds more): one that is lost on its way is asked for again after that, and a
  /// repeated join disturbs no group.
  public static let pollIntervalMsDefault = 60_000
  /// How often `ConsumerDelegate.consumer(_:statistics:)` is called; zero: never. Each is about 1 KB a partition.
  public var statisticsInterval = Duration.zero

  public init(properties: KafkaProperties, groupId: String, topic: String) {
    self.properties = properties
    self.groupId = groupId
    self.topic = topic
  }

  /// Bytes of one answer to a fetch, where the operator does not say: as many as may wait at all, for they come on top of those. A
  /// single batch that is larger comes all the same; librdkafka refuses a bound below `message.max.bytes`. Left to itself it takes up to
  /// 50 MiB where the operator has raised `queued.max.messages.kbytes`, more than the heap keeps.
  private var fetchBytesMax: Int {
    let messageBytesMax = given("message.max.bytes") ?? Self.messageBytesMaxDefault
    return max(queuedKiBMax * 1_024, messageBytesMax)
  }

  /// librdkafka refuses one below `session.timeout.ms`.
  private var pollIntervalMs: Int {
    let sessionMs = given("session.timeout.ms") ?? 0
    return max(maxPollIntervalMs ?? Self.pollIntervalMsDefault, sessionMs)
  }

  /// A number of the operator's.
  private func given(_ key: String) -> Int? { properties.user.first { $0.key == key }.flatMap { Int($0.value) } }

  func conf() throws(KafkaPropertyError) -> KafkaConf {
    let defaults: [(String, String)] = [
      ("session.timeout.ms", "10000"),
      ("max.poll.interval.ms", String(pollIntervalMs)),
      ("heartbeat.interval.ms", "3000"),
      ("check.crcs", "true"),
      // As Backbeat: a topic that does not exist yet is made by its first user.
      ("allow.auto.create.topics", "true"),
      // Partitions added to the topic are found within this.
      ("topic.metadata.refresh.interval.ms", "30000"),
      ("queued.max.messages.kbytes", String(queuedKiBMax)),
      ("queued.min.messages", String(queuedMessagesMax)),
      ("fetch.max.bytes", String(fetchBytesMax)),
      ("fetch.wait.max.ms", String(fetchWaitMs)),
      ("statistics.interval.ms", String(statisticsInterval.components.seconds * 1_000)),
    ]
    var forced: [(String, String)] = [
      ("group.id", groupId),
      ("enable.auto.commit", "false"),
      ("enable.auto.offset.store", "false"),
      // An offset that is not there is ours to decide on, never skipped or repeated silently (Consumer+Recovery).
      ("auto.offset.reset", "error"),
      // Eager: 2.0.2 loses assignments when it commits during a cooperative rebalance.
      ("partition.assignment.strategy", "range,roundrobin"),
      ("enable.partition.eof", "false"),
    ]
    if let instanceId { forced.append(("group.instance.id", instanceId)) }
    return try properties.conf(clientId: clientId, defaults: defaults, forced: forced)
  }
}
