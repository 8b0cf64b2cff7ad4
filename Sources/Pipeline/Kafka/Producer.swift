// Messages to any topic, on a reactor. Each accepted message is reported exactly once, delivered or failed, by the token
// its owner gave it; what does not fit the bound is refused, which is the back-pressure. Nothing waits for a broker.
//
// Order within a partition is the order of `produce`, also through librdkafka's retries (one request in flight). A
// message reported as failed may still be on the broker: at least once, never "maybe lost and acknowledged".
internal import CRdkafka
public import PipelineCore
public import Reactor

public final class Producer: EventSource, TimerTarget {
  /// Events served in one turn; one event may report a whole batch.
  static let eventsPerTurnMax = 16
  /// Time to deliver what is accepted when closing; then the rest is reported as failed.
  public static let closeTimeMax = Duration.seconds(5)
  /// Time for librdkafka to report what it threw away.
  static let purgeTimeMax = Duration.seconds(1)

  public struct Statistics: Sendable {
    public var accepted: UInt64 = 0
    public var delivered: UInt64 = 0
    public var failed: UInt64 = 0
    public var refused: UInt64 = 0
  }

  public private(set) var statistics = Statistics()
  /// Accepted and not reported yet.
  public private(set) var outstandingCount = 0

  private enum Phase {
    case open
    /// Delivering what is left.
    case closing
    /// Threw away what is left; waiting to be told so.
    case purging
    case closed
  }

  private let countMax: Int
  /// It owns us through its table of sources.
  private unowned let reactor: Reactor
  let handle: KafkaHandle
  let signal: QueueSignal
  let descriptions = ClerkAnswers<[PartitionReplicas]?>()
  var describeCount: UInt64 = 0
  var describeReplies: [UInt64: (Result<[PartitionReplicas]?, KafkaError>) -> Void] = [:]
  private let queue: OpaquePointer
  private var topics: [String: OpaquePointer] = [:]
  private var delegate: (any ProducerDelegate)?
  private var token: SourceToken?
  private var phase = Phase.open
  var isOpen: Bool { phase == .open }
  private var owesRoom = false
  private var deadline: TimerToken?

