// From a topic into Redis: messages in batches, one command or a few for each batch, offsets committed when Redis has answered.
// While Redis is away nothing is taken; the topic keeps it.
//
// At least once: a batch whose answer is lost is sent again. For the failed list that changes nothing, counters count it twice.
//
// - Thread: the reactor's.
internal import Logging
internal import PipelineCore
internal import Reactor

final class TopicDrain: ConsumerDelegate {
  static let batchMax = 200
  /// Taken and not yet in Redis.
  static let waitingMax = 1_000
  static let retryDelay = Duration.milliseconds(500)

  private struct Waiting {
    var partition: Partition
    var offset: Offset
    var payload: [UInt8]
  }

  private let reactor: Reactor
  private let redis: RedisCaller
  private let log: Logger
  private let commands: ([[UInt8]]) -> [[[UInt8]]]
  private var consumer: Consumer!
  private var waiting: [Waiting] = []
  private var assignment: UInt32 = 0
  private var isBusy = false
  private var isClosing = false
  private var closed: (() -> Void)?
  private(set) var writtenCount: UInt64 = 0

  /// - Parameter commands: what to send for a batch of payloads; none for messages that say nothing.
  init(
    _ configuration: ConsumerConfiguration, reactor: Reactor, redis: RedisCaller, log: Logger,
    commands: @escaping ([[UInt8]]) -> [[[UInt8]]]
  ) throws(KafkaError) {
    self.reactor = reactor
    self.redis = redis
    self.log = log
    self.commands = commands
    consumer = try Consumer(configuration, on: reactor, delegate: self)
    try consumer.subscribe()
  }

  func close(_ completion: @escaping () -> Void) {
    isClosing = true
    waiting.removeAll()
    closed = completion
    consumer.close()
  }

  // MARK: Batches

  private func flush() {
    guard !isBusy, !waiting.isEmpty, !isClosing else { return }
    isBusy = true
    let batch = Array(waiting.prefix(Self.batchMax))
    let assignment = assignment
    let pending = commands(batch.map(\.payload))
    guard !pending.isEmpty else { return written(batch, assignment) }
    var missing = pending.count
    var failure: ControlBusError?
    for command in pending {
      redis.send(command) { [weak self] result in
        if case .failure(let error) = result { failure = error }
        missing -= 1
        guard missing == 0, let self else { return }
        if let failure { retry(failure) } else { written(batch, assignment) }
      }
    }
  }

  private func written(_ batch: [Waiting], _ assignment: UInt32) {
    isBusy = false
    guard !isClosing else { return }
    writtenCount += UInt64(batch.count)
    // After a rebalance the rest belongs to somebody else; what was written is written again there.
    if assignment == self.assignment {
      waiting.removeFirst(batch.count)
      commit(batch)
    }
    consumer.creditAvailable()
    flush()
  }

  private func retry(_ error: ControlBusError) {
    log.debug("Redis does not take it, it is sent again", metadata: ["error": "\(error)"])
    reactor.schedule(after: Self.retryDelay) { [weak self] _ in
      self?.isBusy = false
      self?.flush()
    }
  }

  private func commit(_ batch: [Waiting]) {
    var next: [Partition: Offset] = [:]
    for item in batch { next[item.partition] = Offset(item.offset.value + 1) }
    do throws(KafkaError) {
      _ = try consumer.commit(next.map { (partition: $0.key, offset: $0.value) })
    } catch {
      // Part of the next one, or done again by whoever owns the partition then.
      log.warning("commit not sent", metadata: ["error": "\(error)"])
    }
  }

  // MARK: ConsumerDelegate

  func consumerMayTake(_ consumer: Consumer) -> Int { isClosing ? 0 : Self.waitingMax - waiting.count }

  func consumer(_ consumer: Consumer, received message: consuming KafkaMessage) {
    let payload = message.withPayload { bytes in
      [UInt8](unsafeUninitializedCapacity: bytes.count) { buffer, count in
        for index in 0..<bytes.count { buffer[index] = bytes[index] }
        count = bytes.count
      }
    }
    waiting.append(Waiting(partition: message.partition, offset: message.offset, payload: payload))
    flush()
  }

  func consumer(_ consumer: Consumer, assigned partitions: [Partition], generation: UInt32) {
    assignment &+= 1
    waiting.removeAll()
    consumer.assign(generation, paused: [])
  }

  func consumer(_ consumer: Consumer, revoked partitions: [Partition], generation: UInt32, isLost: Bool) {
    assignment &+= 1
    waiting.removeAll()
    consumer.unassign(generation)
  }

  func consumer(_ consumer: Consumer, committed result: CommitResult) {
    if !result.isComplete { log.debug("commit refused; what is not committed is written again") }
  }

  func consumer(_ consumer: Consumer, skipped gap: OffsetGap) {
    log.critical("messages were lost before they could be read", metadata: ["range": "\(gap)"])
  }

  func consumer(_ consumer: Consumer, failed error: KafkaError) {
    // It has no static name, so nothing is fatal to it.
    log.log(level: error.isRetriable ? .warning : .error, "consumer", metadata: ["error": "\(error)"])
  }

  func consumer(_ consumer: Consumer, logged line: KafkaLogLine) { log.librdkafka(line) }

  func consumerDidClose(_ consumer: Consumer) {
    closed?()
    closed = nil
  }
}
