// One location on this node: joins the pure machines to what they decide about. Consumer, scheduler, ledgers and pool
// meet here and nowhere else; everything runs on T0, and every event is handled to its end before the next.
//
// Where an entry goes: received -> ledger begins the offset -> order key read -> scheduler says run, or wait -> pool ->
// completion -> scheduler frees the key -> status or dead letter acknowledged -> ledger finishes -> commit.
//
// Split by concern: this file holds the state and carries out what `LocationMachine` decides; +Entries takes and
// finishes entries; +Rebalance answers the group; +Commits brings offsets to the broker; +Watch looks at what should
// move and does not.
//
// It deliberately does not know where the desired state is stored, what HTTP is, or how an object is copied.
public import Logging
public import PipelineCore
public import Reactor

public final class LocationController {
  /// One entry taken and not finished.
  struct InFlight: Sendable {
    enum Stage: Sendable {
      /// Behind its key or for want of a worker: its bytes are here.
      case waiting(KafkaMessage.Reference)
      case running(since: Instant)
      /// Its dead letter or status is on its way.
      case acknowledging
    }
    let handle: LedgerTable.Handle
    let offset: Offset
    /// Assignment it came with (`RebalanceMachine.generation`).
    let assignment: UInt32
    let orderKey: UInt64
    var stage: Stage
  }

  /// Taken, but refused by the scheduler (its key is full): waits here while its partition is paused.
  struct Held {
    let handle: LedgerTable.Handle
    let offset: Offset
    let assignment: UInt32
    let orderKey: UInt64
    let message: KafkaMessage.Reference
  }

  public let options: LocationOptions
  public internal(set) var counters = LocationCounters()
  public internal(set) var partitionFigures = PartitionFigures()
  /// Ranges that could not be read, newest last; the oldest are forgotten beyond 100.
  public internal(set) var gaps: [OffsetGap] = []
  /// By the slot they hold.
  var stuckByTicket: [InFlightTicket: StuckTask] = [:]
  /// librdkafka's own figures, of its last report; nil before the first.
  public internal(set) var kafkaFigures: KafkaFigures?
  public internal(set) var revokes = RevokeCounters()
  /// Offsets committed again while the location had left its group.
  public internal(set) var recommits: UInt64 = 0
  /// Wall clock of the last change of the effective state, Unix ms.
  public private(set) var effectiveSinceMs = WallClock.nowMs()
  /// Kept until the location has stopped (a weak reference would cost a look-up for each entry).
  public var observer: (any LocationObserver)?

  let reactor: Reactor
  let pool: WorkerPool
  let outbox: Outbox
  var log: Logger
  var machine: LocationMachine
  var rebalance = RebalanceMachine()
  var ledgers = LedgerTable()
  var inFlight: InFlightTable<InFlight>
  /// Of them, those whose stage it is.
  var acknowledgingCount = 0
  var scheduler: KeyedScheduler
  /// Where workers find what to do next; nil: they are given each entry, because none keeps them longer than a turn, or none may wait.
  let standby: Standby?
  /// At most one for each partition: that is paused then.
  var held: [Held] = []
  var consumer: Consumer!
  /// librdkafka's generation that our machine's newest grant answers.
  var grantGeneration: UInt32 = 0
  var grantPartitions: [Partition] = []
  var revokeGeneration: UInt32 = 0
  /// Something was in flight when it came, and has neither finished nor outlived the bound.
  var revokeHadWork = false
  var holds = PartitionHolds()
  var commits = CommitBook()
  /// Where offsets come from that `commits` may carry over a rebalance; nil: from nowhere.
  var carryingPlace: GroupPlace?
  var commitSchedule: CommitSchedule
  var watchTimer: TimerToken?
  var recommitTimer: TimerToken?
  var keptSurvey = KeptSurvey()
  var recommitToken: UInt64?
  var fetchWatch: FetchWatch
  var drainTimer: TimerToken?
  /// Set between a pause and telling librdkafka of it.
  var partitionPauseTimer: TimerToken?
  /// Set from the announcement of a pause until the stored state is known: the gate is closed meanwhile.
  var announcedPauseTimer: TimerToken?
  /// Set from the wish for partitions, or their loss, until the group has given some.
  var waitingForGroup: GroupWait?
  /// Set while it waits for the other nodes before it leaves the group.
  var leaveTimer: TimerToken?
  var poolIndex: Int32 = -1
  private var lastEffective: PipelineCore.EffectiveState
  private var hook: HookToken?
  /// It has ended, and says nothing more.
  public private(set) var isStopped = false

  /// Makes the consumer, which connects but joins nothing until a desired state is known.
  /// - Errors: properties librdkafka refuses.
  public init(
    reactor: Reactor, pool: WorkerPool, outbox: Outbox, options: LocationOptions, log: Logger
  ) throws(KafkaError) {
    self.reactor = reactor
    self.pool = pool
    self.outbox = outbox
    self.options = options
    self.log = log
    self.log[metadataKey: "location"] = "\(options.site)"
    machine = LocationMachine(mode: options.pauseMode)
    lastEffective = machine.effective
    commitSchedule = CommitSchedule(reactor.now)
    fetchWatch = FetchWatch(stallMs: Int64(options.fetchStallAfter / .milliseconds(1)))
    var limits = options.limits
    limits.endedMax = LocationOptions.acknowledgingExtra
    inFlight = InFlightTable(countMax: limits.slotMax)
    scheduler = KeyedScheduler(limits)
    standby = Self.standby(options)
    consumer = try Consumer(options.consumer, on: reactor, delegate: self)
    // Strong, and let go in `stopped`: an unowned reference would be retained for each completion.
    poolIndex = pool.add(options.work, standby: standby) { self.completed($0) }
    hook = reactor.addBeforeSleep { [unowned self] _ in self.beforeSleep() }
    armWatch()
    armRecommit()
  }

