// Offsets that are not there. librdkafka runs with auto.offset.reset=error, so it reports instead of deciding:
//   no committed offset               → from the log's start (contract section 5)
//   committed below the log's start   → the owner is told the lost range, then from the log's start
//   committed beyond the log's end    → told, then from the log's start: the log was truncated or is another one
//   a batch that cannot be read       → fetched again, thrice; then on behind it, and the owner is told the range
//
// After such an error 2.0.2 leaves the partition stopped, and a stopped partition cannot be sought in. The way out is to
// assign again, everything at once and atomically, each partition at an explicit offset: the failed ones where they are
// to go on, the others at the position after the last message taken. Errors come one partition at a time, so they are
// collected for a moment first. A revocation cancels all of it: the next assignment finds its own errors.
//
// Nobody can say where an unreadable batch ends, so reading is tried one offset further each time. (Left to itself 2.0.2
// either fetches the batch for ever or, if its answer holds a further one, goes on as if nothing had been there.)
internal import CRdkafka
internal import PipelineCore
internal import Reactor

/// Partitions waiting to be set right.
struct Recovery {
  struct Failure {
    var code: KafkaError.Code
    /// Where the fetch failed; negative: there was no committed offset.
    var offset: Int64
  }

  enum Step {
    case idle
    /// More of them may come; the timer says when it begins.
    case collecting(TimerToken)
    /// A survey is under way for them.
    case asking
  }

  var failures: [Partition: Failure] = [:]
  var step = Step.idle
}

extension Consumer {
  /// Errors of one fetch come one after the other; wait for the rest.
  static let recoveryDelay = Duration.milliseconds(20)
  /// After a broker that did not answer.
  static let recoveryRetryDelay = Duration.seconds(1)
  /// Attempts to read a batch that fails its checksum, before it is given up.
  static let unreadableAttemptsMax = 3

  /// Notes that `partition` cannot go on from `offset`.
  func recover(_ partition: Partition, _ code: KafkaError.Code, at offset: Int64) {
    guard isFetching, isAssigned(partition) else { return }
    slots[Int(partition.value)].isFailed = true
    // The first error is the cause. After a failed checksum 2.0.2 reads on at a wrong place of the answer, and reports
    // what it takes for messages and offsets there.
    if recovery.failures[partition] == nil {
      recovery.failures[partition] = Recovery.Failure(code: code, offset: offset)
    }
    // Behind a batch that was given up there is nothing to wait for.
    scheduleRecovery(after: slots[Int(partition.value)].unreadableFrom == nil ? Self.recoveryDelay : .zero)
  }

  func cancelRecovery() {
    if case .collecting(let timer) = recovery.step { reactor.cancel(timer) }
    recovery = Recovery()
  }

  private func scheduleRecovery(after delay: Duration) {
    guard case .idle = recovery.step else { return }
    recovery.step = .collecting(reactor.schedule(at: .nowUncached() + delay, target: self, payload: Self.recoveryTimerPayload))
  }

  func recoverNow() {
    guard case .collecting = recovery.step else { return }
    recovery.step = .idle
    guard isFetching, !recovery.failures.isEmpty else { return }
    let unsure = recovery.failures.filter { $0.value.code == .offsetReset && $0.value.offset >= 0 }.map(\.key)
    guard !unsure.isEmpty else { return restart(ends: [:]) }
    let asked = generation
    recovery.step = .asking
    survey(unsure.sorted()) { [weak self] result in self?.didSurvey(result, askedIn: asked) }
  }

  func didSurvey(_ result: Result<[PartitionSurvey], KafkaError>, askedIn asked: UInt32) {
    guard isFetching, asked == generation, case .asking = recovery.step else { return }
    recovery.step = .idle
    switch result {
    // The two ends are two questions: between them the topic was truncated or made anew, and one of them is of neither log.
    case .success(let surveys) where surveys.contains { $0.low > $0.high }: scheduleRecovery(after: Self.recoveryRetryDelay)
    case .success(let surveys): restart(ends: Dictionary(uniqueKeysWithValues: surveys.map { ($0.partition, $0) }))
    case .failure(let error):
      delegate?.consumer(self, failed: error)
      scheduleRecovery(after: Self.recoveryRetryDelay)
    }
  }

