// One TCP connection: registered with epoll once, edge-triggered, and then read and written until the kernel would block. Head and
// first body bytes of a request leave in one call; bodies of a known length are received straight into the pool's blocks.
//
// Invariant: `canRead` and `canWrite` are false only if epoll will tell when that changes. A connection goes back to the idle
// ones only if the whole request was sent, the whole answer read, and the kernel held nothing behind it.
internal import CLinux
internal import Glibc
internal import Reactor

final class SocketConnection: EventSource, TimerTarget {
  /// Received at a time where it is not known yet how much of it is body; the body's share is copied.
  static let scratchBytes = 32_768

  let origin: HTTPOrigin
  private let fd: Int32
  private let transport: SocketTransport
  private var token: SourceToken?
  /// While connecting.
  private var connectTimer: TimerToken?
  /// Of the origin's addresses, while connecting.
  private let addressIndex: Int
  private var canRead = false
  private var canWrite = false
  /// The peer has ended its side: what it sent can still be read.
  private var isEnding = false
  private var exchange: SocketExchange?
  /// Served a request before.
  private(set) var isUsed = false
  var idleSince = Instant(ns: 0)
  /// Received, and no room for it yet.
  private var leftover: [UInt8] = []

  /// Begins to connect.
  /// - Errors: `Errno` when it fails at once.
  init(_ transport: SocketTransport, _ exchange: SocketExchange, addressIndex: Int) throws(Errno) {
    self.transport = transport
    self.exchange = exchange
    self.addressIndex = addressIndex
    origin = exchange.origin
    fd = try origin.addresses[addressIndex].connect()
    do throws(Errno) {
      token = try transport.reactor.register(fd: fd, interest: [.read, .write, .edge], source: self)
    } catch {
      Glibc.close(fd)
      throw error
    }
    exchange.connection = self
    let deadline = Instant.nowUncached() + transport.limits.connect
    connectTimer = transport.reactor.schedule(at: deadline, target: self, payload: 0)
  }

  /// Serves a further request.
  func begin(_ exchange: SocketExchange) {
    self.exchange = exchange
    exchange.connection = self
  }

