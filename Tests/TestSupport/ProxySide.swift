// What the proxies of the tests are made of: a listening socket, and the two sockets of each connection through it. On a reactor.
internal import CLinux
internal import Glibc
internal import Reactor

/// A loopback port somebody may connect to. Its descriptor lives as long as the reactor that serves it.
struct ProxyListener: Sendable {
  private let fd: Int32
  let port: UInt16

  init() throws {
    fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = Self.loopback(0)
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    var length = size
    let fd = fd
    let code = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, size) == 0 && listen(fd, 512) == 0 ? getsockname(fd, $0, &length) : -1 }
    }
    guard fd >= 0, code == 0 else { throw Errno.last("bind") }
    port = UInt16(bigEndian: address.sin_port)
  }

  /// - Parameter start: gets the descriptors of a new client and of the connection to `upstream` that is made for it.
  func serve(_ reactor: Reactor, upstream: UInt16, _ start: @escaping (_ client: Int32, _ upstream: Int32) -> Void) {
    let acceptor = ProxyAcceptor(fd: fd, upstream: upstream, start)
    do { acceptor.token = try reactor.register(fd: fd, interest: .read, source: acceptor) } catch { preconditionFailure("\(error)") }
  }

  static func loopback(_ port: UInt16) -> sockaddr_in {
    sockaddr_in(
      sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian, sin_addr: in_addr(s_addr: UInt32(0x7F00_0001).bigEndian),
      sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
  }
}

private final class ProxyAcceptor: EventSource {
  let fd: Int32
  let upstream: UInt16
  let start: (Int32, Int32) -> Void
  var token: SourceToken!

  init(fd: Int32, upstream: UInt16, _ start: @escaping (Int32, Int32) -> Void) {
    (self.fd, self.upstream, self.start) = (fd, upstream, start)
  }

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    while true {
      // Closed in children of other tests: a connection they held open would not end when it should.
      let client = accept4(fd, nil, nil, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
      guard client >= 0 else { return }
      let up = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
      var address = ProxyListener.loopback(upstream)
      withUnsafePointer(to: &address) {
        // In progress, or refused: the first write tells.
        _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(up, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
      }
      start(client, up)
    }
  }

  func didClose(_ reactor: Reactor) { close(fd) }
}

/// One socket of a pair.
final class ProxySide: EventSource {
  private let fd: Int32
  private var token: SourceToken?
  private var pending: [UInt8] = []
  private var isFinishing = false
  private var isClosed = false
  var received: ([UInt8]) -> Void = { _ in }
  var ended: () -> Void = {}

  init(_ fd: Int32) { self.fd = fd }

  func register(_ reactor: Reactor) {
    do { token = try reactor.register(fd: fd, interest: .read, source: self) } catch { preconditionFailure("\(error)") }
  }

  func send(_ bytes: [UInt8], _ reactor: Reactor) {
    guard !isClosed else { return }
    pending += bytes
    flush(reactor)
  }

  /// Ends our direction when everything was taken.
  func finish(_ reactor: Reactor) {
    isFinishing = true
    flush(reactor)
  }

  private func flush(_ reactor: Reactor) {
    guard !isClosed else { return }
    while !pending.isEmpty {
      let count = Glibc.send(fd, pending, pending.count, Int32(MSG_NOSIGNAL))
      if count < 0 {
        // ENOTCONN: the connection is still being made.
        if errno == EAGAIN || errno == ENOTCONN { break }
        return fail(reactor)
      }
      pending.removeFirst(count)
    }
    if let token {
      do { try reactor.setInterest(pending.isEmpty ? .read : [.read, .write], for: token) } catch { fail(reactor) }
    }
    if pending.isEmpty, isFinishing { shutdown(fd, Int32(SHUT_WR)) }
  }

  private func fail(_ reactor: Reactor) {
    guard !isClosed else { return }
    let ended = self.ended
    close(reactor)
    ended()
  }

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    if readiness.contains(.writable) { flush(reactor) }
    guard !isClosed, !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup, .error]) else { return }
    var block = [UInt8](repeating: 0, count: 65_536)
    let count = read(fd, &block, block.count)
    if count > 0 {
      received(Array(block[..<count]))
    } else if count == 0 || errno != EAGAIN {
      fail(reactor)
    }
  }

  func reset(_ reactor: Reactor) {
    var value = linger(l_onoff: 1, l_linger: 0)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    close(reactor)
  }

  func close(_ reactor: Reactor) {
    guard !isClosed else { return }
    isClosed = true
    received = { _ in }
    ended = {}
    if let token { reactor.scheduleClose(token) }
  }

  func didClose(_ reactor: Reactor) { _ = Glibc.close(fd) }
}
