// What the owner of a consumer is asked and told, and the values it is told with. Every call is made on the reactor's
// thread, from inside the consumer's turn but never from inside librdkafka: the owner may call the consumer back.
public import PipelineCore

public protocol ConsumerDelegate: AnyObject {
  /// How many messages the owner has room for now. Asked before each bounded run of polls; 0 stops the taking until
  /// the owner calls `Consumer.creditAvailable()`. The group is not left meanwhile, however long it takes.
  func consumerMayTake(_ consumer: Consumer) -> Int

  /// One message, in the order of its partition. At most as many follow an answer as it allowed.
  func consumer(_ consumer: Consumer, received message: consuming KafkaMessage)

  /// The group has given us these partitions (perhaps none). Nothing is fetched until `Consumer.assign(_:paused:from:)`.
  func consumer(_ consumer: Consumer, assigned partitions: [Partition], generation: UInt32)

  /// The assignment ends, no more of its messages come. The owner finishes or cancels what is in flight, commits, and
  /// calls `Consumer.unassign(_:)`: the whole group waits for it, at most `max.poll.interval.ms`.
  /// - Parameter isLost: somebody else may own them already: commits are refused, work must be abandoned.
  func consumer(_ consumer: Consumer, revoked partitions: [Partition], generation: UInt32, isLost: Bool)

  /// After `Consumer.unsubscribe()`: nothing is assigned any more and the group is being left.
  func consumerLeftGroup(_ consumer: Consumer)

  /// The answer to one `Consumer.commit(_:)`.
  func consumer(_ consumer: Consumer, committed result: CommitResult)

  /// Messages that nobody can read any more, said once per range; consumption goes on at `gap.end`.
  func consumer(_ consumer: Consumer, skipped gap: OffsetGap)

  /// Something worth a log line and perhaps a metric. Only `isFatal` needs an answer: it consumes nothing any more.
  func consumer(_ consumer: Consumer, failed error: KafkaError)

  /// A line of librdkafka's own log.
  func consumer(_ consumer: Consumer, logged line: KafkaLogLine)

  /// librdkafka's statistics (JSON, its STATISTICS.md), every `statisticsInterval` if that is not zero.
  func consumer(_ consumer: Consumer, statistics json: String)

  /// After `Consumer.close()`: the group is left, all answers are in, no call follows.
  func consumerDidClose(_ consumer: Consumer)
}

extension ConsumerDelegate {
  public func consumerLeftGroup(_ consumer: Consumer) {}
  public func consumer(_ consumer: Consumer, logged line: KafkaLogLine) {}
  public func consumer(_ consumer: Consumer, statistics json: String) {}
}

/// A line of librdkafka's log.
public struct KafkaLogLine: Hashable, Sendable {
  /// As in syslog: 3 error, 4 warning, 5 notice, 6 information, 7 debug.
  public let level: Int32
  /// For example `FAIL` or `REBALANCE`.
  public let facility: String
  public let text: String
}

/// What became of one commit.
public struct CommitResult: Sendable {
  public let token: UInt64
  /// Of the whole request; nil if at least its delivery worked.
  public let error: KafkaError?
  public let partitions: [CommittedPartition]

  /// Every offset of the request is on the broker.
  public var isComplete: Bool { error == nil && partitions.allSatisfy { $0.error == nil } }
}

public struct CommittedPartition: Sendable {
  public let partition: Partition
  /// Next to read.
  public let offset: Offset
  public let error: KafkaError?
}

/// A range of offsets that was to be read and cannot be.
public struct OffsetGap: Hashable, Sendable, CustomStringConvertible {
  public enum Cause: Hashable, Sendable {
    /// The log begins later: retention, or a mock that trimmed.
    case belowLogStart
    /// The log ends before the committed offset: it was truncated or made anew. Nothing of it is skipped, reading
    /// begins at its start; `start` is the offset that was committed, `end` where reading goes on.
    case beyondLogEnd
    /// The stored batch fails its checksum or cannot be decompressed, also after fetching it again.
    case unreadable
  }
  public let partition: Partition
  /// First offset that cannot be read.
  public let start: Offset
  /// First offset that can, where consumption goes on.
  public let end: Offset
  public let cause: Cause

  public var description: String { "[\(partition)] \(start)..<\(end) (\(cause))" }
}

/// Where one partition stands, for lag and status.
public struct PartitionSurvey: Hashable, Sendable {
  public let partition: Partition
  /// The group's next to read; nil if it never committed.
  public let committed: Offset?
  /// First offset the log still holds.
  public let low: Offset
  /// Offset the next message will get.
  public let high: Offset

  /// Entries between what is committed (or the log's start) and its end.
  public var lag: Int64 { max(0, high.value - max(committed?.value ?? low.value, low.value)) }
}
