// One node of the daemon: the real machines, wired as `LocationMachine` and `RebalanceMachine` say, over the models of
// librdkafka, the store and the workers. This is what `LocationController` does, in virtual time.

import PipelineCore
import TestSupport

final class SimNode {
  struct Task: Sendable {
    var partition: Int
    var index: Int
    var generation: UInt32
    /// Deliveries of the partition so far: counts its rewinds.
    var delivery: Int
    var handle: LedgerTable.Handle?
    var retries = 0
    var isCancelled = false
  }

  /// What a worker says of a task that has ended.
  struct Ending {
    var ticket: InFlightTicket
    /// It has done something, and says so.
    var hasEffect: Bool
    /// Begun in its place.
    var successor: InFlightTicket?
  }

  struct Produce {
    var partition: Int
    var index: Int
    var generation: UInt32
    var handle: LedgerTable.Handle
    var isAcknowledged = false
  }

  let index: Int
  private let shape: Shape
  private(set) var life = 0
  private(set) var isAlive = false
  var frozenUntil: Int64 = 0
  var isConnected = true

  // The real thing.
  var location: LocationMachine
  var rebalance = RebalanceMachine()
  var ledgers = LedgerTable(windowMax: 64)
  var table: InFlightTable<Task>
  var scheduler: KeyedScheduler
  /// Ready tasks, for workers to take by themselves (`Standby`).
  var standby: [InFlightTicket] = []
  /// Not yet told to the reactor.
  var endings: [Ending] = []

  // librdkafka as this node sees it.
  var isSubscribed = false
  var isClosing = false
  var hasAssignment = false
  var memberGeneration = 0
  var newestGrant = 0
  /// Counts the times it left: a grant to an earlier membership is stale.
  var membership = 0
  /// A join was sent and no grant has come.
  var isJoining = false
  var assigned: [Int] = []
  var positions: [Int]
  var isPaused: [Bool]
  var pausedByKey: [Int: [Int]] = [:]
  var isTurnDue = false
  var lastSent: Int64 = 0
  var lastReceived: Int64 = 0

  // The owner's own.
  var isGateOpen = false
  var acknowledged: [Int64]
  /// The last request that named a partition.
  var newestCommit: [Int: Int] = [:]
  var produces: [Produce] = []
  var unproduced = 0
  var report: (state: EffectiveState, version: Int64)?
  /// Newest stored pause this life has reported as in effect.
  var promise: Int64 = -1
  var isCommitDue = false
  /// Requests the broker has not answered, and the ticket that waits for all of them.
  var unanswered: Set<Int> = []
  var waitingTicket: UInt32?
  var lastStarted: [Int: (generation: UInt32, delivery: Int, offset: Int64)] = [:]
  var deliveries: [Int]
  var runningKeys: Set<Int> = []
  var offsets: [InFlightTicket: Offset] = [:]
  var lastJoin: Int64 = 0

  init(index: Int, shape: Shape) {
    self.index = index
    self.shape = shape
    location = LocationMachine(mode: shape.mode)
    table = InFlightTable(countMax: shape.limits.slotMax)
    scheduler = KeyedScheduler(shape.limits)
    positions = Array(repeating: 0, count: shape.partitions)
    deliveries = positions
    isPaused = Array(repeating: false, count: shape.partitions)
    acknowledged = Array(repeating: -1, count: shape.partitions)
  }

  // MARK: Life

  func start(_ world: World) {
    guard !isAlive else { return }
    world.note("node \(index) starts")
    life += 1
    isAlive = true
    location = LocationMachine(mode: shape.mode)
    rebalance = RebalanceMachine()
    ledgers = LedgerTable(windowMax: 64)
    table = InFlightTable(countMax: shape.limits.slotMax)
    scheduler = KeyedScheduler(shape.limits)
    (isSubscribed, isClosing, hasAssignment, isTurnDue, isGateOpen, isConnected) = (false, false, false, false, false, true)
    (isJoining, isCommitDue, promise) = (false, false, -1)
    (assigned, pausedByKey, produces, unproduced, report) = ([], [:], [], 0, nil)
    (unanswered, waitingTicket, offsets, lastJoin) = ([], nil, [:], world.now)
    (standby, endings) = ([], [])
    (lastStarted, runningKeys, frozenUntil, lastSent) = ([:], [], 0, world.now)
    readState(world, after: world.latency(40))
    world.schedule(.heartbeat, after: 500, node: index, life: life)
  }

