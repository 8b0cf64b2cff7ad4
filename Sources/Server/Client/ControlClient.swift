// Calls to a daemon's REST API, one connection a call.
//
// Every failure becomes a `CommandFailure` that names the URL and what to do about it; an answer that is an error gives the
// daemon's own description. What a status means beyond that (202 above all) is the command's business.

struct ControlClient: Sendable {
  /// A local daemon answers at once; a remote one within a round trip.
  static let connectTimeout = Duration.seconds(5)
  /// The API's own longest wait is 2 s for ZooKeeper plus 1 s for the other nodes.
  static let answerTimeout = Duration.seconds(15)
  /// 64 MiB: `locations` of ten thousand locations.
  static let answerBytesMax = 64 << 20

  var url: ControlURL
  /// Added to `answerTimeout` where the caller asked the daemon to wait.
  var extraWait = Duration.zero

  enum Method: String, Sendable {
    case get = "GET"
    case post = "POST"
    case delete = "DELETE"
  }

  /// Sends one request and gives the answer, whatever its status.
  ///
  /// - Parameter path: percent-encoded, from `/_/`.
  /// - Blocking: until the answer is complete, at most the time-outs above.
  func send(_ method: Method, _ path: String, body: String? = nil) throws(CommandFailure) -> HTTPReply {
    var head = "\(method.rawValue) \(url.prefix)\(path) HTTP/1.1\r\nHost: \(url.authority)\r\nConnection: close\r\n"
    head += "Accept: application/json\r\nUser-Agent: downbeat/\(Version.text)\r\n"
    if let body { head += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
    if body == nil && method == .post { head += "Content-Length: 0\r\n" }
    do {
      return try exchange(Array((head + "\r\n" + (body ?? "")).utf8))
    } catch {
      throw .running(sentence(for: error))
    }
  }

  /// As `send`, and a status other than 200 and 202 becomes a failure with the daemon's description.
  func call(_ method: Method, _ path: String, body: String? = nil) throws(CommandFailure) -> HTTPReply {
    let reply = try send(method, path, body: body)
    guard reply.status == 200 || reply.status == 202 else { throw refusal(reply, path) }
    return reply
  }

  private func exchange(_ request: [UInt8]) throws(ConnectionFailure) -> HTTPReply {
    let socket = try BlockingSocket(
      host: url.host, port: url.port, connectTimeout: Self.connectTimeout, total: Self.answerTimeout + extraWait)
    try socket.send(request)
    var bytes: [UInt8] = []
    while true {
      let more = try socket.receive()
      bytes += more
      switch HTTPReply.parse(bytes, isComplete: more.isEmpty) {
      case .reply(let reply): return reply
      case .malformed(let why): throw ConnectionFailure(kind: .broken, description: "gave an answer that cannot be read: \(why)")
      case .needMore where bytes.count > Self.answerBytesMax:
        throw ConnectionFailure(kind: .broken, description: "gave an answer of more than \(Self.answerBytesMax) bytes")
      case .needMore: continue
      }
    }
  }

  private func sentence(for failure: ConnectionFailure) -> String {
    let what = "\(url) \(failure)"
    switch failure.kind {
    case .refused, .unresolved:
      return what + ". Is the daemon running? Start it with `downbeat serve` or `downbeat quickstart`, "
        + "or say where it is with --url or DOWNBEAT_URL."
    case .timedOut, .broken: return what + "."
    }
  }

  private func refusal(_ reply: HTTPReply, _ path: String) -> CommandFailure {
    let error = ControlReply.error(reply.body)
    let name = error.name.map { " \($0)" } ?? ""
    // A daemon of an older or another kind may mean the path; ours says so of locations it is not configured for.
    let hint = reply.status == 404 ? " (\(path); `downbeat status` lists the locations it knows)" : ""
    return .running("\(url) answered \(reply.status)\(name)" + (error.description.map { ": \($0)" } ?? "") + hint)
  }
}
