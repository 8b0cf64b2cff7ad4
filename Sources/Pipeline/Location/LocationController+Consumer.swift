// What librdkafka tells a location, handed to the part it concerns.
internal import Logging
public import PipelineCore
internal import Reactor

extension LocationController: ConsumerDelegate {
  /// Ranges remembered for the API.
  static let gapsMax = 100

  public func consumerMayTake(_ consumer: Consumer) -> Int { credit }

  public func consumer(_ consumer: Consumer, received message: consuming KafkaMessage) { received(message) }

  public func consumer(_ consumer: Consumer, assigned partitions: [Partition], generation: UInt32) {
    granted(partitions, generation: generation)
  }

  public func consumer(_ consumer: Consumer, revoked partitions: [Partition], generation: UInt32, isLost: Bool) {
    revoked(generation: generation, isLost: isLost)
  }

  public func consumerLeftGroup(_ consumer: Consumer) {
    forgetCarriedCommits()
    apply(machine.handle(.leftGroup))
  }

  public func consumer(_ consumer: Consumer, committed result: CommitResult) { committed(result) }

  public func consumer(_ consumer: Consumer, skipped gap: OffsetGap) {
    if case .standalone = options.consumer.membership, gap.cause == .belowLogStart {
      // The window is there so that this cannot be; going on would lose entries silently (contract section 2).
      preconditionFailure("the embedded broker dropped entries that were not consumed: \(options.consumer.topic) \(gap)")
    }
    counters.gapEntries += UInt64(max(0, gap.end.value - gap.start.value))
    if gaps.count == Self.gapsMax { gaps.removeFirst() }
    gaps.append(gap)
    log.critical(
      "entries were lost before they could be read",
      metadata: ["topic": "\(options.consumer.topic)", "range": "\(gap)"])
  }

  public func consumer(_ consumer: Consumer, failed error: KafkaError) {
    log.log(level: error.isRetriable ? .warning : .error, "consumer", metadata: ["error": "\(error)"])
    if error.isFatal { cannotGoOn(error) }
  }

  /// Said from a turn of its own: whoever hears it stops this location, and this may be in the middle of what its machine asked for.
  func cannotGoOn(_ error: KafkaError) {
    reactor.schedule(after: .zero) { [weak self] _ in
      guard let self else { return }
      observer?.location(self, cannotGoOn: error)
    }
  }

  public func consumer(_ consumer: Consumer, statistics json: String) {
    kafkaFigures = KafkaFigures(statistics: json)
  }

  public func consumer(_ consumer: Consumer, logged line: KafkaLogLine) { log.librdkafka(line) }

  public func consumerDidClose(_ consumer: Consumer) { apply(machine.handle(.consumerClosed)) }
}

extension Logger {
  /// librdkafka logs in syslog's levels; its notices and information are our debug.
  func librdkafka(_ line: KafkaLogLine) {
    // Producers and consumers are given the same properties; that one kind ignores the other's is no news.
    let isNoise = line.facility == "CONFWARN" && line.text.contains("will be ignored by this")
    let level: Logger.Level = isNoise ? .debug : line.level <= 3 ? .error : line.level == 4 ? .warning : .debug
    log(level: level, "librdkafka", metadata: ["facility": "\(line.facility)", "text": "\(line.text)"])
  }
}
