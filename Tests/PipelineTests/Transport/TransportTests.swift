// Both transports against a server that does exactly what it is told.
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

enum TransportKind: String, CaseIterable, Sendable {
  case sockets, curl

  func make(_ reactor: Reactor, pool: BlockPool, limits: TransportLimits = TransportLimits()) -> any Transport {
    switch self {
    case .sockets: SocketTransport(reactor: reactor, pool: pool, limits: limits)
    case .curl: CurlTransport(reactor: reactor, pool: pool, limits: limits)
    }
  }
}

extension Transport {
  /// Whichever it is.
  func end() {
    (self as? SocketTransport)?.close()
    (self as? CurlTransport)?.close()
    (self as? TransportChoice)?.close()
  }
}

/// A transport and its pool on a worker.
final class TransportRig {
  let pool: BlockPool
  let transport: any Transport

  init(_ kind: TransportKind, _ reactor: Reactor, blocks: Int = 16, limits: TransportLimits = TransportLimits()) {
    pool = BlockPool(blocksMax: blocks)
    transport = kind.make(reactor, pool: pool, limits: limits)
  }

  deinit { transport.end() }

  func begin(_ method: String, _ origin: String, _ target: String = "/", headers: [HTTPHeader] = [], body: OutgoingRequest.Body = .none)
    -> any HTTPExchange
  {
    transport.begin(OutgoingRequest(method: method, origin: HTTPOrigin(origin), target: target, headers: headers, body: body))
  }

  func whole(_ exchange: any HTTPExchange) async throws -> (head: ResponseHead, body: [UInt8]) {
    defer { exchange.cancel() }
    let head = try await exchange.response()
    var body: [UInt8] = []
    while let block = try await exchange.receive() { body += block.filled }
    return (head, body)
  }

  /// Sends a streamed body. - Returns: whether all of it was wanted.
  func send(_ bytes: [UInt8], _ exchange: any HTTPExchange) async throws -> Bool {
    var at = 0
    while at < bytes.count {
      if !pool.hasFree { try await exchange.flush() }
      let block = await pool.take()
      block.count = min(block.bytes.count, bytes.count - at)
      bytes[at..<(at + block.count)].withUnsafeBytes { block.bytes.copyMemory(from: $0) }
      at += block.count
      guard try await exchange.send(block, 0..<block.count) else { return false }
    }
    return true
  }
}

/// What `body` ends with; nil where it succeeds.
func transportError(_ body: () async throws -> Void) async -> TransportError? {
  do {
    try await body()
    return nil
  } catch {
    return error as? TransportError
  }
}

