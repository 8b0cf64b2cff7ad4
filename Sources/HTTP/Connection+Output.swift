// From answers to octets: writing, half-closing, ending; and the deadlines of all states.
internal import CLinux
internal import Glibc
internal import Reactor

extension Connection {
  /// The handler's answer.
  func answer(_ sequence: UInt64, _ response: borrowing Response) {
    listener.reactor.assertCurrent()
    if isClosed { return }
    guard case .answering = state, sequence == self.sequence else {
      preconditionFailure("a request was answered twice")
    }
    let staysOpen = keepsAlive && !listener.isDraining
    let persistence: ResponseWriter.Persistence = !staysOpen ? .close : minorVersion == 0 ? .openAnnounced : .open
    listener.write(response, id: requestID, persistence: persistence, isHead: isHead, to: &output)
    hasServed = true
    enter(staysOpen ? .head : .ending(discarded: 0))
    // Inside a turn the turn flushes; otherwise ask for one, which also reads what was pipelined behind this request.
    if !isServing, let token { listener.reactor.markReady(token) }
  }

  /// Answers what is wrong with the octets themselves; where the next request would begin is unknown, so this is the end.
  func fail(_ error: HTTPError) {
    if !isMidRequest { requestID = listener.nextRequestID() }
    listener.countRefused()
    listener.write(error.response, id: requestID, persistence: .close, isHead: isMidRequest && isHead, to: &output)
    forgetBody()
    let discarded = input.count
    input.clear()
    enter(.ending(discarded: discarded))
  }

  /// A head has been read and its answer is still due.
  private var isMidRequest: Bool {
    switch state {
    case .sizedBody, .chunkedBody: return true
    case .head, .answering, .ending, .closed: return false
    }
  }

  /// One write of everything; then, at the end, the half-close.
  func flush() {
    if isClosed { return }
    if output.count > 0 {
      switch output.flush(to: fd) {
      case .empty: blockedSince = nil
      case .blocked(let wroteSome):
        if wroteSome || blockedSince == nil { blockedSince = listener.reactor.now }
        return
      case .failed: return close()
      }
    }
    switch state {
    case .ending: finishEnding()
    case .head: if input.isEmpty { input.shrink() }
    case .sizedBody, .chunkedBody, .answering, .closed: break
    }
  }

  private func finishEnding() {
    if inputEnded { return close() }
    if isShutDown { return }
    // While draining only a client that still sends is worth waiting for: the others have their answer.
    if listener.isDraining, case .ending(discarded: 0) = state { return close() }
    isShutDown = true
    stateSince = listener.reactor.now
    // ENOTCONN: the peer has reset; its event follows.
    _ = shutdown(fd, Int32(SHUT_WR))
  }

  // MARK: Deadlines

  /// When the present state has lasted too long.
  private var deadline: Instant {
    let times = listener.times
    if let blockedSince { return Instant(ns: blockedSince.ns + times.writeStall) }
    switch state {
    case .head:
      let isBetween = input.isEmpty && hasServed
      return Instant(ns: stateSince.ns + (isBetween ? times.keepAlive : times.head))
    case .sizedBody, .chunkedBody:
      return Instant(ns: min(bodyProgress.ns + times.bodyIdle, stateSince.ns + times.bodyTotal))
    case .answering: return Instant(ns: stateSince.ns + times.answer)
    case .ending: return Instant(ns: stateSince.ns + times.discard)
    case .closed: return Instant(ns: .max)
    }
  }

  /// Keeps one timer that fires no later than the deadline. One that fires too early (the usual case: every request moves
  /// the deadline on) is armed again then, so a request arms nothing.
  func updateTimer() {
    let due = deadline
    if timer != nil {
      if timerDeadline <= due { return }
      if let timer { listener.reactor.cancel(timer) }
    }
    timerDeadline = due
    timer = listener.reactor.schedule(at: due, target: self, payload: 0)
  }

  func timerFired(_ reactor: Reactor, payload: UInt64) {
    timer = nil
    guard !isClosed else { return }
    if reactor.now < deadline { return updateTimer() }
    listener.countTimedOut()
    switch state {
    case .sizedBody, .chunkedBody: fail(.requestTimeout)
    case .head where !input.isEmpty: fail(.requestTimeout)
    // Nothing was asked, nobody answers, or the answer is not taken: no words left.
    case .head, .answering, .ending, .closed: return close()
    }
    if blockedSince != nil { return close() }
    if let token { reactor.markReady(token) }
    updateTimer()
  }
}
