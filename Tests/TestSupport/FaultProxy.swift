// A proxy between a store and a real S3 server that does one thing wrong on purpose. One request a connection; bytes pass
// through as they come, except where a fault says otherwise. On a reactor thread of its own.
internal import CLinux
internal import Glibc
internal import Reactor

public final class FaultProxy: Sendable {
  public enum Fault: Sendable {
    /// Answers itself, after the body.
    case answer(Int, code: String, headers: [String] = [])
    case errorInsideSuccess
    case redirect
    /// Passes the request on, and resets the connection when the answer comes.
    case noAnswer
    /// Lets so many bytes of the answer's body pass, then resets the connection.
    case resetAnswer(after: Int)
    /// Lets so many bytes of the request's body pass, then resets the connection.
    case resetRequest(after: Int)
    /// Ends in order, but too early.
    case shortAnswer(after: Int)
    /// Takes everything, says nothing.
    case stall
    case wrongETag
    /// Changes one byte of the answer's body.
    case flip(at: Int)
  }

  private struct Rule: Sendable {
    let method: String?
    let part: String
    let fault: Fault
    var times: Int
  }

  public let port: UInt16
  private let thread: ReactorThread
  private let rules = Lock<[Rule]>([])
  private let seen = Lock<[String]>([])

  public init(upstream: UInt16) throws {
    let choose = Lock<(@Sendable (String, String) -> Fault?)?>(nil)
    let listener = try ProxyListener()
    port = listener.port
    thread = try ReactorThread.start(name: "fault-proxy") { reactor in
      listener.serve(reactor, upstream: upstream) { client, upstream in
        ProxyPair(client: client, upstream: upstream) { method, path in choose.withLock { $0 }?(method, path) }.start(reactor)
      }
    }
    choose.withLock { $0 = { [weak self] in self?.fault(of: $0, $1) } }
  }

  deinit {
    thread.handle.stop()
    thread.join()
  }

  public var endpoint: String { "http://127.0.0.1:\(port)" }
  /// `METHOD path` of every request so far.
  public var requests: [String] { seen.withLock { $0 } }

  /// - Parameters:
  ///   - method: nil for any.
  ///   - part: of path and query.
  public func set(_ fault: Fault, on method: String? = nil, _ part: String = "", times: Int = .max) {
    rules.withLock { $0 = [Rule(method: method, part: part, fault: fault, times: times)] }
  }

  public func heal() { rules.withLock { $0 = [] } }

  private func fault(of method: String, _ path: String) -> Fault? {
    seen.withLock { $0.append("\(method) \(path)") }
    return rules.withLock { rules in
      guard let index = rules.firstIndex(where: { ($0.method ?? method) == method && ($0.part.isEmpty || path.contains($0.part)) && $0.times > 0 })
      else { return nil }
      rules[index].times -= 1
      return rules[index].fault
    }
  }
}

/// One connection through the proxy.
private final class ProxyPair {
  /// Bytes kept for a side that does not take them.
  private static let pendingMax = 4 << 20
  private let client: ProxySide
  private let upstream: ProxySide
  private let choose: (String, String) -> FaultProxy.Fault?
  private var requestHead: [UInt8]? = []
  private var answerHead: [UInt8]? = []
  private var fault: FaultProxy.Fault?
  private var bodyLeft = 0
  private var passed = 0
  private var canned: [UInt8]?
  private var isOver = false

  init(client: Int32, upstream: Int32, _ choose: @escaping (String, String) -> FaultProxy.Fault?) {
    self.client = ProxySide(client)
    self.upstream = ProxySide(upstream)
    self.choose = choose
  }

  func start(_ reactor: Reactor) {
    client.received = { [self] in fromClient($0, reactor) }
    upstream.received = { [self] in fromUpstream($0, reactor) }
    client.ended = { [self] in end(reactor) }
    upstream.ended = { [self] in
      // Everything it said is still to be passed on.
      if answerHead?.isEmpty == false, let rest = answerHead { client.send(rest, reactor) }
      if case .stall? = fault { return }
      client.finish(reactor)
      end(reactor, keepsClient: true)
    }
    client.register(reactor)
    upstream.register(reactor)
  }

  private func end(_ reactor: Reactor, keepsClient: Bool = false) {
    upstream.close(reactor)
    if !keepsClient { client.close(reactor) }
  }

  private func reset(_ reactor: Reactor) {
    client.reset(reactor)
    upstream.close(reactor)
  }

  // MARK: Request

