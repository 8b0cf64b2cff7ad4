// What librdkafka's callbacks leave behind. A callback copies what it is told into this list and returns; the consumer
// reads the list after the poll the callback ran in. So no code of the owner ever runs inside librdkafka, and a
// rebalance callback returns at once: assign and unassign are called later.
//
// The callbacks of one instance share one opaque pointer, to this. Those with a queue behind them run inside our polls,
// on the reactor's thread. Only log lines may come from elsewhere, when the instance is torn down: `isOpen` drops them.
internal import CRdkafka
internal import PipelineCore
internal import Synchronization

final class ConsumerEvents: @unchecked Sendable {  // `list` is touched only by the reactor's thread: see above
  enum Event {
    case assigned([Partition])
    /// All of them: the protocol is the eager one.
    case revoked(isLost: Bool)
    case rebalanceFailed(KafkaError)
    case committed(token: UInt64, KafkaError.Code, [PartitionOffset])
    case failed(KafkaError)
    case logged(KafkaLogLine)
    case statistics(String)
  }

  /// Log lines kept between two turns; the rest is dropped, and one line says how many.
  static let logLinesMax = 1_000

  var list: [Event] = []
  private var logLines = 0
  private var logLinesDropped = 0
  private let isOpen = Atomic<Bool>(true)

  func take() -> [Event] {
    guard !list.isEmpty else { return [] }
    logLines = 0
    if logLinesDropped > 0 {
      list.append(.logged(KafkaLogLine(level: 4, facility: "DROPPED", text: "\(logLinesDropped) lines of the library's log")))
      logLinesDropped = 0
    }
    defer { list = [] }
    return list
  }

  /// From here on every callback is ignored.
  func close() { isOpen.store(false, ordering: .releasing) }

  func log(_ line: KafkaLogLine) {
    guard logLines < Self.logLinesMax else {
      logLinesDropped += 1
      return
    }
    logLines += 1
    list.append(.logged(line))
  }

  /// The list behind an opaque pointer, nil once closed.
  static func of(_ opaque: UnsafeMutableRawPointer?) -> ConsumerEvents? {
    guard let opaque else { return nil }
    let events = Unmanaged<ConsumerEvents>.fromOpaque(opaque).takeUnretainedValue()
    return events.isOpen.load(ordering: .acquiring) ? events : nil
  }

  func install(in conf: borrowing KafkaConf) {
    rd_kafka_conf_set_opaque(conf.raw, Unmanaged.passUnretained(self).toOpaque())
    rd_kafka_conf_set_rebalance_cb(conf.raw, rebalanceCallback)
    rd_kafka_conf_set_error_cb(conf.raw, errorCallback)
    rd_kafka_conf_set_log_cb(conf.raw, logCallback)
    rd_kafka_conf_set_stats_cb(conf.raw, statisticsCallback)
  }
}

// Named functions, not closures: a closure literal would inherit the isolation of the place it is written in, which is
// checked on entry and may be wrong there.

private nonisolated func rebalanceCallback(
  _ rk: OpaquePointer?, _ code: rd_kafka_resp_err_t, _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?,
  _ opaque: UnsafeMutableRawPointer?
) {
  guard let events = ConsumerEvents.of(opaque) else { return }
  switch code {
  case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS: events.list.append(.assigned(TopicPartitions.read(list).map(\.partition)))
  case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS: events.list.append(.revoked(isLost: rd_kafka_assignment_lost(rk) != 0))
  default: events.list.append(.rebalanceFailed(KafkaError(code, call: "rebalance")))
  }
}

private nonisolated func errorCallback(
  _ rk: OpaquePointer?, _ code: Int32, _ reason: UnsafePointer<CChar>?, _ opaque: UnsafeMutableRawPointer?
) {
  guard let events = ConsumerEvents.of(opaque) else { return }
  let error = KafkaError(
    KafkaError.Code(rawValue: code), call: "librdkafka", reason: reason.map { String(cString: $0) })
  events.list.append(.failed(error))
}

private nonisolated func logCallback(
  _ rk: OpaquePointer?, _ level: Int32, _ facility: UnsafePointer<CChar>?, _ text: UnsafePointer<CChar>?
) {
  guard let rk, let events = ConsumerEvents.of(rd_kafka_opaque(rk)) else { return }
  events.log(
    KafkaLogLine(
      level: level, facility: facility.map { String(cString: $0) } ?? "", text: text.map { String(cString: $0) } ?? ""))
}

private nonisolated func statisticsCallback(
  _ rk: OpaquePointer?, _ json: UnsafeMutablePointer<CChar>?, _ count: Int, _ opaque: UnsafeMutableRawPointer?
) -> Int32 {
  guard let events = ConsumerEvents.of(opaque), let json else { return 0 }
  events.list.append(.statistics(String(cString: json)))
  return 0  // librdkafka frees the text
}

/// Of `rd_kafka_commit_queue`; its opaque is the token, so the list is found through the instance.
nonisolated func commitCallback(
  _ rk: OpaquePointer?, _ code: rd_kafka_resp_err_t, _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?,
  _ opaque: UnsafeMutableRawPointer?
) {
  guard let rk, let events = ConsumerEvents.of(rd_kafka_opaque(rk)) else { return }
  let token = UInt64(UInt(bitPattern: opaque))
  events.list.append(.committed(token: token, KafkaError.Code(code), TopicPartitions.read(list)))
}
