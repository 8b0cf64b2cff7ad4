// Commits: asynchronous, never awaited inside a rebalance, everything not yet confirmed in each of them.
internal import Logging
internal import PipelineCore
internal import Reactor

extension LocationController {
  /// The next commit: after `commitInterval`, or sooner when much work has been done since the last. While the last is not answered
  /// it waits for that, for it would mostly ask the same again; but not for ever: librdkafka 2.0.2 loses answers when the
  /// group's coordinator goes and moves, and what is not asked again then stays uncommitted although nothing is wrong any more.
  func armCommitTimer() {
    let isWaiting = commits.isAnswerMissing
    let wantsSoon = !isWaiting && counters.worked - commitSchedule.workedAtLast >= UInt64(options.limits.taskMax)
    switch commitSchedule.next {
    case .none: break
    case .regular(let timer):
      guard wantsSoon else { return }
      reactor.cancel(timer)
    case .soon: return
    }
    let sinceLast = reactor.now - commitSchedule.lastAt
    let soonest = max(.zero, LocationOptions.commitIntervalMin - sinceLast)
    let delay =
      if isWaiting { max(.zero, LocationOptions.commitAnswerMax - sinceLast) } else {
        wantsSoon ? min(soonest, options.commitInterval) : options.commitInterval
      }
    let timer = reactor.schedule(after: delay) { [weak self] _ in
      guard let self else { return }
      commitSchedule.next = .none
      commitIsDue()
    }
    commitSchedule.next = wantsSoon ? .soon(timer) : .regular(timer)
  }

  private func commitIsDue() {
    // Offsets given back wait for the next assignment.
    guard !commits.isEmpty, machine.hasAssignment else { return }
    // A machine that waits for answers has a bound of its own.
    if commits.isAnswerMissing, commitSchedule.ticket == nil {
      log.warning("no answer to a commit, it is sent again", metadata: ["topic": "\(options.consumer.topic)"])
      commits.giveUpAnswers()
    }
    sendCommit()
  }

  /// The machine waits for this one and for all sent before it, also inside a rebalance.
  func commitForMachine(ticket: UInt32) {
    noteDirty()
    commitSchedule.ticket = ticket
    // Given back already: a commit sent behind the request to join again would carry the old generation, for which librdkafka gives
    // the next assignment up.
    let isGivenBack = !machine.hasAssignment && !commits.isEmpty
    if !commits.isEmpty, !isGivenBack { sendCommit() }
    guard commits.isAnswerMissing || commits.isCarrying || isGivenBack else { return answerMachine() }
    armCommitAnswer(ticket, wait: 1)
  }

  private func armCommitAnswer(_ ticket: UInt32, wait: Int) {
    if let timer = commitSchedule.answerTimer { reactor.cancel(timer) }
    commitSchedule.answerTimer = reactor.schedule(after: LocationOptions.commitAnswerMax) { [weak self] _ in
      guard let self else { return }
      if self.commits.isCarrying, !self.machine.isStopping, wait < LocationOptions.carryWaitsMax {
        return self.armCommitAnswer(ticket, wait: wait + 1)
      }
      self.log.warning("no answer to a commit", metadata: ["topic": "\(self.options.consumer.topic)"])
      commitSchedule.ticket = nil
      self.commits.giveUpAnswers()
      self.apply(self.machine.handle(.commitTimedOut(ticket: ticket)))
    }
  }

  func armCommitRetry() {
    reactor.schedule(after: .milliseconds(LocationMachine.commitRetryDelayMs)) { [weak self] _ in
      guard let self else { return }
      self.apply(self.machine.handle(.commitRetryDue))
    }
  }

  func commitWithoutWait() {
    noteDirty()
    if !commits.isEmpty { sendCommit() }
  }

  /// The assignment's offsets are forgotten, or carried on.
  func answerIfNothingIsMissing() {
    if !commits.isAnswerMissing { answerMachine() }
  }

  /// The rebalance is over and what was carried over it has found its end: committed here, or somebody else's now.
  func commitAfterRebalance() {
    if !commits.isEmpty {
      if commitSchedule.ticket == nil { armCommitTimer() } else { sendCommit() }
    }
    answerIfNothingIsMissing()
  }

  func committed(_ result: CommitResult) {
    guard !recommitted(result), commits.answered(result) else { return }
    if !result.isComplete {
      let reason = result.error.map { "\($0)" } ?? result.partitions.compactMap { $0.error.map { "\($0)" } }.first ?? ""
      log.warning("commit failed, it will be tried again", metadata: ["error": "\(reason)"])
    }
    guard !commits.isAnswerMissing else { return }
    if let timer = commitSchedule.nextTimer { reactor.cancel(timer) }
    commitSchedule.next = .none
    if !commits.isEmpty { armCommitTimer() }
    answerMachine()
  }

  /// All is answered: what is still pending was refused. Not while offsets wait for the end of a rebalance.
  private func answerMachine() {
    guard let ticket = commitSchedule.ticket, !commits.isCarrying else { return }
    commitSchedule.ticket = nil
    if let timer = commitSchedule.answerTimer { reactor.cancel(timer) }
    commitSchedule.answerTimer = nil
    apply(machine.handle(.offsetsCommitted(ticket: ticket, ok: commits.isEmpty)))
  }

  private func noteDirty() {
    ledgers.takeDirty { partition, offset in
      commits.note(partition, offset)
      observer?.location(self, consumedUpTo: offset, of: partition)
    }
  }

  private func sendCommit() {
    commitSchedule.lastAt = reactor.now
    commitSchedule.workedAtLast = counters.worked
    do throws(KafkaError) {
      commits.didSend(try consumer.commit(commits.offsets))
    } catch {
      log.warning("commit not sent", metadata: ["error": "\(error)"])
    }
    armCommitTimer()
  }
}