  func kill(_ world: World) {
    guard isAlive else { return }
    world.note("node \(index) is killed")
    die(world)
  }

  private func die(_ world: World) {
    isAlive = false
    report = nil
    world.schedule(.sessionExpires, after: shape.sessionTimeoutMs, node: index, a: life)
  }

  func hasReportedPause(_ version: Int64) -> Bool {
    guard let report else { return false }
    return promise >= version || (report.state == .disabled && report.version >= version)
  }

  // MARK: The store

  func readState(_ world: World, after delay: Int64) {
    guard isConnected else { return }
    // What is read is what is stored now; it arrives later, perhaps after a newer one.
    let paused = world.control.state.isPaused ? 1 : 0
    world.schedule(.stateRead, after: delay, node: index, life: life, a: paused, b: Int(world.control.version))
    if let due = world.control.state.scheduledResumeMs {
      world.schedule(.scheduleDue, after: max(0, due - world.now) + delay, node: index, life: life)
    }
  }

  /// What is known already is not told again: a machine that missed something must not be healed by repetition.
  private func stateRead(_ world: World, paused: Bool, version: StateVersion) {
    if version != location.version { tell(world, .desiredChanged(paused: paused, version: version)) }
  }

  // MARK: Events

  func receive(_ world: World, _ event: SimEvent) {
    switch event.kind {
    case .turn: turn(world)
    case .stateRead: stateRead(world, paused: event.a == 1, version: StateVersion(number: Int64(event.b)))
    case .scheduleDue: if isConnected { world.control.fire(world, node: index) }
    case .taskEnd: taskEnd(world, InFlightTicket(slot: Int32(event.a), generation: UInt32(event.b)))
    case .endsTold: endsTold(world)
    case .retryDue: runAgain(world, InFlightTicket(slot: Int32(event.a), generation: UInt32(event.b)))
    case .produced: produced(world, event.a, ok: event.b == 1)
    case .grant: grant(world, event.a, membership: event.b)
    case .revokeNotice: revokeNotice(world, event.a)
    case .lostNotice: lostNotice(world, event.a)
    case .commitAnswer: commitAnswer(world, event.a, ok: event.b == 1)
    case .commitTimeout: commitTimeout(world, UInt32(event.a))
    case .commitRetry: tell(world, .commitRetryDue)
    case .commitDue:
      isCommitDue = false
      if rebalance.state != .idle { sendCommit(world, ticket: 0) }
    case .rewind: rewind(world, event.a)
    case .drainTimeout: rebalanceTell(world, .drainTimedOut(generation: UInt32(event.a)))
    case .leftGroup: tell(world, .leftGroup)
    case .consumerClosed: tell(world, .consumerClosed)
    case .heartbeat: heartbeat(world)
    default: world.fail("no event of a node: \(event.kind)")
    }
    if isAlive { beforeSleep(world) }
  }

  /// Once in a while: what was missed is found, what was refused is sent again.
  private func heartbeat(_ world: World) {
    world.schedule(.heartbeat, after: 500, node: index, life: life)
    readState(world, after: world.latency(30))
    if rebalance.state == .owning { sendCommit(world, ticket: 0) }
    // librdkafka notices by itself that the group knows it no longer.
    guard isSubscribed, !world.group.isMember(self), world.now - lastJoin > 400 else { return }
    if hasAssignment { lostNotice(world, memberGeneration) } else { sendJoin(world) }
  }

  private func beforeSleep(_ world: World) {
    if ledgers.hasDirty, rebalance.state != .idle, !isCommitDue {
      isCommitDue = true
      world.schedule(.commitDue, after: shape.commitIntervalMs, node: index, life: life)
    }
    let inFlight = table.count + unproduced
    if location.wantsDrained, inFlight == 0 { tell(world, .drained) }
    // Now and then it is said without having been asked.
    let isAsked = rebalance.wantsDrained && !hasTasks(of: rebalance.generation)
    if isAsked || (!rebalance.wantsDrained && world.random.chance(2)) { rebalanceTell(world, .drained) }
    check(world, inFlight: inFlight)
  }

