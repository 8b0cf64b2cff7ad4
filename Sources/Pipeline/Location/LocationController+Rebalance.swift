// The consumer group: grants and revokes as `RebalanceMachine` decides. The callback has returned long since; `assign`
// and `unassign` are called from here, later.
internal import Logging
internal import PipelineCore
internal import Reactor

extension LocationController {
  func granted(_ partitions: [Partition], generation: UInt32) {
    let wasOwning = machine.hasAssignment
    grantPartitions = partitions
    grantGeneration = generation
    let actions = rebalance.handle(.granted)
    // The old assignment is gone without an unassign when the grant overtook its revoke.
    if wasOwning, !actions.contains(.unassign) { apply(machine.handle(.revoked)) }
    applyRebalance(actions)
  }

  func revoked(generation: UInt32, isLost: Bool) {
    revokeGeneration = generation
    if isLost { revokes.lost += 1 } else if inFlightCount == 0 { revokes.idle += 1 }
    revokeHadWork = !isLost && inFlightCount > 0
    log.info("partitions revoked", metadata: ["partitions": "\(ledgers.partitions.count)", "lost": "\(isLost)"])
    applyRebalance(rebalance.handle(.revoking(lost: isLost)))
    checkDrained()
  }

  func applyRebalance(_ actions: RebalanceActions) {
    for action in actions { perform(action) }
  }

  private func perform(_ action: RebalanceActions.Action) {
    switch action {
    case .disarmDrainTimer:
      if let drainTimer { reactor.cancel(drainTimer) }
      drainTimer = nil
    case .stopDispatch: dropTail()
    // After a grant the machine's generation is that of the new assignment already.
    case .cancelRunning: cancelRunning { $0 < self.rebalance.generation || self.rebalance.state == .idle }
    case .commitWithoutWait: commitWithoutWait()
    case .unassign:
      consumer.unassign(revokeGeneration)
      apply(machine.handle(.revoked))
    case .dropLedgers:
      ledgers.dropAll()
      commits.drop()
      holds.drop()
    case .assign: assign()
    case .armDrainTimer: armDrainTimer()
    }
  }

  private func assign() {
    let isPaused = !machine.isTaking && machine.desiredPaused != false
    ledgers.assign(grantPartitions, generation: rebalance.generation)
    holds.assign(grantPartitions, paused: isPaused)
    log.info("partitions assigned", metadata: ["partitions": "\(grantPartitions.count)", "paused": "\(isPaused)"])
    consumer.assign(grantGeneration, paused: isPaused ? grantPartitions : [])
    apply(machine.handle(.assigned))
  }

  private func armDrainTimer() {
    let generation = rebalance.generation
    drainTimer = reactor.schedule(after: .milliseconds(RebalanceMachine.drainMaxMs)) { [weak self] _ in
      guard let self else { return }
      self.log.warning("running entries outlived a revoke and are cancelled", metadata: ["running": "\(self.runningCount)"])
      self.nameRunning(ofAssignment: generation)
      self.revokes.timedOut += 1
      self.revokeHadWork = false
      self.applyRebalance(self.rebalance.handle(.drainTimedOut(generation: generation)))
    }
  }

  func hasRunning(ofAssignment generation: UInt32) -> Bool {
    var found = false
    inFlight.visitOccupied { _, record in if record.assignment == generation { found = true } }
    return found || held.contains { $0.assignment == generation }
  }

  /// Pauses and resumes what changed, each partition once.
  func updateHolds(_ change: (inout PartitionHolds) -> Void) {
    change(&holds)
    let (pause, resume) = holds.takeChanges()
    if !pause.isEmpty { consumer.pause(pause) }
    if !resume.isEmpty { consumer.resume(resume) }
  }
}
