// One member of one group on one topic, on a reactor: librdkafka's queues wake it through an eventfd, messages are taken
// one at a time and only while the owner has room, and nothing here waits for a broker.
//
// Two queues, and that is the design. librdkafka puts messages, rebalances, commit answers and log lines of a group
// into one queue; with no room for a message at its head, a rebalance behind it would not be seen, and a consumer that
// stops polling is expelled after max.poll.interval.ms. So each assigned partition is forwarded to a queue of our own:
//   control   always served: at each wake-up and at least every quarter of max.poll.interval.ms. Full, paused or idle,
//             the group is never left for want of a poll, and nobody has to pause partitions to stay in it.
//   messages  served only while `consumerMayTake` answers more than 0. What is prefetched there stays there, in order.
//
// Both are drained in bounded turns of the ready list; the descriptor tells only of the edge from empty (QueueSignal),
// so `messagesMayBeQueued` remembers what a turn, or a lack of credit, left behind.
//
// Invariants: every `assigned` is followed by exactly one `revoked` or by `consumerDidClose`; `assign` and `unassign` of
// an old generation do nothing; each partition is paused at most once at a time. Calls into librdkafka are of three
// kinds: immediate ones; subscribe, assign, pause and resume, which wait for librdkafka's own main thread (tens of
// microseconds, no network); and queries of brokers, which go to KafkaClerk.
//
// 2.0.2 notes: single polls, because batches are wrong with pause and resume; the eager assignor; no commit or seek of
// librdkafka's own. Other parts: +Rebalance, +Commit, +Recovery, +Survey, +Close.
internal import CRdkafka
internal import PipelineCore
public import Reactor

public final class Consumer: EventSource, TimerTarget {
  /// Messages polled in one turn, taken or thrown away, so that one location cannot starve the others.
  static let messagesPerTurnMax = 64
  /// Returned errors served in one turn (callbacks have no such bound in librdkafka; their lists have).
  static let controlPollsPerTurnMax = 64
  /// Longest time between two polls of the control queue, whatever max.poll.interval.ms says.
  static let serveInterval = Duration.seconds(1)
  /// Commits waiting for their answer; a further one is refused with `.tooManyCommits`.
  public static let commitsInFlightMax = 64

  public struct Statistics: Sendable {
    public var messages: UInt64 = 0
    public var bytes: UInt64 = 0
    /// Offsets jumped over within an assignment: compaction, transaction markers, or a fault of the library.
    public var jumps: UInt64 = 0
    /// Messages below the expected offset within an assignment: delivered again.
    public var repeats: UInt64 = 0
    public var assignments: UInt64 = 0
    public var gaps: UInt64 = 0
    /// Assignments made again because an offset was not there (Consumer+Recovery).
    public var recoveries: UInt64 = 0
    /// Times librdkafka was woken to fetch on (Consumer+Refill).
    public var refills: UInt64 = 0
  }

  public let topic: String
  public let groupId: String
  public internal(set) var statistics = Statistics()

  let configuration: ConsumerConfiguration
  /// It owns us through its table of sources.
  unowned let reactor: Reactor
  let handle: KafkaHandle
  let events: ConsumerEvents
  let signal: QueueSignal
  let controlQueue: OpaquePointer
  let messageQueue: OpaquePointer
  /// Held strongly until the close is done.
  var delegate: (any ConsumerDelegate)?
  var token: SourceToken?

  var phase = Phase.idle
  var generation: UInt32 = 0
  var messagesMayBeQueued = false
  private var turnIsOver = false
  /// By partition number.
  var slots: [PartitionSlot] = []
  var assignedPartitions: [Partition] = []

  var commitCount: UInt64 = 0
  /// By token: when its answer is no longer waited for.
  var commitsInFlight: [UInt64: Instant] = [:]
  /// librdkafka's own bounds for a commit, added up.
  let commitTimeMax: Duration
  var recovery = Recovery()
  var refill: Refill
  let surveys = ClerkAnswers<[PartitionSurvey]>()
  var surveyReplies: [UInt64: (Result<[PartitionSurvey], KafkaError>) -> Void] = [:]
  var closeDeadline: TimerToken?
  private var serveTimer: TimerToken?
  private let serveEvery: Duration

  /// Whether the group is wanted is part of it: each of them but the last two is one or the other.
  enum Phase: Equatable {
    /// Not subscribed, nothing assigned.
    case idle
    /// Subscribed, waiting for the group.
    case joining
    /// The owner has been told of partitions and has not called `assign` yet.
    case offered
    /// Fetching. Leaving: unsubscribed, the revocation is on its way.
    case assigned(isLeaving: Bool)
    /// Unsubscribed while offered: librdkafka has been given an empty assignment and will revoke it.
    case declined(rejoins: Bool)
    /// The owner has been told of a revocation and has not called `unassign` yet.
    case revoking(rejoins: Bool)
    case closing
    case closed
  }

