// The end: leave the group, wait for librdkafka to say so, let go. Never blocks; bounded by `closeTimeMax`, after which
// the group finds out by session time-out. The instance itself is destroyed when its last message is (KafkaHandle).
internal import CRdkafka
internal import PipelineCore
public import Reactor

extension Consumer {
  /// Time for librdkafka to leave the group and answer commits, when the broker does not.
  public static let closeTimeMax = Duration.seconds(10)

  /// Leaves the group and releases everything; ends in `consumerDidClose`. An owner that drains unsubscribes, answers
  /// `revoked` and waits for its commits first: from here on nothing is delivered, and rebalances are answered at once.
  /// - Thread: reactor. - Blocking: for librdkafka's main thread, not for a broker.
  public func close() {
    reactor.assertCurrent()
    guard phase != .closing, phase != .closed else { return }
    // librdkafka must not be left with an unanswered assignment, or its close never ends: one may be in the queue.
    if phase == .joining { serveControl() }
    guard phase != .closing, phase != .closed else { return }  // the owner did it while it was told something
    switch phase {
    case .offered: giveUpOffer()
    case .revoking: report(rd_kafka_assign(handle.raw, nil), "rd_kafka_assign nothing")
    default: break
    }
    cancelRecovery()
    phase = .closing
    closeDeadline = reactor.schedule(
      at: .nowUncached() + Self.closeTimeMax, target: self, payload: Self.closeTimerPayload)
    if let error = rd_kafka_consumer_close_queue(handle.raw, controlQueue) {
      // A fatal error, or closed already: there is nothing to wait for.
      let error = KafkaError(consuming: error, call: "rd_kafka_consumer_close_queue", topic: topic)
      delegate?.consumer(self, failed: error)
      finishClose()
    } else {
      wake()
    }
  }

  func finishCloseIfDone() {
    if rd_kafka_consumer_closed(handle.raw) != 0 { finishClose() }
  }

  func giveUpClosing() {
    guard phase == .closing else { return }
    delegate?.consumer(self, failed: KafkaError(.timedOut, call: "close", topic: topic))
    finishClose()
  }

  private func finishClose() {
    phase = .closed
    if let closeDeadline { reactor.cancel(closeDeadline) }
    stopServing()
    signal.detach(messageQueue)
    signal.detach(controlQueue)
    failCommitsInFlight()
    failSurveys()
    if let token { reactor.scheduleClose(token) }
    token = nil
  }

  public func didClose(_ reactor: Reactor) {
    let delegate = delegate
    self.delegate = nil
    delegate?.consumerDidClose(self)
  }
}
