// Commits: asynchronous, never awaited inside a rebalance, everything not yet confirmed in each of them.
internal import Logging
internal import PipelineCore
internal import Reactor

extension LocationController {
  func armCommitTimer() {
    guard commitTimer == nil else { return }
    commitTimer = reactor.schedule(after: options.commitInterval) { [weak self] _ in
      guard let self else { return }
      self.commitTimer = nil
      if !self.commits.isEmpty { self.sendCommit(ticket: 0) }
    }
  }

  /// The machine waits for this one.
  func commitForMachine(ticket: UInt32) {
    noteDirty()
    guard !commits.isEmpty else { return apply(machine.handle(.offsetsCommitted(ticket: ticket, ok: true))) }
    sendCommit(ticket: ticket)
    if let commitAnswerTimer { reactor.cancel(commitAnswerTimer) }
    commitAnswerTimer = reactor.schedule(after: LocationOptions.commitAnswerMax) { [weak self] _ in
      guard let self else { return }
      self.log.warning("no answer to a commit", metadata: ["topic": "\(self.options.consumer.topic)"])
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
    if !commits.isEmpty { sendCommit(ticket: 0) }
  }

  func committed(_ result: CommitResult) {
    guard let ticket = commits.answered(result) else { return }
    if !result.isComplete {
      let reason = result.error.map { "\($0)" } ?? result.partitions.compactMap { $0.error.map { "\($0)" } }.first ?? ""
      log.warning("commit failed, it will be tried again", metadata: ["error": "\(reason)"])
      armCommitTimer()
    }
    guard ticket != 0 else { return }
    if let commitAnswerTimer { reactor.cancel(commitAnswerTimer) }
    apply(machine.handle(.offsetsCommitted(ticket: ticket, ok: result.isComplete)))
  }

  private func noteDirty() {
    ledgers.takeDirty { partition, offset in
      commits.note(partition, offset)
      observer?.location(self, consumedUpTo: offset, of: partition)
    }
  }

  private func sendCommit(ticket: UInt32) {
    do throws(KafkaError) {
      commits.didSend(try consumer.commit(commits.offsets), ticket: ticket)
    } catch {
      log.warning("commit not sent", metadata: ["error": "\(error)"])
      armCommitTimer()
      if ticket != 0 { apply(machine.handle(.offsetsCommitted(ticket: ticket, ok: false))) }
    }
  }
}