  // MARK: EventSource

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    if connectTimer != nil, !didConnect() { return }
    if readiness.contains(.writable) { canWrite = true }
    if !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup, .error]) { canRead = true }
    if !readiness.isDisjoint(with: [.peerClosed, .hangup, .error]) { isEnding = true }
    guard exchange != nil else {
      // Idle: the peer ends it, or says what nobody has asked for.
      if canRead { transport.forget(self) }
      return
    }
    read()
    write()
  }

  func runTurn(_ reactor: Reactor) -> Turn {
    read()
    write()
    return .idle
  }

  func didClose(_ reactor: Reactor) { _ = Glibc.close(fd) }

  /// Reads and writes in this tick's turns, after everybody else's events.
  func takeTurn() {
    if let token { transport.reactor.markReady(token) }
  }

  /// Ends it at any point; without effect the second time.
  func close() {
    if let connectTimer { transport.reactor.cancel(connectTimer) }
    connectTimer = nil
    exchange = nil
    leftover = []
    if let token { transport.reactor.scheduleClose(token) }
    token = nil
  }

  // MARK: Connecting

  private func didConnect() -> Bool {
    var code: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    if getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0 { code = errno }
    guard code == 0 else {
      connectFailed(TransportError(.unreachable, "\(origin): \(Errno(code, "connect"))"))
      return false
    }
    if let connectTimer { transport.reactor.cancel(connectTimer) }
    connectTimer = nil
    return true
  }

  /// No connection in time.
  func timerFired(_ reactor: Reactor, payload: UInt64) {
    connectTimer = nil
    connectFailed(TransportError(.stalled, "\(origin): no connection within \(transport.limits.connect)"))
  }

  private func connectFailed(_ error: TransportError) {
    guard let exchange else { return }
    close()
    exchange.connection = nil
    transport.open(exchange, from: addressIndex + 1, after: error)
  }

  // MARK: Sending

  /// Sends as much as the kernel takes.
  func write() {
    while canWrite, let exchange, exchange.wantsToSend {
      let (asked, sent) = exchange.send(to: fd)
      guard sent < 0 else {
        if sent < asked { canWrite = false }
        exchange.didSend(sent)
        continue
      }
      let code = errno
      if code == EINTR { continue }
      canWrite = false
      if code != EAGAIN {
        // Perhaps it has answered before it ended the connection: what it said counts more.
        canRead = true
        isEnding = true
        read()
        if self.exchange === exchange { failed(Errno(code, "send")) }
      }
    }
  }

  // MARK: Receiving

  private func read() {
    guard takeLeftover() else { return }
    while canRead, let exchange {
      switch exchange.room() {
      case .none: return
      case .scratch: if !readScratch(exchange) { return }
      case .block(let room, let isRest): if !readBlock(exchange, room, isRest) { return }
      }
    }
  }

  /// - Returns: false if there is still no room for it.
  private func takeLeftover() -> Bool {
    guard !leftover.isEmpty, let exchange else { return true }
    let bytes = leftover
    leftover = []
    return bytes.withUnsafeBytes { take($0, exchange) }
  }

  private func readScratch(_ exchange: SocketExchange) -> Bool {
    let scratch = transport.scratch
    let count = recv(fd, scratch.baseAddress, scratch.count, 0)
    guard count > 0 else { return nothingRead(exchange, count) }
    if count < scratch.count, !isEnding { canRead = false }
    return take(UnsafeRawBufferPointer(rebasing: scratch[..<count]), exchange)
  }

  /// Straight into a block; with the end of the body also what would lie behind it, so that it is known whether anything does.
  private func readBlock(_ exchange: SocketExchange, _ room: UnsafeMutableRawBufferPointer, _ isRest: Bool) -> Bool {
    let scratch = transport.scratch
    let asked = isRest ? room.count + scratch.count : room.count
    let count = withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { vectors in
      vectors[0] = iovec(iov_base: room.baseAddress, iov_len: room.count)
      vectors[1] = iovec(iov_base: scratch.baseAddress, iov_len: scratch.count)
      return readv(fd, vectors.baseAddress, isRest ? 2 : 1)
    }
    guard count > 0 else { return nothingRead(exchange, count) }
    if count < asked, !isEnding { canRead = false }
    exchange.received(inRoom: min(count, room.count))
    if exchange.isAnswered { completed(exchange, hasMore: count > room.count) }
    return true
  }

  private func take(_ bytes: UnsafeRawBufferPointer, _ exchange: SocketExchange) -> Bool {
    do throws(MalformedResponse) {
      let taken = try exchange.received(bytes)
      if exchange.isAnswered {
        completed(exchange, hasMore: taken < bytes.count)
      } else if taken < bytes.count {
        leftover = Array(bytes[taken...])
        return false
      }
      return true
    } catch {
      exchange.finish(.failure(TransportError(.broken, "\(origin): \(error)")))
      return false
    }
  }

  /// The end, or an error, or nothing for the moment. - Returns: whether to try again.
  private func nothingRead(_ exchange: SocketExchange, _ count: Int) -> Bool {
    guard count < 0 else {
      ended(exchange)
      return false
    }
    let code = errno
    if code == EINTR { return true }
    canRead = false
    if code != EAGAIN { failed(Errno(code, "recv")) }
    return false
  }

  private func ended(_ exchange: SocketExchange) {
    do throws(MalformedResponse) {
      try exchange.ended()
      completed(exchange, hasMore: true)
    } catch {
      failed(exchange, "\(error)")
    }
  }

  // MARK: Ends

  private func completed(_ exchange: SocketExchange, hasMore: Bool) {
    let isReusable = exchange.isSent && exchange.keepsConnection && !hasMore && !canRead && !isEnding
    self.exchange = nil
    exchange.connection = nil
    isUsed = true
    if isReusable { transport.giveBack(self) } else { close() }
    exchange.finish(.success(()))
  }

  private func failed(_ error: Errno) {
    if let exchange { failed(exchange, "\(error)") }
  }

  /// A connection the peer had ended before it saw the request says nothing of the request: it is sent once more on a new one.
  private func failed(_ exchange: SocketExchange, _ what: String) {
    let isAgain = isUsed && exchange.rewind()
    if isAgain {
      close()
      exchange.connection = nil
      transport.open(exchange, from: 0, after: nil)
    } else {
      exchange.finish(.failure(TransportError(.broken, "\(origin): \(what)")))
    }
  }
}