  private static func standby(_ options: LocationOptions) -> Standby? {
    if case .noop = options.work.kind { return nil }
    return options.limits.waitingMax > 0 ? Standby(countMax: options.limits.waitingMax) : nil
  }

  // MARK: What it is told

  /// The stored state was read or changed. Before the first call nothing is consumed.
  public func desiredChanged(paused: Bool, version: StateVersion) {
    apply(machine.handle(.desiredChanged(paused: paused, version: version)))
    endAnnouncedPause()
    // Resumed while it waited: it leaves like the others, and joins again with them.
    if !paused { leave() }
  }

  /// Finishes what is taken, commits, closes the consumer; ends in `locationDidStop`.
  public func stop() { apply(machine.handle(.stopRequested)) }

  // MARK: What it tells

  public var site: String { options.site }
  public var effective: PipelineCore.EffectiveState { machine.effective }
  public var isPausedByDesire: Bool? { machine.desiredPaused }
  /// Entries whose task has begun and not ended.
  var runningCount: Int { inFlight.count - acknowledgingCount - scheduler.waitingCount }
  /// Entries taken that wait for their key or a worker.
  public var queuedCount: Int { scheduler.waitingCount + held.count }
  /// Everything taken and not finished.
  public var inFlightCount: Int { inFlight.count + held.count }
  public var partitions: [Partition] { ledgers.partitions }
  public var hasAssignment: Bool { machine.hasAssignment }

  // MARK: Machine

  func apply(_ actions: LocationActions) {
    for action in actions { perform(action) }
    checkDrained()
  }

  private func perform(_ action: LocationActions.Action) {
    switch action {
    // The gate is `machine.isTaking`, asked at each credit; closing needs no call.
    case .stopTaking: break
    case .startTaking: consumer.creditAvailable()
    case .pausePartitions: pausePartitionsLater()
    case .resumePartitions:
      cancelPartitionPause()
      updateHolds { $0.setAll(paused: false) }
    case .commitOffsets: commitForMachine(ticket: machine.commitTicket)
    case .armCommitRetry: armCommitRetry()
    case .unsubscribe: leaveWithOthers()
    case .subscribe: subscribe()
    case .closeConsumer:
      stayUntilClosed()
      consumer.close()
    case .report: reportChange()
    case .stopped: stopped()
    }
  }

  private func subscribe() {
    waitingForGroup = GroupWait(since: reactor.now)
    do throws(KafkaError) {
      try consumer.subscribe()
    } catch {
      log.error("cannot subscribe", metadata: ["topic": "\(options.consumer.topic)", "error": "\(error)"])
      cannotGoOn(error)
    }
  }

  func unsubscribe() {
    waitingForGroup = nil
    do throws(KafkaError) {
      try consumer.unsubscribe()
    } catch {
      log.error("cannot unsubscribe", metadata: ["topic": "\(options.consumer.topic)", "error": "\(error)"])
      cannotGoOn(error)
    }
  }

  private func reportChange() {
    if machine.effective != lastEffective {
      lastEffective = machine.effective
      effectiveSinceMs = WallClock.nowMs()
      log.info("state changed", metadata: ["state": "\(lastEffective.rawValue)", "inFlight": "\(inFlightCount)"])
    }
    observer?.locationReports(self)
  }

  /// Sends `drained` to whichever machine waits for it. Called after everything that may have emptied the table.
  func checkDrained() {
    if rebalance.wantsDrained, !hasRunning(ofAssignment: rebalance.generation) {
      if revokeHadWork { revokes.drained += 1 }
      revokeHadWork = false
      applyRebalance(rebalance.handle(.drained))
    }
    if machine.wantsDrained, inFlightCount == 0 { apply(machine.handle(.drained)) }
  }

  private func stopped() {
    guard !isStopped else { return }
    isStopped = true
    if let hook { reactor.removeBeforeSleep(hook) }
    let timers = [
      commitSchedule.nextTimer, commitSchedule.answerTimer, drainTimer, watchTimer, recommitTimer, leaveTimer, partitionPauseTimer,
      announcedPauseTimer,
    ]
    for timer in timers { if let timer { reactor.cancel(timer) } }
    recall()
    dropWaiting { _, _, _ in true }
    pool.remove(poolIndex)
    observer?.locationDidStop(self)
    observer = nil
  }

  private func beforeSleep() {
    guard ledgers.hasDirty else { return }
    ledgers.takeDirty { partition, offset in
      commits.note(partition, offset)
      observer?.location(self, consumedUpTo: offset, of: partition)
    }
    armCommitTimer()
  }
}