  /// - Parameter ends: of the log, for those partitions that failed at an offset.
  private func restart(ends: [Partition: PartitionSurvey]) {
    for (partition, failure) in recovery.failures.sorted(by: { $0.key < $1.key }) {
      let index = Int(partition.value)
      switch failure.code {
      case .offsetReset where failure.offset < 0: slots[index].next = LogicalOffset.beginning
      case .offsetReset:
        guard let end = ends[partition] else { continue }  // failed while we asked: next round
        restartOutOfRange(partition, at: failure.offset, end)
      case .badMessage, .badCompression, .notImplemented: restartUnreadable(partition, at: failure.offset)
      default: break  // a stray message: from the position
      }
      recovery.failures[partition] = nil
      guard isFetching else { return }  // the owner unsubscribed or closed while it was told
    }
    reassign()
    for partition in assignedPartitions where recovery.failures[partition] == nil {
      slots[Int(partition.value)].isFailed = false
    }
    if !recovery.failures.isEmpty { scheduleRecovery(after: Self.recoveryDelay) }
  }

  private func restartOutOfRange(_ partition: Partition, at offset: Int64, _ end: PartitionSurvey) {
    let index = Int(partition.value)
    // Where we read, not where librdkafka thought it was; and if that is there after all, from there.
    let offset = slots[index].next ?? offset
    if offset >= end.low.value, offset <= end.high.value {
      slots[index].next = offset
      return
    }
    slots[index].next = end.low.value
    slots[index].hasTaken = false
    skip(
      OffsetGap(
        partition: partition, start: Offset(offset), end: end.low,
        cause: offset < end.low.value ? .belowLogStart : .beyondLogEnd))
  }

  /// - Parameter batch: its first offset, which is all librdkafka tells of it.
  private func restartUnreadable(_ partition: Partition, at batch: Int64) {
    let index = Int(partition.value)
    let next = slots[index].next ?? batch
    if slots[index].unreadableBatch != batch {
      slots[index].unreadableBatch = batch
      slots[index].unreadableCount = 0
    }
    slots[index].unreadableCount += 1
    slots[index].next = next
    guard slots[index].unreadableCount >= Self.unreadableAttemptsMax else { return }
    if slots[index].unreadableFrom == nil { slots[index].unreadableFrom = max(next, batch) }
    slots[index].next = max(next, batch) + 1
  }

  /// The first message behind what could not be read.
  func endUnreadable(_ partition: Partition, at offset: Int64) {
    let index = Int(partition.value)
    guard let start = slots[index].unreadableFrom else { return }
    slots[index].unreadableFrom = nil
    slots[index].next = offset
    skip(OffsetGap(partition: partition, start: Offset(start), end: Offset(offset), cause: .unreadable))
  }

  private func skip(_ gap: OffsetGap) {
    statistics.gaps += 1
    delegate?.consumer(self, skipped: gap)
  }

  /// For an owner that is given nothing of what is there, for whatever reason: fetching starts anew where it stands.
  /// - Thread: reactor. - Blocking: some milliseconds, for librdkafka's main thread.
  public func assignAgain() {
    // Otherwise somebody is at it already.
    guard isFetching, recovery.failures.isEmpty else { return }
    reassign()
  }

  /// Assigns the same partitions again, each at its position.
  ///
  /// rd_kafka_assign replaces atomically: should the group be rebalancing at this moment, the revocation that is on its
  /// way takes the new assignment like the old one. It stops each partition, which also ends its forwarding to our
  /// queue; the forwarding is set again once the stop has been done. What comes in between stays in the partition's
  /// own queue and is moved over then, in order.
  private func reassign() {
    statistics.recoveries += 1
    let list = TopicPartitions(topic: topic, countMax: assignedPartitions.count)
    for partition in assignedPartitions {
      list.add(partition, offset: slots[Int(partition.value)].next ?? LogicalOffset.stored)
      if slots[Int(partition.value)].next == LogicalOffset.beginning { slots[Int(partition.value)].next = nil }
    }
    report(rd_kafka_assign(handle.raw, list.raw), "rd_kafka_assign again")
    waitForMainThread()
    forwardPartitions()
    messagesMayBeQueued = true
    wake()
  }
}
