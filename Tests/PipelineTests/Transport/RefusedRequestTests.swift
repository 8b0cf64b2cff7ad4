// Requests that no transport can make, and answers that none may believe.
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite(.serialized) struct RefusedRequestTests {
  @Test(arguments: TransportKind.allCases) func aRequestTooLongForAnyServerIsRefusedHere(_ kind: TransportKind) async throws {
    let server = try ScriptedServer { _ in [.send(ScriptedServer.ok([]))] }
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor)
      for count in [200_000, 1_500_000, 9_000_000] {
        let long = String(repeating: "x", count: count)
        let target = await transportError { _ = try await rig.whole(rig.begin("GET", origin, "/" + long)) }
        #expect(target?.kind == .impossible, "target of \(count) bytes: \(target?.message ?? "sent")")
        guard count > 1_000_000 else { continue }
        let header = await transportError { _ = try await rig.whole(rig.begin("GET", origin, "/", headers: [HTTPHeader("x-long", long)])) }
        #expect(header?.kind == .impossible, "header of \(count) bytes: \(header?.message ?? "sent")")
        let upload = rig.begin("PUT", origin, "/" + long, body: .streamed(length: 5))
        let sent = await transportError { _ = try await rig.send(Array("hello".utf8), upload) }
        #expect(sent?.kind == .impossible)
        let body = await transportError { _ = try await rig.whole(upload) }
        #expect(body?.kind == .impossible)
      }
      #expect(rig.pool.freeCount == rig.pool.blocksMax)
      _ = try await rig.whole(rig.begin("GET", origin, "/" + String(repeating: "x", count: 20_000)))
    }
    #expect(server.requests.count == 1)
  }

  @Test(arguments: TransportKind.allCases) func anAnswerWithTwoLengthsIsNotBelieved(_ kind: TransportKind) async throws {
    let server = try ScriptedServer { request in
      guard request.target == "/two" else { return [.send(ScriptedServer.ok(Array("good".utf8)))] }
      let smuggled = "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
      return [.send(Array("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\(smuggled)".utf8))]
    }
    let origin = server.origin
    try await onS3Worker { (reactor: Reactor) async throws in
      let rig = TransportRig(kind, reactor)
      for _ in 0..<3 {
        let error = await transportError { _ = try await rig.whole(rig.begin("GET", origin, "/two")) }
        #expect(error?.kind == .broken && error?.message.contains("length") == true, "\(error?.message ?? "believed")")
        #expect(try await rig.whole(rig.begin("GET", origin, "/")).body == Array("good".utf8), "the connection is not used again")
      }
      #expect(rig.pool.freeCount == rig.pool.blocksMax)
    }
  }
}
