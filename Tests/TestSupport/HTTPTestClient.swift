// A raw HTTP client for tests: sends exactly the bytes it is given and reads answers strictly, on the thread that also
// turns the server's reactor, so a test needs no second thread and no sleep. Shares no code with the server.
internal import CLinux
internal import Glibc
public import Reactor

public struct ClientResponse: Sendable, Equatable {
  public var status: Int
  public var reason: String
  /// Names in lower case, in the order received.
  public var headers: [(name: String, value: String)]
  public var body: [UInt8]

  public var text: String { String(decoding: body, as: UTF8.self) }
  public subscript(name: String) -> String? { headers.first { $0.name == name }?.value }

  public static func == (left: ClientResponse, right: ClientResponse) -> Bool {
    left.status == right.status && left.reason == right.reason && left.body == right.body
      && left.headers.elementsEqual(right.headers) { $0 == $1 }
  }
}

public final class HTTPTestClient {
  public let fd: Int32
  public private(set) var received: [UInt8] = []
  /// The server has ended its side, in order or by a reset.
  public private(set) var isEnded = false
  public private(set) var wasReset = false
  private var unsent: [UInt8] = []

  /// Connects to 127.0.0.1, or to `::1`. - Blocking: no; the connection completes in the kernel's backlog.
  public init(port: UInt16, isIPv6: Bool = false, receiveBufferBytes: Int32? = nil) {
    fd = socket(isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    precondition(fd >= 0, "socket: \(errno)")
    if var size = receiveBufferBytes { setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size)) }
    let code: Int32
    if isIPv6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      address.sin6_addr = in6addr_loopback
      code = withUnsafeBytes(of: &address) { bytes in
        bytes.withMemoryRebound(to: sockaddr.self) {
          connect(fd, $0.baseAddress!, socklen_t(MemoryLayout<sockaddr_in6>.size))
        }
      }
    } else {
      let loopback = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
      var address = sockaddr_in(
        sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian, sin_addr: loopback, sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
      code = withUnsafeBytes(of: &address) { bytes in
        bytes.withMemoryRebound(to: sockaddr.self) {
          connect(fd, $0.baseAddress!, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    }
    precondition(code == 0, "connect to port \(port): \(errno)")
    _ = fcntl(fd, F_SETFL, O_NONBLOCK)
    var on: Int32 = 1
    setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  deinit { _ = close(fd) }

  public func send(_ text: String) { send(Array(text.utf8)) }
  public func send(_ bytes: [UInt8]) {
    unsent += bytes
    pumpOut()
  }

  public var unsentCount: Int { unsent.count }

  /// Ends our side; answers can still come.
  public func finishSending() { shutdown(fd, Int32(SHUT_WR)) }

  /// Ends with a reset.
  public func reset() {
    var value = linger(l_onoff: 1, l_linger: 0)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    // The number stays ours until deinit: connect to AF_UNSPEC resets without closing.
    var unspecified = sockaddr(sa_family: sa_family_t(AF_UNSPEC), sa_data: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    withUnsafePointer(to: &unspecified) {
      _ = connect(fd, $0, socklen_t(MemoryLayout<sockaddr>.size))
    }
    isEnded = true
  }

  /// Sends and receives what can be without waiting.
  public func pump(receiving: Bool = true) {
    pumpOut()
    guard receiving, !isEnded else { return }
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(fd, &chunk, chunk.count, 0)
      if count > 0 {
        received += chunk[..<count]
        continue
      }
      if count == 0 { isEnded = true }
      if count < 0, errno != EAGAIN { (isEnded, wasReset) = (true, true) }
      return
    }
  }

  private func pumpOut() {
    var sent = 0
    while sent < unsent.count {
      let count = unsent.withUnsafeBytes { Glibc.send(fd, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL)) }
      if count < 0 {
        // A reset shows when receiving; what is unsent will never be taken.
        if errno != EAGAIN { sent = unsent.count }
        break
      }
      sent += count
    }
    unsent.removeFirst(sent)
  }

  /// Takes one complete answer out of what was received. Answers without Content-Length are a failure of the server.
  public func takeResponse(toHEAD: Bool = false) -> ClientResponse? {
    guard let headEnd = indexAfterHead() else { return nil }
    let lines = String(decoding: received[..<(headEnd - 4)], as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
    let parts = lines[0].split(separator: " ", maxSplits: 2)
    guard parts.count == 3, parts[0] == "HTTP/1.1", let status = Int(parts[1]) else {
      preconditionFailure("malformed status line \(lines[0])")
    }
    let headers = lines.dropFirst().map { line in
      let colon = line.firstIndex(of: ":")!
      return (name: line[..<colon].lowercased(), value: line[line.index(after: colon)...].drop { $0 == " " }.description)
    }
    var length = 0
    if status >= 200 {
      guard let value = headers.first(where: { $0.name == "content-length" })?.value, let count = Int(value) else {
        preconditionFailure("no Content-Length in \(lines)")
      }
      length = toHEAD ? 0 : count
    }
    guard received.count >= headEnd + length else { return nil }
    let body = Array(received[headEnd..<(headEnd + length)])
    received.removeFirst(headEnd + length)
    return ClientResponse(status: status, reason: String(parts[2]), headers: headers, body: body)
  }

  private func indexAfterHead() -> Int? {
    let mark: [UInt8] = [13, 10, 13, 10]
    guard received.count >= 4 else { return nil }
    for index in 0...(received.count - 4) where received[index] == 13 && Array(received[index..<(index + 4)]) == mark {
      return index + 4
    }
    return nil
  }
}

extension Reactor {
  /// Turns the loop until the client has one complete answer; nil if it does not come in time or the connection ends.
  public func response(
    for client: HTTPTestClient, toHEAD: Bool = false, within deadline: Duration = .seconds(10)
  ) -> ClientResponse? {
    var response: ClientResponse?
    _ = runUntil(within: deadline) {
      client.pump()
      response = client.takeResponse(toHEAD: toHEAD)
      return response != nil || client.isEnded
    }
    return response
  }

  /// Turns the loop until the server has ended the connection. - Returns: false if it does not in time.
  public func ends(_ client: HTTPTestClient, within deadline: Duration = .seconds(10)) -> Bool {
    runUntil(within: deadline) {
      client.pump()
      return client.isEnded
    }
  }
}