  private func fromClient(_ bytes: [UInt8], _ reactor: Reactor) {
    guard requestHead != nil else { return body(bytes, reactor) }
    requestHead! += bytes
    guard let end = Self.headEnd(requestHead!) else { return }
    let head = String(decoding: requestHead![..<end], as: UTF8.self)
    let rest = Array(requestHead![end...])
    requestHead = nil
    let words = head.split(separator: " ", maxSplits: 2)
    fault = choose(String(words[0]), words.count > 1 ? String(words[1]) : "")
    bodyLeft = Self.header("content-length", head).flatMap { Int($0) } ?? 0
    canned = answer()
    if canned != nil {
      if Self.header("expect", head) != nil { bodyLeft = 0 }
    } else if case .stall? = fault {
      return
    } else if let line = head.firstRange(of: "\r\n") {
      upstream.send(Array((head[..<line.upperBound] + "Connection: close\r\n" + head[line.upperBound...]).utf8), reactor)
    }
    body(rest, reactor)
  }

  private func body(_ bytes: [UInt8], _ reactor: Reactor) {
    guard !isOver else { return }
    bodyLeft -= bytes.count
    if case .stall? = fault { return }
    if let canned {
      guard bodyLeft <= 0 else { return }
      isOver = true
      client.send(canned, reactor)
      client.finish(reactor)
      return end(reactor, keepsClient: true)
    }
    passed += bytes.count
    if case .resetRequest(let count)? = fault, passed > count {
      isOver = true
      return reset(reactor)
    }
    if !bytes.isEmpty { upstream.send(bytes, reactor) }
  }

  private func answer() -> [UInt8]? {
    func text(_ status: String, _ headers: [String], _ body: String) -> [UInt8] {
      let lines = ["HTTP/1.1 \(status)", "Content-Length: \(body.utf8.count)", "Connection: close"] + headers
      return Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + body).utf8)
    }
    switch fault {
    case .answer(let status, let code, let headers)?:
      return text("\(status) Fault", headers, code.isEmpty ? "" : "<Error><Code>\(code)</Code><Message>on purpose</Message></Error>")
    case .errorInsideSuccess?:
      return text("200 OK", ["ETag: \"00000000000000000000000000000000\""], "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>")
    case .redirect?: return text("307 Temporary Redirect", ["Location: /"], "")
    default: return nil
    }
  }

  // MARK: Answer

  private func fromUpstream(_ bytes: [UInt8], _ reactor: Reactor) {
    guard !isOver else { return }
    guard answerHead != nil else { return answerBody(bytes, reactor) }
    answerHead! += bytes
    guard let end = Self.headEnd(answerHead!) else { return }
    var head = String(decoding: answerHead![..<end], as: UTF8.self)
    let rest = Array(answerHead![end...])
    guard !head.hasPrefix("HTTP/1.1 100") else {
      client.send(Array(head.utf8), reactor)
      answerHead = []
      return rest.isEmpty ? () : fromUpstream(rest, reactor)
    }
    answerHead = nil
    passed = 0
    if case .noAnswer? = fault {
      isOver = true
      return reset(reactor)
    }
    if case .wrongETag? = fault, let etag = Self.header("etag", head) {
      let wrong = "\"" + etag.dropFirst().dropLast().map { $0 == "0" ? "1" : $0 == "-" ? "-" : "0" } + "\""
      head = head.split(separator: etag, maxSplits: 1, omittingEmptySubsequences: false).joined(separator: wrong)
    }
    client.send(Array(head.utf8), reactor)
    answerBody(rest, reactor)
  }

  private func answerBody(_ bytes: [UInt8], _ reactor: Reactor) {
    var bytes = bytes
    let before = passed
    passed += bytes.count
    switch fault {
    case .resetAnswer(let count)? where passed > count:
      isOver = true
      client.send(Array(bytes.prefix(max(0, count - before))), reactor)
      return reset(reactor)
    case .shortAnswer(let count)? where passed > count:
      isOver = true
      client.send(Array(bytes.prefix(max(0, count - before))), reactor)
      client.finish(reactor)
      return end(reactor, keepsClient: true)
    case .flip(let at)? where (before..<passed).contains(at): bytes[at - before] ^= 1
    default: break
    }
    if !bytes.isEmpty { client.send(bytes, reactor) }
  }

  // MARK: Heads

  private static func headEnd(_ bytes: [UInt8]) -> Int? {
    guard bytes.count >= 4 else { return nil }
    for index in 0...(bytes.count - 4)
    where bytes[index] == 13 && bytes[index + 1] == 10 && bytes[index + 2] == 13 && bytes[index + 3] == 10 { return index + 4 }
    return nil
  }

  static func header(_ name: String, _ head: String) -> String? {
    for line in head.split(separator: "\r\n").dropFirst() {
      guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == name else { continue }
      return String(line[line.index(after: colon)...].drop { $0 == " " })
    }
    return nil
  }
}
