// One connection of hiredis 0.14 on the reactor. Redis' side of the world ends here: above are values and closures.
//
// The library owns the descriptor and the context and frees both by itself when a connection breaks; it tells us in its `cleanup`
// hook, before it closes the descriptor: that is where the source is deregistered, and after it nothing here touches the
// context. Asked to close, we free it in a ready turn: never within one of its callbacks, which would go on using it.
//
// Invariant: `context` is non-nil exactly while hiredis has not freed it; every command's closure is called exactly once, with
// nil if the connection ended first; replies come in the order of commands.
//
// No reply closure is ever handed to C: replies are matched to commands by their order, messages go to `onMessage`.
internal import CHiredis
internal import DequeModule
internal import Reactor

final class HiredisConnection: EventSource {
  private var context: UnsafeMutablePointer<redisAsyncContext>?
  private var token: SourceToken?
  private var interest: Interest = []
  private let reactor: Reactor
  private var replies = Deque<(RedisReply?) -> Void>()
  private var isClosing = false
  private var endReason: String?

  /// Connected, or not (nil: yes; then commands may be sent).
  var onConnect: ((_ failure: String?) -> Void)?
  /// Everything the server sends to a subscriber: confirmations and messages.
  var onMessage: (([RedisReply]) -> Void)?
  /// The connection is gone; once, also after `close`.
  var onEnd: ((_ reason: String) -> Void)?

  init(reactor: Reactor) { self.reactor = reactor }

  /// Starts connecting.
  /// - Parameter address: numeric; a name would be looked up here and now.
  /// - Returns: why it could not even be started; then no callback will come.
  func connect(address: String, port: Int) -> String? {
    guard let context = redisAsyncConnect(address, Int32(port)) else { return "out of memory" }
    if context.pointee.err != 0 {
      let why = String(cString: context.pointee.errstr)
      redisAsyncFree(context)
      return why
    }
    do throws(Errno) {
      token = try reactor.register(fd: context.pointee.c.fd, interest: [], source: self)
    } catch {
      redisAsyncFree(context)
      return error.description
    }
    self.context = context
    // Given back in `cleanup`.
    let owner = Unmanaged.passRetained(self).toOpaque()
    context.pointee.data = owner
    context.pointee.ev.data = owner
    context.pointee.ev.addRead = hiredisAddRead
    context.pointee.ev.delRead = hiredisDelRead
    context.pointee.ev.addWrite = hiredisAddWrite
    context.pointee.ev.delWrite = hiredisDelWrite
    context.pointee.ev.cleanup = hiredisCleanup
    redisAsyncSetConnectCallback(context, hiredisConnected)  // asks for the first write event
    return nil
  }

  /// Commands sent and not answered.
  var openCount: Int { replies.count }

  /// Sends a command. - Returns: false if the connection has ended; the closure is not called then.
  func send(_ arguments: [[UInt8]], _ reply: @escaping (RedisReply?) -> Void) -> Bool {
    guard put(arguments, hiredisReplied) else { return false }
    replies.append(reply)
    return true
  }

  /// Sends SUBSCRIBE or PSUBSCRIBE and their opposites; what comes back goes to `onMessage`.
  func sendSubscription(_ arguments: [[UInt8]]) -> Bool { put(arguments, hiredisPushed) }

  /// Ends the connection in this tick or the next. Open commands are answered nil, then `onEnd` is called.
  func close(_ reason: String) {
    guard context != nil, !isClosing else { return }
    isClosing = true
    endReason = reason
    if let token { reactor.markReady(token) }
  }

  private typealias Callback =
    @convention(c) (
      UnsafeMutablePointer<redisAsyncContext>?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?
    ) -> Void

  private func put(_ arguments: [[UInt8]], _ callback: Callback) -> Bool {
    guard let context, !isClosing else { return false }
    // The library copies the arguments into its output buffer before it returns.
    let joined = arguments.flatMap { $0 }
    let lengths = arguments.map(\.count)
    let code = joined.withUnsafeBytes { bytes in
      var next = UnsafeRawPointer(bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!)
      var pointers: [UnsafePointer<CChar>?] = []
      for length in lengths {
        pointers.append(next.assumingMemoryBound(to: CChar.self))
        next += length
      }
      return redisAsyncCommandArgv(context, callback, nil, Int32(arguments.count), &pointers, lengths)
    }
    return code == REDIS_OK
  }

