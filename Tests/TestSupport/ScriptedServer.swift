// A server that answers what a test tells it to, byte by byte if it must: for what no real server does on purpose. Requests with
// Content-Length only. On a reactor thread of its own.
internal import CLinux
internal import Glibc
internal import Reactor

public final class ScriptedServer: Sendable {
  public enum Step: Sendable {
    case send([UInt8])
    /// Ends our side in order.
    case end
    case reset
  }

  public struct Request: Sendable {
    public var method: String
    public var target: String
    public var head: String
    public var body: [UInt8]
    /// Counted from 0.
    public var connection: Int
    /// On its connection, counted from 0.
    public var number: Int
  }

  public let port: UInt16
  private let thread: ReactorThread
  private let seen: SeenRequests

  /// - Parameters:
  ///   - atHead: called when a head has come, before its body; its steps are carried out at once, and the body is not read.
  ///   - answer: called with each whole request.
  public init(
    isIPv6: Bool = false, atHead: @escaping @Sendable (Request) -> [Step]? = { _ in nil }, answer: @escaping @Sendable (Request) -> [Step]
  ) throws {
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let fd = socket(isIPv6 ? AF_INET6 : AF_INET, type, 0)
    guard fd >= 0 else { throw Errno.last("socket") }
    guard let port = Self.listen(fd, isIPv6) else { throw Errno.last("bind") }
    self.port = port
    let seen = SeenRequests()
    self.seen = seen
    thread = try ReactorThread.start(name: "scripted") { reactor in
      let acceptor = ScriptedAcceptor(fd, seen, atHead, answer)
      do { _ = try reactor.register(fd: fd, interest: .read, source: acceptor) } catch { preconditionFailure("\(error)") }
    }
  }

  deinit {
    thread.handle.stop()
    thread.join()
  }

  public var origin: String { "http://127.0.0.1:\(port)" }
  public var connections: Int { seen.lock.withLock { $0.connections } }
  public var requests: [Request] { seen.lock.withLock { $0.requests } }

  /// An answer with this body.
  public static func ok(_ body: [UInt8], _ headers: [String] = [], status: String = "200 OK") -> [UInt8] {
    Array(((["HTTP/1.1 \(status)", "Content-Length: \(body.count)"] + headers).joined(separator: "\r\n") + "\r\n\r\n").utf8) + body
  }

  private static func listen(_ fd: Int32, _ isIPv6: Bool) -> UInt16? {
    if isIPv6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_addr = in6addr_loopback
      var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
      let code = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(fd, $0, size) == 0 && Glibc.listen(fd, 512) == 0 ? getsockname(fd, $0, &size) : -1
        }
      }
      return code == 0 ? UInt16(bigEndian: address.sin6_port) : nil
    }
    var address = ProxyListener.loopback(0)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, size) == 0 && Glibc.listen(fd, 512) == 0 ? getsockname(fd, $0, &size) : -1 }
    }
    return code == 0 ? UInt16(bigEndian: address.sin_port) : nil
  }
}

private final class SeenRequests: Sendable {
  struct Seen: Sendable {
    var connections = 0
    var requests: [ScriptedServer.Request] = []
  }
  let lock = Lock<Seen>(Seen())
}

private typealias Script = @Sendable (ScriptedServer.Request) -> [ScriptedServer.Step]

private final class ScriptedAcceptor: EventSource {
  private let fd: Int32
  private let seen: SeenRequests
  private let atHead: @Sendable (ScriptedServer.Request) -> [ScriptedServer.Step]?
  private let answer: Script

  init(
    _ fd: Int32, _ seen: SeenRequests, _ atHead: @escaping @Sendable (ScriptedServer.Request) -> [ScriptedServer.Step]?, _ answer: @escaping Script
  ) {
    (self.fd, self.seen, self.atHead, self.answer) = (fd, seen, atHead, answer)
  }

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    while true {
      let client = accept4(fd, nil, nil, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
      guard client >= 0 else { return }
      let number = seen.lock.withLock { seen in
        seen.connections += 1
        return seen.connections - 1
      }
      let connection = ScriptedConnection(client, number, seen, atHead, answer)
      do { connection.token = try reactor.register(fd: client, interest: .read, source: connection) } catch { preconditionFailure("\(error)") }
    }
  }