  private func hasTasks(of generation: UInt32) -> Bool {
    // Not the ledgers: entries that were dropped stay unfinished in them.
    var found = unproduced > 0 && produces.contains { !$0.isAcknowledged && $0.generation == generation }
    table.visitOccupied { _, task in
      if task.generation == generation { found = true }
    }
    return found
  }

  private func check(_ world: World, inFlight: Int) {
    // What was called back as it began seems to run beside what it came after.
    if scheduler.runningCount > shape.limits.concurrency + endings.count { world.fail("node \(index) runs more than its concurrency") }
    if endings.isEmpty, scheduler.runningCount < shape.limits.concurrency, !standby.isEmpty {
      world.fail("node \(index) leaves a place empty while \(standby.count) stand by")
    }
    if scheduler.waitingCount > shape.limits.waitingMax { world.fail("node \(index) lets more wait than allowed") }
    if isGateOpen != location.isTaking { world.fail("node \(index): gate and machine disagree") }
    if isGateOpen, location.desiredPaused != false { world.fail("node \(index) takes entries, but should be paused") }
    if location.effective == .disabled, inFlight > 0 { world.fail("node \(index) is disabled with \(inFlight) in flight") }
  }

  // MARK: Machine actions

  func tell(_ world: World, _ event: LocationMachine.Event) {
    guard isAlive else { return }
    let before = location.state
    world.coverage.saw(before, event)
    let actions = location.handle(event)
    if before != location.state || !actions.isEmpty { world.note("node \(index): \(event) -> \(location.state) \(actions)") }
    for action in actions { carryOut(world, action) }
  }

  private func carryOut(_ world: World, _ action: LocationActions.Action) {
    switch action {
    case .stopTaking: isGateOpen = false
    case .startTaking:
      isGateOpen = true
      wantsTurn(world)
    case .pausePartitions: for partition in assigned { isPaused[partition] = true }
    case .resumePartitions:
      for partition in assigned { isPaused[partition] = false }
      wantsTurn(world)
    case .commitOffsets: sendCommit(world, ticket: location.commitTicket)
    case .armCommitRetry: world.schedule(.commitRetry, after: LocationMachine.commitRetryDelayMs, node: index, life: life)
    case .subscribe:
      isSubscribed = true
      sendJoin(world)
    case .unsubscribe:
      checkCommitted(world)
      leave(world)
    case .closeConsumer:
      checkCommitted(world)
      isClosing = true
      leave(world)
    case .report:
      guard let version = location.version else { return }
      report = (location.effective, version.number)
      guard location.effective == .disabled else { return }
      if location.desiredPaused == true { promise = max(promise, version.number) }
      if case .disabled(.held) = location.state { checkCommitted(world) }
    case .stopped:
      if table.count + unproduced > 0 { world.fail("node \(index) stopped with entries in flight") }
      world.note("node \(index) stopped")
      world.schedule(.start, after: 100 + world.latency(400), node: index)
      isAlive = false
      report = nil
    }
  }

  func rebalanceTell(_ world: World, _ event: RebalanceMachine.Event) {
    guard isAlive else { return }
    world.coverage.saw(rebalance.state, event)
    let actions = rebalance.handle(event)
    world.note("node \(index): \(event) -> \(rebalance.state) \(rebalance.generation) \(actions)")
    if actions.contains(.assign), hasAssignment { tell(world, .revoked) }
    for action in actions {
      switch action {
      case .disarmDrainTimer: break  // Its generation makes a late one harmless.
      case .stopDispatch: dropTail(world)
      // After a grant the generation is that of the new assignment already.
      case .cancelRunning: cancelRunning(world, upTo: actions.contains(.assign) ? rebalance.generation - 1 : rebalance.generation)
      case .commitWithoutWait: sendCommit(world, ticket: 0)
      case .unassign: unassign(world)
      case .dropLedgers: ledgers.dropAll()
      case .assign: assign(world)
      case .armDrainTimer:
        world.schedule(
          .drainTimeout, after: shape.drainMs, node: index, life: life, a: Int(rebalance.generation))
      }
    }
    if actions.contains(.unassign) {
      tell(world, .revoked)
      unassigned(world)
    }
    if actions.contains(.assign) { tell(world, .assigned) }
  }
}
