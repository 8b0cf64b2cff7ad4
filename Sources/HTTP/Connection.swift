// One client connection. Requests are served one after the other: while the handler has one, later ones (pipelined) wait
// as bytes in the bounded input, so answers are in order by construction and a pause sent before a resume is carried
// out before it. In one turn all complete requests are answered into the output, then written with one call.
//
// Every connection ends through `ending`: the last answer is flushed, our side is shut down, and input is read and thrown
// away for a bounded time, because closing with unread input makes the kernel reset the answer away (RFC 9112 9.6).
internal import CLinux
internal import Glibc
internal import Reactor

final class Connection: EventSource, TimerTarget {
  enum State {
    /// Between requests, or inside a head.
    case head
    /// Octets of the body still to come.
    case sizedBody(remaining: Int)
    case chunkedBody(ChunkedDecoder)
    /// The handler has a request it has not answered.
    case answering
    /// The last answer is in the output or sent; this many octets have been thrown away since.
    case ending(discarded: Int)
    /// Deregistered; an answer still coming is dropped.
    case closed
  }

  let listener: Listener
  let peer: SocketAddress
  let fd: Int32
  var token: SourceToken?
  /// Place in the listener's list.
  var index = 0

  var state = State.head
  /// When the present state began; for `head` with octets in hand, when the first of them came.
  var stateSince: Instant
  var hasServed = false

  var input: InputBuffer
  var parser: HTTPParser
  /// The peer will send no more.
  var inputEnded = false
  var isReadable = false
  var interest: Interest = .read

  // The request being read or answered.
  var sequence: UInt64 = 0
  var requestID = RequestID(prefix: 0, number: 0)
  var isHead = false
  var keepsAlive = true
  var minorVersion: UInt8 = 1
  /// A request with a body: its head, moved out of the input, and the body so far.
  var pending: (head: RequestHead, bytes: [UInt8])?
  var body: [UInt8] = []
  var bodyProgress: Instant

  var output = OutputBuffer()
  /// The socket took less than was offered, last at this time.
  var blockedSince: Instant?
  var isShutDown = false
  /// In a turn: answers given now leave with it.
  var isServing = false

  var timer: TimerToken?
  var timerDeadline = Instant(ns: 0)

  init(listener: Listener, fd: Int32, peer: SocketAddress, now: Instant) {
    self.listener = listener
    self.fd = fd
    self.peer = peer
    stateSince = now
    bodyProgress = now
    input = InputBuffer(limits: listener.limits)
    parser = HTTPParser(limits: listener.limits)
  }

  var isClosed: Bool { if case .closed = state { true } else { false } }

  /// Nothing received, nothing to send: may be closed without anybody missing an answer.
  var isIdle: Bool {
    if case .head = state { return input.isEmpty && output.count == 0 }
    return false
  }

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    // Both directions are down, or the peer has reset: no answer can reach it.
    if !readiness.isDisjoint(with: [.error, .hangup]) { return close() }
    if !readiness.isDisjoint(with: [.readable, .peerClosed]) { isReadable = true }
    if let token { reactor.markReady(token) }
  }

  /// Receive once, serve what is complete, write once.
  func runTurn(_ reactor: Reactor) -> Turn {
    if isReadable { receive() }
    let isBounded = serve()
    flush()
    guard !isClosed else { return .idle }
    updateInterest()
    updateTimer()
    // Stopped by a bound with work left: next turn, unless the socket is full (then it calls when it is not).
    return isBounded && output.count <= listener.limits.outputBytesHigh ? .again : .idle
  }

  /// Reads and answers requests until input or a bound ends.
  /// - Returns: true if a bound did.
  private func serve() -> Bool {
    isServing = true
    defer { isServing = false }
    let limits = listener.limits
    var requestsLeft = limits.requestsPerTurnMax
    while true {
      switch state {
      case .head:
        if input.isEmpty {
          if inputEnded { enter(.ending(discarded: 0)) }
          return false
        }
        if requestsLeft == 0 || output.count >= limits.outputBytesPerTurnMax { return true }
        requestsLeft -= 1
        guard readHead() else { return false }
      case .sizedBody(let remaining):
        guard readSizedBody(remaining) else { return false }
      case .chunkedBody(let decoder):
        guard readChunkedBody(decoder) else { return false }
      case .answering, .closed: return false
      case .ending:
        input.clear()
        return false
      }
    }
  }

  func enter(_ next: State) {
    state = next
    stateSince = listener.reactor.now
  }

  /// Ends the connection now; what is unsent is lost. The descriptor is closed when the turn is over.
  func close() {
    guard !isClosed else { return }
    state = .closed
    forgetBody()
    if let timer { listener.reactor.cancel(timer) }
    timer = nil
    if let token { listener.reactor.scheduleClose(token) }
  }

  func didClose(_ reactor: Reactor) {
    // close(2) frees the number whatever it answers.
    _ = Glibc.close(fd)
    token = nil
    listener.didClose(self)
  }

  /// Asks the kernel only for what can be used; a change costs a system call, so the common case makes none.
  private func updateInterest() {
    var wanted: Interest = wantsInput ? .read : []
    if output.count > 0 { wanted.insert(.write) }
    guard wanted != interest, let token else { return }
    do {
      try listener.reactor.setInterest(wanted, for: token)
      interest = wanted
    } catch {
      // epoll is out of memory: without events this connection would hang for ever.
      close()
    }
  }

  /// Back-pressure: a client that does not take its answers is not read; pipelined requests wait in the kernel once the
  /// input is full.
  private var wantsInput: Bool {
    if inputEnded { return false }
    switch state {
    case .head, .sizedBody, .chunkedBody: return output.count <= listener.limits.outputBytesHigh && !input.isFull
    case .answering: return !input.isFull
    case .ending: return true
    case .closed: return false
    }
  }
}