@Suite(.serialized) struct TransportTests {
  @Test(arguments: TransportKind.allCases) func aThousandRequestsUseOneConnection(_ kind: TransportKind) async throws {
    let server = try ScriptedServer { [.send(ScriptedServer.ok(Array($0.target.utf8)))] }
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor)
      for number in 0..<1_000 {
        let answer = try await rig.whole(rig.begin("GET", origin, "/\(number)"))
        #expect(answer.head.status == 200 && answer.body == Array("/\(number)".utf8))
      }
      #expect(rig.pool.freeCount == rig.pool.blocksMax)
    }
    #expect(server.connections == 1)
  }

  @Test(arguments: TransportKind.allCases) func bodiesOfEverySizeArriveBothWays(_ kind: TransportKind) async throws {
    let server = try ScriptedServer { [.send(ScriptedServer.ok($0.body))] }
    let origin = server.origin
    let block = BlockPool.blockBytes
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor)
      for size in [0, 1, 4_096, 32_700, 65_536, block - 1, block, block + 1, 2 * block, 5 * block + 7, 6_000_000] {
        let bytes = patternBytes(size, seed: UInt64(size))
        let streamed = rig.begin("PUT", origin, body: .streamed(length: Int64(size)))
        #expect(try await rig.send(bytes, streamed))
        let answer = try await rig.whole(streamed)
        #expect(answer.body == bytes, "\(size) bytes streamed")
        guard size < 1_000_000 else { continue }
        #expect(try await rig.whole(rig.begin("PUT", origin, body: .bytes(bytes))).body == bytes, "\(size) bytes at once")
      }
      #expect(rig.pool.freeCount == rig.pool.blocksMax)
    }
    #expect(server.connections == 1)
  }

  @Test(arguments: TransportKind.allCases) func headersArriveAsTheyWereGiven(_ kind: TransportKind) async throws {
    let server = try ScriptedServer { _ in [.send(ScriptedServer.ok([], ["X-Odd:  a b \t", "ETag: \"e\"", "x-amz-meta-A: 1"]))] }
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor)
      let headers = [HTTPHeader("x-amz-meta-a", "b c"), HTTPHeader("x-empty", ""), HTTPHeader("authorization", "AWS4 x=y")]
      let head = try await rig.whole(rig.begin("HEAD", origin, "/a%20b/../c?x=%2F&y=", headers: headers)).head
      #expect(head["x-odd"] == "a b" && head["etag"] == "\"e\"" && head.headers(prefix: "x-amz-meta-") == [HTTPHeader("x-amz-meta-a", "1")])
      _ = try await rig.whole(rig.begin("DELETE", origin, "/k"))
      _ = try await rig.whole(rig.begin("POST", origin, "/k?uploads", body: .bytes([])))
    }
    let requests = server.requests
    #expect(requests.map(\.method) == ["HEAD", "DELETE", "POST"] && requests[0].target == "/a%20b/../c?x=%2F&y=")
    let lines = requests[0].head.lowercased().split(separator: "\r\n").dropFirst().map { $0.hasSuffix(" ") ? String($0.dropLast()) : String($0) }
    #expect(lines.sorted() == ["authorization: aws4 x=y", "host: 127.0.0.1:\(server.port)", "x-amz-meta-a: b c", "x-empty:"], "\(lines)")
    #expect(!requests[1].head.lowercased().contains("content-length"))
    #expect(requests[2].head.lowercased().contains("content-length: 0\r\n"))
  }

  @Test(arguments: TransportKind.allCases) func answersWithoutALengthAndInChunks(_ kind: TransportKind) async throws {
    let bytes = patternBytes(700_000)
    let server = try ScriptedServer { request in
      switch request.target {
      case "/close": return [.send(Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + bytes), .end]
      case "/chunks":
        var text = Array("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
        for start in stride(from: 0, to: bytes.count, by: 70_000) {
          text += Array("11170\r\n".utf8) + bytes[start..<(start + 70_000)] + Array("\r\n".utf8)
        }
        return [.send(text + Array("0\r\nX: y\r\n\r\n".utf8))]
      case "/204": return [.send(Array("HTTP/1.1 204 No Content\r\n\r\n".utf8))]
      case "/short": return [.send(Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".utf8)), .end]
      default: return [.send(Array("SSH-2.0-OpenSSH_9.2\r\n".utf8)), .end]
      }
    }
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor)
      #expect(try await rig.whole(rig.begin("GET", origin, "/chunks")).body == bytes)
      #expect(try await rig.whole(rig.begin("GET", origin, "/204")).body == [])
      #expect(try await rig.whole(rig.begin("GET", origin, "/chunks")).body == bytes)
      #expect(try await rig.whole(rig.begin("GET", origin, "/close")).body == bytes)
      let short = await transportError { _ = try await rig.whole(rig.begin("GET", origin, "/short")) }
      #expect(short?.kind == .broken)
      let other = await transportError { _ = try await rig.whole(rig.begin("GET", origin, "/ssh")) }
      #expect(other != nil)
    }
    #expect(server.connections <= 4)
  }

  @Test(arguments: TransportKind.allCases) func anEarlyAnswerEndsAnUpload(_ kind: TransportKind) async throws {
    let server = try ScriptedServer(atHead: { _ in [.send(ScriptedServer.ok(Array("no".utf8), status: "403 Forbidden"))] }, answer: { _ in [] })
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor)
      // Far more than the kernel's buffers hold: nobody reads it.
      let bytes = patternBytes(64 << 20)
      let upload = rig.begin("PUT", origin, "/early", body: .streamed(length: Int64(bytes.count)))
      #expect(try await rig.send(bytes, upload) == false)
      let answer = try await rig.whole(upload)
      #expect(answer.head.status == 403 && answer.body == Array("no".utf8))
      #expect(rig.pool.freeCount == rig.pool.blocksMax)
    }
  }

  @Test(arguments: TransportKind.allCases) func whatFollowsAnAnswerIsNeverTheNextOne(_ kind: TransportKind) async throws {
    let server = try ScriptedServer { request in
      [.send(ScriptedServer.ok(Array(request.target.utf8)) + (request.target == "/bad" ? ScriptedServer.ok(Array("wrong".utf8)) : []))]
    }
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor)
      for _ in 0..<20 {
        #expect(try await rig.whole(rig.begin("GET", origin, "/bad")).body == Array("/bad".utf8))
        #expect(try await rig.whole(rig.begin("GET", origin, "/good")).body == Array("/good".utf8))
      }
    }
    #expect(server.connections >= 20)
  }

  @Test(arguments: TransportKind.allCases) func aConnectionTheServerEndedIsReplaced(_ kind: TransportKind) async throws {
    // Says that the connection stays, and ends it when the next request comes.
    let server = try ScriptedServer(
      atHead: { $0.number > 0 && $0.connection % 2 == 0 ? [.reset] : nil }, answer: { [.send(ScriptedServer.ok($0.body))] })
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor)
      for number in 0..<8 {
        let bytes = Array("body \(number)".utf8)
        #expect(try await rig.whole(rig.begin("GET", origin)).head.status == 200)
        #expect(try await rig.whole(rig.begin("PUT", origin, body: .bytes(bytes))).body == bytes)
      }
    }
  }

  @Test(arguments: TransportKind.allCases) func nobodyThereIsSaidAsSuch(_ kind: TransportKind) async throws {
    let dead = try freeLoopbackPort()
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor)
      for _ in 0..<3 {
        let error = await transportError { _ = try await rig.whole(rig.begin("GET", "http://127.0.0.1:\(dead)")) }
        #expect(error?.kind == .unreachable && error?.message.contains("127.0.0.1:\(dead)") == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("Connection refused") == true || kind == .curl, "\(error?.message ?? "")")
      }
    }
  }

  @Test(arguments: TransportKind.allCases) func aServerThatStandsStillIsGivenUp(_ kind: TransportKind) async throws {
    let server = try ScriptedServer { request in
      request.target == "/half" ? [.send(Array("HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n".utf8) + patternBytes(300_000))] : []
    }
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      var limits = TransportLimits()
      limits.stalledSecondsMax = 2
      let rig = TransportRig(kind, reactor, limits: limits)
      for target in ["/nothing", "/half"] {
        let error = await transportError { _ = try await rig.whole(rig.begin("GET", origin, target)) }
        #expect(error?.kind == .stalled, "\(error?.message ?? "answered")")
      }
      // While it is our turn, nothing is stalled. (libcurl waits a second for a "100 Continue" first.)
      let upload = rig.begin("PUT", origin, "/echo", body: .streamed(length: 10))
      await reactor.pause(for: .milliseconds(3_500))
      upload.cancel()
      let error = await transportError { _ = try await upload.response() }
      #expect(error?.kind == .cancelled, "\(kind): \(error?.message ?? "")")
    }
  }

  @Test(arguments: TransportKind.allCases) func manyAtOnceShareAPoolThatIsTooSmall(_ kind: TransportKind) async throws {
    let bytes = patternBytes(3_000_000)
    let server = try ScriptedServer {
      $0.method == "GET" ? [.send(ScriptedServer.ok(bytes))] : [.send(ScriptedServer.ok([], ["x-md5: \(md5Hex($0.body))"]))]
    }
    let (origin, digest) = (server.origin, md5Hex(bytes))
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor, blocks: 3)
      let copies = Copies(Copies.Held(rig: rig), origin, Int64(bytes.count), reactor.handle)
      #expect(try await copies.run(24) == Array(repeating: digest, count: 24))
      #expect(rig.pool.freeCount == 3)
    }
  }

  @Test func aSmallUploadIsSentAgainWhereTheConnectionHadEnded() async throws {
    let server = try ScriptedServer(atHead: { $0.number > 0 ? [.reset] : nil }, answer: { [.send(ScriptedServer.ok($0.body))] })
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(.sockets, reactor)
      for number in 0..<5 {
        let bytes = patternBytes(10_000, seed: UInt64(number))
        let upload = rig.begin("PUT", origin, body: .streamed(length: 10_000))
        #expect(try await rig.send(bytes, upload))
        #expect(try await rig.whole(upload).body == bytes)
      }
      // Of a longer one something was consumed.
      let long = rig.begin("PUT", origin, body: .streamed(length: 1_000_000))
      let error = await transportError {
        _ = try await rig.send(patternBytes(1_000_000), long)
        _ = try await rig.whole(long)
      }
      #expect(error?.kind == .broken)
    }
  }

  @Test func localhostAndIPv6AreAddresses() async throws {
    let server = try ScriptedServer(isIPv6: true) { [.send(ScriptedServer.ok(Array($0.head.utf8)))] }
    let port = server.port
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(.sockets, reactor)
      for host in ["[::1]", "localhost", "LOCALHOST"] {
        let answer = try await rig.whole(rig.begin("GET", "http://\(host):\(port)"))
        #expect(String(decoding: answer.body, as: UTF8.self).contains("\r\nhost: \(host):\(port)\r\n"))
      }
    }
  }

  @Test func whichTransportTakesWhat() async throws {
    try await onS3Worker { (reactor: Reactor) async throws in
      func choice(_ environment: [String: String] = [:]) -> TransportChoice {
        TransportChoice(reactor: reactor, pool: BlockPool(blocksMax: 1), limits: TransportLimits(), proxies: ProxyEnvironment { environment[$0] })
      }
      let plain = choice()
      for url in ["http://127.0.0.1:8000", "http://10.0.0.1", "http://[::1]:80", "http://localhost:1"] {
        #expect(plain.takesSockets(HTTPOrigin(url)), "\(url)")
      }
      for url in [
        "https://127.0.0.1:8000", "http://s3.example.com", "http://u@10.0.0.1", "http://10.0.0.1:99999", "http://", "ftp://10.0.0.1",
        "http://[fe80::1%25eth0]", "http://[::1",
      ] {
        #expect(!plain.takesSockets(HTTPOrigin(url)), "\(url)")
      }
      let origin = HTTPOrigin("http://10.0.0.1:8000")
      #expect(!choice(["http_proxy": "http://p:1"]).takesSockets(origin) && !choice(["ALL_PROXY": "p:1"]).takesSockets(origin))
      #expect(choice(["http_proxy": ""]).takesSockets(origin) && choice(["HTTP_PROXY": "p:1"]).takesSockets(origin))
      #expect(
        choice(["http_proxy": "p:1", "no_proxy": "a, 10.0.0.1"]).takesSockets(origin)
          && choice(["http_proxy": "p:1", "NO_PROXY": "*"]).takesSockets(origin))
      #expect(!choice(["http_proxy": "p:1", "no_proxy": "10.0.0.0/8"]).takesSockets(origin), "libcurl knows what that means")
    }
  }

  @Test func idleConnectionsAreForgottenWhenTheServerEndsThem() async throws {
    let server = try ScriptedServer { [.send(ScriptedServer.ok(Array($0.target.utf8))), .end] }
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      let pool = BlockPool(blocksMax: 4)
      let transport = SocketTransport(reactor: reactor, pool: pool)
      defer { transport.close() }
      for _ in 0..<10 {
        let exchange = transport.begin(OutgoingRequest(method: "GET", origin: HTTPOrigin(origin), target: "/x"))
        #expect(try await exchange.response().status == 200)
        while try await exchange.receive() != nil {}
        exchange.cancel()
        await reactor.pause(for: .milliseconds(5))
      }
      var waits = 0
      while transport.idleCount > 0, waits < 2_000 {
        await reactor.pause(for: .milliseconds(5))
        waits += 1
      }
      #expect(transport.idleCount == 0)
    }
  }
}

