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
    carryingPlace = isLost ? nil : consumer.groupPlace
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
      if waitingForGroup == nil, !machine.isStopping { waitingForGroup = GroupWait(since: reactor.now) }
      apply(machine.handle(.revoked))
    case .dropLedgers:
      ledgers.dropAll()
      carryCommits()
      holds.drop()
      answerIfNothingIsMissing()
    case .assign: assign()
    case .armDrainTimer: armDrainTimer()
    }
  }

  private func assign() {
    let isPaused = !machine.isTaking && machine.desiredPaused != false
    ledgers.assign(grantPartitions, generation: rebalance.generation)
    holds.assign(grantPartitions, paused: isPaused)
    log.info("partitions assigned", metadata: ["partitions": "\(grantPartitions.count)", "paused": "\(isPaused)"])
    consumer.assign(grantGeneration, paused: isPaused ? grantPartitions : [], from: adoptCommits())
    endGroupWait()
    apply(machine.handle(.assigned))
    commitAfterRebalance()
  }

  /// What this member finished and the broker did not take: kept for the next assignment.
  private func carryCommits() {
    guard carryingPlace != nil else { return commits.drop() }
    commits.carry()
  }

  /// - Returns: where partitions go on that this member had before and nobody else since.
  private func adoptCommits() -> [Partition: Offset] {
    guard commits.isCarrying else { return [:] }
    guard let place = carryingPlace, consumer.groupPlace?.isNext(after: place) == true else {
      commits.drop()
      return [:]
    }
    let starts = commits.adopt(grantPartitions)
    if !starts.isEmpty {
      log.info("partitions are back, and go on where they were", metadata: ["partitions": "\(starts.count)"])
    }
    return starts
  }

  /// Out of the group, by intent: others may own the partitions from here on.
  func forgetCarriedCommits() {
    carryingPlace = nil
    commits.drop()
  }

  private func armDrainTimer() {
    let generation = rebalance.generation
    drainTimer = reactor.schedule(after: .milliseconds(RebalanceMachine.drainMaxMs)) { [weak self] _ in
      guard let self else { return }
      self.log.warning(
        "running entries outlived a revoke and are cancelled",
        metadata: ["running": "\(self.runningCount)", "acknowledging": "\(self.acknowledgingCount)"])
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

  /// The gate is closed already: this only stops the fetching of what nobody will take. Not at once, because it throws away what
  /// was fetched, and pauses that follow each other quickly would let a partition whose answer always comes too late starve.
  func pausePartitionsLater() {
    guard partitionPauseTimer == nil else { return }
    partitionPauseTimer = reactor.schedule(after: LocationOptions.partitionPauseAfter) { [weak self] _ in
      guard let self else { return }
      partitionPauseTimer = nil
      updateHolds { $0.setAll(paused: true) }
    }
  }

  func cancelPartitionPause() {
    if let timer = partitionPauseTimer { reactor.cancel(timer) }
    partitionPauseTimer = nil
  }

  /// Pauses and resumes what changed, each partition once.
  func updateHolds(_ change: (inout PartitionHolds) -> Void) {
    change(&holds)
    let (pause, resume) = holds.takeChanges()
    if !pause.isEmpty { consumer.pause(pause) }
    if !resume.isEmpty { consumer.resume(resume) }
  }
}
