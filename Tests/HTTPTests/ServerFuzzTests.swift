// A live server and seeded nonsense: whatever arrives, in whatever pieces, it neither crashes nor hangs nor leaks a connection,
// and what it answers is HTTP. The seed stands in the message; run it again with DOWNBEAT_TEST_SEED.

import Reactor
import TestSupport
import Testing

@testable import HTTP

struct ServerFuzzTests {
  static let good = [
    get("/a"), get("/size/5000"), post("/b", "body"), "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n",
    "GET /d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HEAD /e HTTP/1.1\r\nHost: a\r\n\r\n", post("/f", "late", "Expect: 100-continue\r\n"),
    get("/later"),
  ]

  @Test(arguments: (0..<8).map { testSeed &+ $0 })
  func serverSurvivesMutatedTraffic(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let server = try Server {
      $0.headTimeout = .milliseconds(200)
      $0.bodyIdleTimeout = .milliseconds(200)
      $0.discardTimeout = .milliseconds(50)
    }
    for round in 0..<60 {
      let clients = (0..<4).map { _ in server.client() }
      for client in clients {
        var bytes = (0..<Int.random(in: 1...4, using: &random)).flatMap { _ in Array(Self.good.randomElement(using: &random)!.utf8) }
        if Bool.random(using: &random) { ParserFuzzTests.mutate(&bytes, &random) }
        var start = 0
        for end in ParserFuzzTests.cuts(bytes.count, &random) + [bytes.count] {
          client.send(Array(bytes[start..<end]))
          if Bool.random(using: &random) { server.reactor.runOnce(waitMax: .zero) }
          start = end
        }
        if Int.random(in: 0..<8, using: &random) == 0 { client.reset() } else { client.finishSending() }
      }
      for responder in server.handler.waiting { responder.respond(Response(.ok, text: "late")) }
      server.handler.waiting.removeAll()
      #expect(server.ask(get("/alive"))?.text == "/alive", "seed \(seed) round \(round)")
    }
    #expect(
      server.reactor.runUntil {
        for responder in server.handler.waiting { responder.respond(Response(.ok, text: "late")) }
        server.handler.waiting.removeAll()
        return server.listener.connectionCount == 0
      }, "seed \(seed): connections are left over")
    #expect(server.listener.bodyBytesHeld == 0)
  }
}