/// Copies one answer into an upload, many times at once.
private actor Copies {
  // Unchecked: this actor runs on the reactor the transport was made on.
  struct Held: @unchecked Sendable { let rig: TransportRig }
  private let held: Held
  private let origin: String
  private let length: Int64
  private let handle: ReactorHandle
  nonisolated var unownedExecutor: UnownedSerialExecutor { handle.executor.asUnownedSerialExecutor() }

  init(_ held: Held, _ origin: String, _ length: Int64, _ handle: ReactorHandle) {
    self.held = held
    self.origin = origin
    self.length = length
    self.handle = handle
  }

  /// - Returns: the MD5 the server saw of each.
  func run(_ count: Int) async throws -> [String] {
    let executor = handle.executor
    return try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<count { group.addTask(executorPreference: executor) { try await self.one() } }
      var all: [String] = []
      for try await digest in group { all.append(digest) }
      return all
    }
  }

  private func one() async throws -> String {
    let get = held.rig.begin("GET", origin)
    defer { get.cancel() }
    _ = try await get.response()
    let put = held.rig.begin("PUT", origin, body: .streamed(length: length))
    defer { put.cancel() }
    while true {
      if !get.hasBuffer { try await put.flush() }
      guard let block = try await get.receive() else { break }
      guard try await put.send(block, 0..<block.count) else { break }
    }
    let head = try await held.rig.whole(put).head
    return head["x-md5"] ?? "none"
  }
}
