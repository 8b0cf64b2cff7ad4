// A TCP connection for the command line: everything waits, nothing longer than its deadline.
//
// The socket itself is non-blocking and every wait is a poll(2) against one deadline, so a peer that trickles bytes cannot
// hold a command for ever. Not for the daemon: its connections live on the reactor.

internal import CLinux
internal import Glibc
internal import Reactor

/// A failed exchange with a server, as a sentence without its subject: `refused the connection`.
struct ConnectionFailure: Error, Equatable, CustomStringConvertible {
  enum Kind: Equatable { case refused, unresolved, timedOut, broken }
  var kind: Kind
  var description: String
}

struct BlockingSocket: ~Copyable {
  private let fd: OwnedFD
  private let deadline: Instant

  /// Connects to the first address of `host` that answers.
  ///
  /// - Blocking: the name look-up (the resolver's own time-outs), then at most `connectTimeout` an address.
  init(host: String, port: Int, connectTimeout: Duration, total: Duration) throws(ConnectionFailure) {
    let deadline = Instant.nowUncached() + total
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &list)
    guard code == 0 else {
      throw ConnectionFailure(kind: .unresolved, description: "has no address (\(String(cString: gai_strerror(code))))")
    }
    defer { freeaddrinfo(list) }
    var last = ConnectionFailure(kind: .unresolved, description: "has no address")
    var next = list
    while let address = next {
      do {
        fd = try Self.connect(address.pointee, until: Instant.nowUncached() + connectTimeout)
        self.deadline = deadline
        return
      } catch {
        last = error
      }
      next = address.pointee.ai_next
    }
    throw last
  }

  private static func connect(_ address: addrinfo, until deadline: Instant) throws(ConnectionFailure) -> OwnedFD {
    let raw = socket(
      address.ai_family, address.ai_socktype | Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), address.ai_protocol)
    guard raw >= 0 else { throw broken("socket") }
    let fd = OwnedFD(adopting: raw)
    if Glibc.connect(raw, address.ai_addr, address.ai_addrlen) == 0 { return fd }
    guard errno == EINPROGRESS else { throw refusal(errno) }
    try wait(raw, for: Int16(POLLOUT), until: deadline)
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(raw, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else { throw broken("getsockopt") }
    guard code == 0 else { throw refusal(code) }
    return fd
  }

  /// Sends everything.
  borrowing func send(_ bytes: [UInt8]) throws(ConnectionFailure) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.send(fd.raw, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL)) }
      if count >= 0 {
        done += count
      } else if errno == EAGAIN {
        try Self.wait(fd.raw, for: Int16(POLLOUT), until: deadline)
      } else if errno != EINTR {
        throw Self.broken("send")
      }
    }
  }

  /// Whatever has arrived, at most `countMax` bytes; empty when the peer has closed.
  borrowing func receive(countMax: Int = 65_536) throws(ConnectionFailure) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: countMax)
    while true {
      let count = recv(fd.raw, &buffer, countMax, 0)
      if count >= 0 { return Array(buffer[..<count]) }
      if errno == EAGAIN {
        try Self.wait(fd.raw, for: Int16(POLLIN), until: deadline)
      } else if errno != EINTR {
        throw Self.broken("receive")
      }
    }
  }

  private static func wait(_ fd: Int32, for events: Int16, until deadline: Instant) throws(ConnectionFailure) {
    while true {
      let left = (deadline - Instant.nowUncached()) / .milliseconds(1)
      guard left > 0 else { throw ConnectionFailure(kind: .timedOut, description: "did not answer in time") }
      var entry = pollfd(fd: fd, events: events, revents: 0)
      let count = poll(&entry, 1, Int32(min(left.rounded(.up), 1_000_000)))
      if count > 0 { return }
      guard count == 0 || errno == EINTR else { throw broken("poll") }
    }
  }

  private static func refusal(_ code: Int32) -> ConnectionFailure {
    let kind: ConnectionFailure.Kind = code == ECONNREFUSED ? .refused : code == ETIMEDOUT ? .timedOut : .broken
    return ConnectionFailure(kind: kind, description: "cannot be reached (\(Errno(code, "connect").reason))")
  }

  private static func broken(_ call: String) -> ConnectionFailure {
    ConnectionFailure(kind: .broken, description: "broke the connection (\(Errno.last(call).reason))")
  }
}
