// Delivery reports of a producer, as the metrics show them: how many, and when each partition last took a message. A producer writes
// to a handful of topics, so a topic is found by comparing and no dictionary is asked.
public import Reactor

public struct Deliveries: Sendable {
  public struct Topic: Sendable {
    public let name: String
    /// By partition; nil: none was delivered there.
    public fileprivate(set) var latest: [Instant?] = []
  }

  public private(set) var succeeded: UInt64 = 0
  /// Each is sent again, or named in the log.
  public private(set) var failed: UInt64 = 0
  /// In the order of their first message.
  public private(set) var topics: [Topic] = []

  public init() {}

  public mutating func noteFailure() { failed += 1 }

  public mutating func note(_ topic: String, _ partition: Int32, at now: Instant) {
    succeeded += 1
    var index = 0
    while index < topics.count, topics[index].name != topic { index += 1 }
    if index == topics.count { topics.append(Topic(name: topic)) }
    let missing = Int(partition) + 1 - topics[index].latest.count
    if missing > 0 { topics[index].latest += [Instant?](repeating: nil, count: missing) }
    if partition >= 0 { topics[index].latest[Int(partition)] = now }
  }
}