  // MARK: EventSource

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    // An error or a hang-up is found out by reading, or by writing while connecting.
    if interest.contains(.read), !readiness.isDisjoint(with: [.readable, .hangup, .error, .peerClosed]), let context {
      redisAsyncHandleRead(context)
    }
    if interest.contains(.write), !readiness.isDisjoint(with: [.writable, .hangup, .error]), let context {
      redisAsyncHandleWrite(context)
    }
  }

  func runTurn(_ reactor: Reactor) -> Turn {
    if isClosing, let context { redisAsyncFree(context) }
    return .idle
  }

  func didClose(_ reactor: Reactor) {}  // the descriptor is hiredis's

  // MARK: Called by hiredis

  fileprivate func want(_ interest: Interest) {
    guard let token, interest != self.interest else { return }
    self.interest = interest
    do throws(Errno) {
      try reactor.setInterest(interest, for: token)
    } catch {
      close(error.description)
    }
  }

  fileprivate func wantMore(_ added: Interest) { want(interest.union(added)) }
  fileprivate func wantLess(_ removed: Interest) { want(interest.subtracting(removed)) }

  fileprivate func connected(_ status: Int32) {
    let failure = status == REDIS_OK ? nil : errorText() ?? "connection refused"
    if let failure { endReason = endReason ?? failure }
    onConnect?(failure)
  }

  fileprivate func replied(_ reply: UnsafeMutableRawPointer?) {
    guard let closure = replies.popFirst() else { return }
    closure(reply.map { RedisReply(copying: $0.assumingMemoryBound(to: redisReply.self)) })
  }

  fileprivate func pushed(_ reply: UnsafeMutableRawPointer?) {
    guard let reply, case .array(let parts) = RedisReply(copying: reply.assumingMemoryBound(to: redisReply.self)) else { return }
    onMessage?(parts)
  }

  /// The context is about to be freed and its descriptor closed.
  fileprivate func cleanUp() {
    if let token { reactor.scheduleClose(token) }
    token = nil
    endReason = endReason ?? errorText()
    context = nil
    // Not within the library's own end: whoever is told may start the next connection.
    reactor.schedule(after: .zero) { [self] _ in
      let end = onEnd
      (onConnect, onMessage, onEnd) = (nil, nil, nil)
      end?(endReason ?? "closed")
    }
  }

  private func errorText() -> String? {
    guard let context, context.pointee.err != 0, let text = context.pointee.errstr else { return nil }
    return String(cString: text)
  }
}

// MARK: - Trampolines
// Named functions: a closure literal would inherit the isolation of whoever sets it. All run on the reactor's thread, from
// within redisAsyncHandleRead, -Write, -Free or -Command.

nonisolated private func owner(_ data: UnsafeMutableRawPointer?) -> HiredisConnection {
  Unmanaged<HiredisConnection>.fromOpaque(data!).takeUnretainedValue()
}

nonisolated private func hiredisAddRead(_ data: UnsafeMutableRawPointer?) { owner(data).wantMore(.read) }
nonisolated private func hiredisDelRead(_ data: UnsafeMutableRawPointer?) { owner(data).wantLess(.read) }
nonisolated private func hiredisAddWrite(_ data: UnsafeMutableRawPointer?) { owner(data).wantMore(.write) }
nonisolated private func hiredisDelWrite(_ data: UnsafeMutableRawPointer?) { owner(data).wantLess(.write) }

nonisolated private func hiredisCleanup(_ data: UnsafeMutableRawPointer?) {
  Unmanaged<HiredisConnection>.fromOpaque(data!).takeRetainedValue().cleanUp()
}

nonisolated private func hiredisConnected(_ context: UnsafePointer<redisAsyncContext>?, _ status: Int32) {
  owner(context!.pointee.data).connected(status)
}

nonisolated private func hiredisReplied(
  _ context: UnsafeMutablePointer<redisAsyncContext>?, _ reply: UnsafeMutableRawPointer?, _ privateData: UnsafeMutableRawPointer?
) {
  owner(context!.pointee.data).replied(reply)
}

nonisolated private func hiredisPushed(
  _ context: UnsafeMutablePointer<redisAsyncContext>?, _ reply: UnsafeMutableRawPointer?, _ privateData: UnsafeMutableRawPointer?
) {
  owner(context!.pointee.data).pushed(reply)
}