  var isSubscribed: Bool {
    switch phase {
    case .joining, .offered: true
    case .assigned(let isLeaving): !isLeaving
    case .declined(let rejoins), .revoking(let rejoins): rejoins
    case .idle, .closing, .closed: false
    }
  }
  var isFetching: Bool { if case .assigned = phase { true } else { false } }
  var isRevoking: Bool { if case .revoking = phase { true } else { false } }

  /// What is known of one partition.
  struct PartitionSlot {
    var isAssigned = false
    /// Offset of the next message: one after the last taken, or where fetching was told to start. nil before either.
    var next: Int64?
    /// Confirmed by the broker in this process.
    var committed: Int64?
    /// `next` comes from a message (a jump behind it is worth counting).
    var hasTaken = false
    var isPaused = false
    /// An error was met: what comes of it is thrown away until Consumer+Recovery has set it right.
    var isFailed = false
    /// The unreadable batch met last (its first offset), how often, and where reading stood when it was given up.
    var unreadableBatch: Int64 = -1
    var unreadableCount = 0
    var unreadableFrom: Int64?
  }

  static let serveTimerPayload: UInt64 = 0
  static let recoveryTimerPayload: UInt64 = 1
  static let closeTimerPayload: UInt64 = 2

  /// Makes an instance of librdkafka, with its threads. It connects; it joins no group before `subscribe()`.
  /// - Parameter delegate: kept alive until `consumerDidClose`.
  /// - Thread: the reactor's. - Blocking: some milliseconds, for librdkafka to start its threads.
  /// - Errors: a property that cannot be, or no threads or descriptors.
  public init(
    _ configuration: ConsumerConfiguration, on reactor: Reactor, delegate: any ConsumerDelegate
  ) throws(KafkaError) {
    reactor.assertCurrent()
    let conf: KafkaConf
    do throws(KafkaPropertyError) { conf = try configuration.conf() } catch {
      throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, call: "kafka.properties", reason: error.description)
    }
    let events = ConsumerEvents()
    events.install(in: conf)
    FetchThreads.install(in: conf)
    let maxPoll = Duration.milliseconds(conf.get("max.poll.interval.ms").flatMap(Int.init) ?? 300_000)
    let sessionMs = conf.get("session.timeout.ms").flatMap(Int.init) ?? 45_000
    let socketMs = conf.get("socket.timeout.ms").flatMap(Int.init) ?? 60_000
    commitTimeMax = .milliseconds(sessionMs + socketMs)
    refill = Refill(conf)
    let signal = try QueueSignal()
    let handle = try KafkaHandle(RD_KAFKA_CONSUMER, conf: conf, events: events, call: "rd_kafka_new consumer")
    // Main queue (log lines, statistics, errors) into the group's queue: one queue for everything but messages.
    rd_kafka_poll_set_consumer(handle.raw)
    rd_kafka_set_log_queue(handle.raw, nil)
    guard let control = rd_kafka_queue_get_consumer(handle.raw), let messages = rd_kafka_queue_new(handle.raw) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__UNKNOWN_GROUP, call: "rd_kafka_queue_get_consumer")
    }
    self.configuration = configuration
    topic = configuration.topic
    groupId = configuration.groupId
    self.reactor = reactor
    self.handle = handle
    self.events = events
    self.signal = signal
    controlQueue = control
    messageQueue = messages
    self.delegate = delegate
    serveEvery = min(Self.serveInterval, maxPoll / 4)
    try start()
  }

  private func start() throws(KafkaError) {
    signal.attach(controlQueue)
    signal.attach(messageQueue)
    do throws(Errno) { token = try reactor.register(fd: signal.fd, interest: .read, source: self) } catch {
      signal.detach(controlQueue)
      signal.detach(messageQueue)
      throw KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, call: "epoll_ctl", topic: topic, reason: error.description)
    }
    scheduleServing()
    wake()
  }

  deinit {
    // Again, for a consumer whose reactor went before it was closed: the descriptor's number will be somebody else's.
    signal.detach(messageQueue)
    signal.detach(controlQueue)
    rd_kafka_queue_destroy(messageQueue)
    rd_kafka_queue_destroy(controlQueue)
  }

  // MARK: Turns

  public func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    signal.drain()
    messagesMayBeQueued = true
    wake()
  }

  public func runTurn(_ reactor: Reactor) -> Turn {
    let moreControl = serveControl()
    switch phase {
    case .assigned: return takeMessages() == .again || moreControl ? .again : .idle
    case .closing:
      finishCloseIfDone()
      return moreControl && phase == .closing ? .again : .idle
    case .closed: return .idle
    case .idle, .joining, .offered, .declined, .revoking: return moreControl ? .again : .idle
    }
  }

  public func timerFired(_ reactor: Reactor, payload: UInt64) {
    switch payload {
    case Self.serveTimerPayload:
      scheduleServing()
      expireCommits()
      wake()
    case Self.recoveryTimerPayload: recoverNow()
    default: giveUpClosing()
    }
  }

  /// The owner has room again after it had answered 0.
  /// - Thread: reactor. - Blocking: never.
  public func creditAvailable() {
    if messagesMayBeQueued { wake() }
  }

  /// From inside `received`: no further message in this turn, whatever room there was.
  /// - Thread: reactor. - Blocking: never.
  public func endTurn() { turnIsOver = true }

  func wake() {
    if let token { reactor.markReady(token) }
  }

  /// Even an idle consumer must poll, or the group takes it for dead.
  private func scheduleServing() {
    serveTimer = reactor.schedule(at: .nowUncached() + serveEvery, target: self, payload: Self.serveTimerPayload)
  }

  func stopServing() {
    if let serveTimer { reactor.cancel(serveTimer) }
    serveTimer = nil
  }

  /// - Returns: whether there may be more.
  @discardableResult
  func serveControl() -> Bool {
    var polls = 0
    while polls < Self.controlPollsPerTurnMax, let raw = rd_kafka_consumer_poll(handle.raw, 0) {
      polls += 1
      if raw.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR {
        // A partition whose forwarding was not in place yet. Never seen; read it again rather than out of turn.
        recover(Partition(raw.pointee.partition), KafkaError.Code(RD_KAFKA_RESP_ERR_NO_ERROR), at: raw.pointee.offset)
      } else {
        received(errorIn: raw)
      }
      rd_kafka_message_destroy(raw)
    }
    for event in events.take() { handle(event) }
    for (id, result) in surveys.take() { surveyReplies.removeValue(forKey: id)?(result) }
    return polls == Self.controlPollsPerTurnMax
  }

  private func takeMessages() -> Turn {
    guard messagesMayBeQueued, let delegate else { return .idle }
    var budget = delegate.consumerMayTake(self)
    guard budget > 0 else { return .idle }
    turnIsOver = false
    var polls = 0
    while budget > 0, polls < Self.messagesPerTurnMax, isFetching, !turnIsOver {
      polls += 1
      guard let raw = rd_kafka_consume_queue(messageQueue, 0) else {
        messagesMayBeQueued = false
        keepFetching()
        return .idle
      }
      if raw.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR, track(raw) {
        budget -= 1
        delegate.consumer(self, received: KafkaMessage(adopting: raw, of: handle))
      } else {
        if raw.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR { received(errorIn: raw) }
        rd_kafka_message_destroy(raw)
      }
    }
    keepFetching()
    return .again
  }

  /// Checks that offsets follow each other, and remembers the position.
  /// - Returns: false for a message that must not be delivered, because one before it is still to come.
  private func track(_ raw: UnsafeMutablePointer<rd_kafka_message_t>) -> Bool {
    let offset = raw.pointee.offset
    let index = Int(raw.pointee.partition)
    if slots[index].isFailed { return false }
    if slots[index].unreadableFrom != nil { endUnreadable(Partition(raw.pointee.partition), at: offset) }
    statistics.messages &+= 1
    statistics.bytes &+= UInt64(raw.pointee.len)
    if let next = slots[index].next, offset != next {
      if offset < next {
        statistics.repeats &+= 1
      } else if slots[index].hasTaken {
        statistics.jumps &+= 1
      }
    }
    slots[index].next = offset + 1
    slots[index].hasTaken = true
    return true
  }

  private func handle(_ event: ConsumerEvents.Event) {
    switch event {
    case .assigned(let partitions): didGetAssignment(partitions)
    case .revoked(let isLost): didLoseAssignment(isLost: isLost)
    case .rebalanceFailed(let error): rebalanceFailed(error)
    case .committed(let token, let code, let offsets): didCommit(token, code, offsets)
    case .failed(let error): delegate?.consumer(self, failed: resolved(error))
    case .logged(let line): delegate?.consumer(self, logged: line)
    case .statistics(let json): delegate?.consumer(self, statistics: json)
    }
  }

  /// An error librdkafka returned in the place of a message.
  private func received(errorIn raw: UnsafeMutablePointer<rd_kafka_message_t>) {
    let code = KafkaError.Code(raw.pointee.err)
    let partition = raw.pointee.rkt == nil || raw.pointee.partition < 0 ? nil : Partition(raw.pointee.partition)
    switch (code, partition) {
    case (.partitionEnd, _): return
    case (.offsetReset, let partition?), (.badMessage, let partition?), (.badCompression, let partition?),
      (.notImplemented, let partition?):
      recover(partition, code, at: raw.pointee.offset)
    default:
      let reason = rd_kafka_message_errstr(raw).map { String(cString: $0) }
      delegate?.consumer(
        self, failed: resolved(KafkaError(code, call: "consume", topic: topic, partition: partition, reason: reason)))
    }
  }

  /// `_FATAL` only says that there is a fatal error: fetches which.
  private func resolved(_ error: KafkaError) -> KafkaError {
    guard error.code == .fatal else { return error }
    var text = [CChar](repeating: 0, count: KafkaConf.errorTextBytesMax)
    let code = KafkaError.Code(rd_kafka_fatal_error(handle.raw, &text, text.count))
    let reason = "\(code.name): \(String(nulTerminated: text))"
    return KafkaError(code == .fencedInstance ? code : .fatal, call: error.call, topic: topic, reason: reason)
  }
}
