// Keeping the fetching going. librdkafka 2.0.2 stops fetching when its prefetch bound is reached and looks again only when
// its broker thread wakes up for some other reason, at the latest after a second: a consumer slower than its broker gets one
// bound's worth a second, however fast it is (measured: 16 MiB of 1.7 kB entries, 17,000 entries/s instead of 230,000).
//
// So when half of a once well filled queue has been taken, we give the broker threads a reason: a question for the log's
// ends with a time-out of zero. It is sent, nothing waits for the answer, and librdkafka drops it when it comes.
internal import CRdkafka
internal import PipelineCore

struct Refill {
  /// Partitions named in one question; their leaders are the brokers woken. Rotates, so that every broker has its turn.
  static let partitionsMax = 32

  private let messagesMax: Int
  private let bytesMax: Int
  /// Most messages seen waiting since the last question.
  private var peak = 0
  private(set) var nextPartition = 0

  /// - Parameter conf: with the bounds in force, the operator's included.
  init(_ conf: borrowing KafkaConf) {
    messagesMax = conf.get("queued.min.messages").flatMap(Int.init) ?? 100_000
    bytesMax = (conf.get("queued.max.messages.kbytes").flatMap(Int.init) ?? 65_536) * 1_024
  }

  /// - Parameter waiting: messages prefetched now.
  /// - Parameter bytesEach: average size of a message.
  /// - Returns: whether fetching may have stopped and there is room again.
  mutating func shouldAsk(waiting: Int, bytesEach: Int) -> Bool {
    peak = max(peak, waiting)
    let capacity = min(messagesMax, bytesMax / max(bytesEach, 1))
    guard peak >= capacity / 2, waiting <= peak / 2 else { return false }
    peak = waiting
    return true
  }

  mutating func rotate(count: Int) { nextPartition = count == 0 ? 0 : (nextPartition + Self.partitionsMax) % count }
}

extension Consumer {
  /// Once a turn. - Blocking: never.
  func keepFetching() {
    let waiting = rd_kafka_queue_length(messageQueue)
    let bytesEach = Int(statistics.bytes / max(statistics.messages, 1))
    guard refill.shouldAsk(waiting: waiting, bytesEach: bytesEach) else { return }
    let count = min(assignedPartitions.count, Refill.partitionsMax)
    let list = TopicPartitions(topic: topic, countMax: count)
    for step in 0..<count {
      list.add(assignedPartitions[(refill.nextPartition + step) % assignedPartitions.count], offset: LogicalOffset.end)
    }
    refill.rotate(count: assignedPartitions.count)
    statistics.refills &+= 1
    // _TIMED_OUT is the expected answer; any other only means that the library finds out by itself, a second later.
    _ = rd_kafka_offsets_for_times(handle.raw, list.raw, 0)
  }
}