  func didClose(_ reactor: Reactor) { _ = close(fd) }
}

private final class ScriptedConnection: EventSource {
  private let fd: Int32
  private let number: Int
  private let seen: SeenRequests
  private let atHead: @Sendable (ScriptedServer.Request) -> [ScriptedServer.Step]?
  private let answer: Script
  var token: SourceToken?
  private var input: [UInt8] = []
  private var output: [UInt8] = []
  private var request: ScriptedServer.Request?
  private var length = 0
  private var requests = 0
  private var isEnding = false
  private var isDeaf = false

  init(
    _ fd: Int32, _ number: Int, _ seen: SeenRequests, _ atHead: @escaping @Sendable (ScriptedServer.Request) -> [ScriptedServer.Step]?,
    _ answer: @escaping Script
  ) {
    (self.fd, self.number, self.seen, self.atHead, self.answer) = (fd, number, seen, atHead, answer)
  }

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    if readiness.contains(.writable) { flush(reactor) }
    guard !isDeaf, !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup, .error]) else { return }
    var block = [UInt8](repeating: 0, count: 262_144)
    let count = read(fd, &block, block.count)
    if count > 0 {
      input += block[..<count]
      while next(reactor) {}
    } else if count == 0 || errno != EAGAIN {
      close(reactor)
    }
  }

  private func next(_ reactor: Reactor) -> Bool {
    guard !isDeaf else { return false }
    if request == nil {
      guard let end = headEnd() else { return false }
      let head = String(decoding: input[..<end], as: UTF8.self)
      input.removeFirst(end)
      let words = head.split(separator: " ", maxSplits: 2)
      length = 0
      for line in head.split(separator: "\r\n") where line.lowercased().hasPrefix("content-length:") {
        length = Int(line.split(separator: " ")[1]) ?? 0
      }
      let begun = ScriptedServer.Request(
        method: String(words[0]), target: String(words[1]), head: head, body: [], connection: number, number: requests)
      requests += 1
      request = begun
      if let steps = atHead(begun) {
        seen.lock.withLock { $0.requests.append(begun) }
        isDeaf = true
        carryOut(steps, reactor)
        return false
      }
    }
    guard var whole = request, input.count >= length else { return false }
    whole.body = Array(input[..<length])
    input.removeFirst(length)
    request = nil
    seen.lock.withLock { [whole] in $0.requests.append(whole) }
    carryOut(answer(whole), reactor)
    return token != nil
  }

  private func headEnd() -> Int? {
    guard input.count >= 4 else { return nil }
    for index in 0...(input.count - 4) where input[index] == 13 && input[index + 1] == 10 && input[index + 2] == 13 && input[index + 3] == 10 {
      return index + 4
    }
    return nil
  }

  private func carryOut(_ steps: [ScriptedServer.Step], _ reactor: Reactor) {
    for step in steps {
      switch step {
      case .send(let bytes): output += bytes
      case .end: isEnding = true
      case .reset:
        var value = linger(l_onoff: 1, l_linger: 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
        return close(reactor)
      }
    }
    flush(reactor)
  }

  private func flush(_ reactor: Reactor) {
    while !output.isEmpty {
      let count = send(fd, output, output.count, Int32(MSG_NOSIGNAL))
      guard count >= 0 else {
        if errno != EAGAIN { return close(reactor) }
        break
      }
      output.removeFirst(count)
    }
    if output.isEmpty, isEnding { return close(reactor) }
    guard let token else { return }
    do { try reactor.setInterest(output.isEmpty ? .read : [.read, .write], for: token) } catch { close(reactor) }
  }

  private func close(_ reactor: Reactor) {
    if let token { reactor.scheduleClose(token) }
    token = nil
  }

  func didClose(_ reactor: Reactor) { _ = Glibc.close(fd) }
}