  /// Makes an instance of librdkafka, with its threads.
  /// - Parameter delegate: kept alive until `producerDidClose`.
  /// - Thread: the reactor's. - Blocking: some milliseconds, for librdkafka to start its threads.
  /// - Errors: a property that cannot be, or no threads or descriptors.
  public init(
    _ configuration: ProducerConfiguration, on reactor: Reactor, delegate: any ProducerDelegate
  ) throws(KafkaError) {
    reactor.assertCurrent()
    let conf: KafkaConf
    do throws(KafkaPropertyError) { conf = try configuration.conf() } catch {
      throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, call: "kafka.properties", reason: error.description)
    }
    rd_kafka_conf_set_events(conf.raw, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS)
    signal = try QueueSignal()
    handle = try KafkaHandle(RD_KAFKA_PRODUCER, conf: conf, call: "rd_kafka_new producer")
    rd_kafka_set_log_queue(handle.raw, nil)
    guard let main = rd_kafka_queue_get_main(handle.raw) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, call: "rd_kafka_queue_get_main")
    }
    countMax = configuration.countMax
    self.reactor = reactor
    queue = main
    self.delegate = delegate
    signal.attach(queue)
    do throws(Errno) { token = try reactor.register(fd: signal.fd, interest: .read, source: self) } catch {
      signal.detach(queue)
      throw KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, call: "epoll_ctl", reason: error.description)
    }
    wake()
  }

  deinit {
    // Again, for a producer whose reactor went before it was closed: the descriptor's number will be somebody else's.
    signal.detach(queue)
    for topic in topics.values { rd_kafka_topic_destroy(topic) }
    rd_kafka_queue_destroy(queue)
  }

  // MARK: For the owner

  /// Takes a copy of the message to deliver it. The answer comes as `ProducerDelegate.producer(_:delivered:)`.
  /// - Parameter key: nil: none, and any partition; else the partition follows from it, as for every librdkafka client.
  /// - Parameter value: nil: a tombstone.
  /// - Parameter partition: only to override the partitioner.
  /// - Parameter token: the owner's, given back with the report.
  /// - Thread: reactor. - Blocking: never.
  /// - Errors: `.queueFull` (wait for reports or `producerHasRoom`), `.messageTooLarge`, an unknown partition, `.closing`.
  public func produce(
    topic: String, key: Span<UInt8>?, value: Span<UInt8>?, headers: [(name: String, value: [UInt8])] = [],
    partition: Partition? = nil, token: UInt64
  ) throws(KafkaError) {
    let code = withBytes(key) { key in
      withBytes(value) { value in accept(topic, key, value, headers, partition, token) }
    }
    try check(code, topic, partition)
  }

  /// The same from arrays.
  public func produce(
    topic: String, key: [UInt8]?, value: [UInt8]?, headers: [(name: String, value: [UInt8])] = [],
    partition: Partition? = nil, token: UInt64
  ) throws(KafkaError) {
    let code = withBytes(key) { key in
      withBytes(value) { value in accept(topic, key, value, headers, partition, token) }
    }
    try check(code, topic, partition)
  }

  /// Accepts nothing more, delivers what is accepted for at most `closeTimeMax`, reports the rest as failed; ends in
  /// `producerDidClose`. Repeating it does nothing.
  /// - Thread: reactor. - Blocking: never.
  public func close() {
    reactor.assertCurrent()
    guard phase == .open else { return }
    phase = .closing
    deadline = reactor.schedule(at: .nowUncached() + Self.closeTimeMax, target: self, payload: 0)
    wake()
  }

  // MARK: Turns

  public func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    signal.drain()
    wake()
  }

  public func runTurn(_ reactor: Reactor) -> Turn {
    guard phase != .closed else { return .idle }
    var events = 0
    while events < Self.eventsPerTurnMax, let event = rd_kafka_queue_poll(queue, 0) {
      events += 1
      handle(event)
      rd_kafka_event_destroy(event)
    }
    answerDescriptions()
    if owesRoom && outstandingCount <= countMax / 2 {
      owesRoom = false
      delegate?.producerHasRoom(self)
    }
    if phase != .open && outstandingCount == 0 { finishClose() }
    return events == Self.eventsPerTurnMax ? .again : .idle
  }

  public func timerFired(_ reactor: Reactor, payload: UInt64) {
    switch phase {
    case .closing:
      phase = .purging
      rd_kafka_purge(
        handle.raw, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING)
      deadline = reactor.schedule(at: .nowUncached() + Self.purgeTimeMax, target: self, payload: 0)
      wake()
    case .purging:
      delegate?.producer(
        self, failed: KafkaError(.timedOut, call: "close", reason: "\(outstandingCount) messages were never reported"))
      finishClose()
    case .open, .closed: break
    }
  }

  public func didClose(_ reactor: Reactor) {
    let delegate = delegate
    self.delegate = nil
    delegate?.producerDidClose(self)
  }

  private func wake() {
    if let token { reactor.markReady(token) }
  }

  private func handle(_ event: OpaquePointer) {
    switch rd_kafka_event_type(event) {
    case RD_KAFKA_EVENT_DR:
      while let message = rd_kafka_event_message_next(event) { report(message) }
    case RD_KAFKA_EVENT_ERROR:
      let reason = rd_kafka_event_error_string(event).map { String(cString: $0) }
      let code = rd_kafka_event_error_is_fatal(event) != 0 ? RD_KAFKA_RESP_ERR__FATAL : rd_kafka_event_error(event)
      delegate?.producer(self, failed: KafkaError(code, call: "librdkafka", reason: reason))
    case RD_KAFKA_EVENT_LOG:
      var facility: UnsafePointer<CChar>?
      var text: UnsafePointer<CChar>?
      var level: Int32 = 0
      guard rd_kafka_event_log(event, &facility, &text, &level) == 0, let facility, let text else { return }
      delegate?.producer(
        self, logged: KafkaLogLine(level: level, facility: String(cString: facility), text: String(cString: text)))
    case RD_KAFKA_EVENT_STATS:
      if let json = rd_kafka_event_stats(event) { delegate?.producer(self, statistics: String(cString: json)) }
    default: break  // not asked for
    }
  }

  private func report(_ message: UnsafePointer<rd_kafka_message_t>) {
    let message = message.pointee
    var error: KafkaError?
    var failedValue: [UInt8] = []
    if message.err == RD_KAFKA_RESP_ERR_NO_ERROR {
      statistics.delivered += 1
    } else {
      statistics.failed += 1
      let topic = rd_kafka_topic_name(message.rkt).map { String(cString: $0) }
      error = KafkaError(message.err, call: "produce", topic: topic, partition: Partition(message.partition))
      failedValue = Array(UnsafeRawBufferPointer(start: message.payload, count: message.payload == nil ? 0 : message.len))
    }
    outstandingCount -= 1
    let token = UInt64(UInt(bitPattern: message._private))
    delegate?.producer(
      self,
      delivered: Delivery(
        token: token, partition: Partition(message.partition), offset: Offset(message.offset), error: error, failedValue: failedValue))
  }

  private func finishClose() {
    phase = .closed
    failDescriptions()
    if let deadline { reactor.cancel(deadline) }
    signal.detach(queue)
    if let token { reactor.scheduleClose(token) }
    token = nil
  }

  // MARK: Into librdkafka

  private typealias Bytes = (start: UnsafeRawPointer?, count: Int)

  private func accept(
    _ name: String, _ key: Bytes, _ value: Bytes, _ headers: [(name: String, value: [UInt8])], _ partition: Partition?,
    _ token: UInt64
  ) -> rd_kafka_resp_err_t {
    reactor.assertCurrent()
    guard phase == .open else { return RD_KAFKA_RESP_ERR__DESTROY }
    guard let topic = topic(name) else { return rd_kafka_last_error() }
    return headers.isEmpty
      ? enqueue(topic, partition, key, value, token)
      : enqueue(topic, partition, key, value, token, headers)
  }

  private func check(_ code: rd_kafka_resp_err_t, _ topic: String, _ partition: Partition?) throws(KafkaError) {
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
      statistics.refused += 1
      if code == RD_KAFKA_RESP_ERR__QUEUE_FULL { owesRoom = true }
      throw KafkaError(code, call: "produce", topic: topic, partition: partition)
    }
    statistics.accepted += 1
    outstandingCount += 1
  }

  /// librdkafka's local object of a topic, kept until the producer goes; nil: see rd_kafka_last_error.
  private func topic(_ name: String) -> OpaquePointer? {
    if let known = topics[name] { return known }
    let made = rd_kafka_topic_new(handle.raw, name, nil)
    topics[name] = made
    return made
  }

  private func enqueue(
    _ topic: OpaquePointer, _ partition: Partition?, _ key: Bytes, _ value: Bytes, _ token: UInt64
  ) -> rd_kafka_resp_err_t {
    let result = rd_kafka_produce(
      topic, partition?.value ?? -1, RD_KAFKA_MSG_F_COPY, UnsafeMutableRawPointer(mutating: value.start), value.count,
      key.start, key.count, UnsafeMutableRawPointer(bitPattern: UInt(token)))
    return result == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_last_error()
  }

  private func enqueue(
    _ topic: OpaquePointer, _ partition: Partition?, _ key: Bytes, _ value: Bytes, _ token: UInt64,
    _ headers: [(name: String, value: [UInt8])]
  ) -> rd_kafka_resp_err_t {
    guard let list = rd_kafka_headers_new(headers.count) else { return RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE }
    for header in headers {
      let code = rd_kafka_header_add(list, header.name, -1, header.value, header.value.count)
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
        rd_kafka_headers_destroy(list)
        return code
      }
    }
    let fields = [
      Self.field(RD_KAFKA_VTYPE_RKT) { $0.rkt = topic },
      Self.field(RD_KAFKA_VTYPE_PARTITION) { $0.i32 = partition?.value ?? -1 },
      Self.field(RD_KAFKA_VTYPE_MSGFLAGS) { $0.i = RD_KAFKA_MSG_F_COPY },
      Self.field(RD_KAFKA_VTYPE_VALUE) { $0.mem = .init(ptr: UnsafeMutableRawPointer(mutating: value.start), size: value.count) },
      Self.field(RD_KAFKA_VTYPE_KEY) { $0.mem = .init(ptr: UnsafeMutableRawPointer(mutating: key.start), size: key.count) },
      Self.field(RD_KAFKA_VTYPE_OPAQUE) { $0.ptr = UnsafeMutableRawPointer(bitPattern: UInt(token)) },
      Self.field(RD_KAFKA_VTYPE_HEADERS) { $0.headers = list },
    ]
    guard let error = rd_kafka_produceva(handle.raw, fields, fields.count) else { return RD_KAFKA_RESP_ERR_NO_ERROR }
    let code = rd_kafka_error_code(error)
    rd_kafka_error_destroy(error)
    rd_kafka_headers_destroy(list)  // librdkafka takes it over only when it accepts the message
    return code
  }

  private static func field(_ type: rd_kafka_vtype_t, _ fill: (inout rd_kafka_vu_s.__Unnamed_union_u) -> Void) -> rd_kafka_vu_t {
    var field = rd_kafka_vu_t()
    field.vtype = type
    fill(&field.u)
    return field
  }

  /// nil stays nil; empty is not nil to librdkafka, so it gets an address.
  private func withBytes<R>(_ span: Span<UInt8>?, _ body: (Bytes) -> R) -> R {
    guard let span else { return body((nil, 0)) }
    return span.withUnsafeBytes { bytes in
      body((bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1), bytes.count))
    }
  }
  private func withBytes<R>(_ array: [UInt8]?, _ body: (Bytes) -> R) -> R {
    guard let array else { return body((nil, 0)) }
    return array.withUnsafeBytes { bytes in
      body((bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1), bytes.count))
    }
  }
}
