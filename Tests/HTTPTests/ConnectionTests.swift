// One connection over a real socket: order, framing, persistence, bodies, refusals.
import HTTP
import Reactor
import TestSupport
import Testing

struct ConnectionTests {
  @Test func everyAnswerCarriesTypeLengthDateAndRequestID() throws {
    let server = try Server()
    let answer = try #require(server.ask(get("/hello")))
    #expect(answer.status == 200)
    #expect(answer.reason == "OK")
    #expect(answer.text == "/hello")
    #expect(answer["content-type"] == "text/plain; charset=utf-8")
    #expect(answer["content-length"] == "6")
    #expect(answer["connection"] == nil)
    let id = try #require(answer["x-scal-request-id"])
    #expect(id.count == 20 && id.allSatisfy { $0.isHexDigit })
    let date = try #require(answer["date"])
    #expect(date.utf8.count == 29 && date.hasSuffix(" GMT"))
  }

  @Test func keptConnectionServesMany() throws {
    let server = try Server()
    let client = server.client()
    var ids: Set<String> = []
    for round in 0..<100 {
      client.send(get("/r\(round)"))
      let answer = try #require(server.reactor.response(for: client))
      #expect(answer.text == "/r\(round)")
      ids.insert(answer["x-scal-request-id"]!)
    }
    #expect(ids.count == 100)
    #expect(server.listener.statistics.accepted == 1)
  }

  @Test func pipelinedRequestsAreAnsweredInOrder() throws {
    let server = try Server()
    let client = server.client()
    client.send((0..<500).map { get("/p\($0)") }.joined())
    for round in 0..<500 { #expect(server.reactor.response(for: client)?.text == "/p\(round)") }
  }

  @Test func anyWayOfCuttingPipelinedRequestsGivesTheSameAnswers() throws {
    let server = try Server()
    let bytes = Array(
      (get("/a") + post("/b", "body") + "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n").utf8)
    for cut in 1..<bytes.count {
      let client = server.client()
      client.send(Array(bytes[..<cut]))
      server.turn()
      client.send(Array(bytes[cut...]))
      let texts = (0..<3).map { _ in server.reactor.response(for: client)?.text }
      #expect(texts == ["/a", "/bbody", "/cxyz"], "cut at \(cut)")
    }
  }

  @Test func answersGivenLaterKeepTheOrder() throws {
    let server = try Server()
    let client = server.client()
    client.send(get("/later") + get("/next"))
    #expect(server.reactor.runUntil { !server.handler.waiting.isEmpty })
    server.turn()
    #expect(server.handler.requests == ["GET /later"])
    server.handler.waiting.removeFirst().respond(Response(.ok, text: "{}"))
    #expect(server.reactor.response(for: client)?.text == "{}")
    #expect(server.reactor.response(for: client)?.text == "/next")
  }

  @Test func answerForAClientThatLeftIsDropped() throws {
    let server = try Server()
    let client = server.client()
    client.send(get("/later"))
    #expect(server.reactor.runUntil { !server.handler.waiting.isEmpty })
    client.reset()
    #expect(server.reactor.runUntil { server.listener.connectionCount == 0 })
    let responder = server.handler.waiting.removeFirst()
    #expect(responder.isClientGone)
    responder.respond(Response(.ok, text: "{}"))
    #expect(server.ask(get("/hello"))?.status == 200)
  }

  @Test func halfClosedClientStillGetsItsAnswers() throws {
    let server = try Server()
    let client = server.client()
    client.send(get("/a") + get("/later") + get("/b"))
    client.finishSending()
    #expect(server.reactor.response(for: client)?.text == "/a")
    #expect(server.reactor.runUntil { !server.handler.waiting.isEmpty })
    server.handler.waiting.removeFirst().respond(Response(.ok, text: "late"))
    #expect(server.reactor.response(for: client)?.text == "late")
    #expect(server.reactor.response(for: client)?.text == "/b")
    #expect(server.reactor.ends(client))
    #expect(!client.wasReset)
    #expect(server.reactor.runUntil { server.listener.connectionCount == 0 })
  }

  @Test func clientThatLeavesInsideAHeadOrABodyIsForgotten() throws {
    let server = try Server()
    for text in ["GET /x HT", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"] {
      let client = server.client()
      client.send(text)
      client.finishSending()
      #expect(server.reactor.ends(client))
      #expect(client.received.isEmpty)
    }
    #expect(server.handler.requests.isEmpty)
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "close"), ("GET / HTTP/1.0\r\n\r\n", "close"),
  ])
  func connectionIsClosedWhenAskedFor(_ text: String, _ expected: String) throws {
    let server = try Server()
    let client = server.client()
    client.send(text)
    #expect(server.reactor.response(for: client)?["connection"] == expected)
    #expect(server.reactor.ends(client))
  }

  @Test func version10IsKeptOnRequestAndToldSo() throws {
    let server = try Server()
    let client = server.client()
    for _ in 0..<2 {
      client.send("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
      #expect(server.reactor.response(for: client)?["connection"] == "keep-alive")
    }
  }

  @Test func answerToHEADHasNoBody() throws {
    let server = try Server()
    let client = server.client()
    client.send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" + get("/next"))
    #expect(server.reactor.response(for: client, toHEAD: true)?["content-length"] == "6")
    #expect(server.reactor.response(for: client)?.text == "/next")
  }

  @Test func expectedContinueIsSentBeforeTheBody() throws {
    let server = try Server()
    let client = server.client()
    client.send("POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    #expect(server.reactor.response(for: client)?.status == 100)
    client.send("body")
    #expect(server.reactor.response(for: client)?.text == "/cbody")
    // Not when the body comes along, nor without one.
    client.send(post("/d", "body", "Expect: 100-continue\r\n") + get("/e", "Expect: 100-continue\r\n"))
    #expect(server.reactor.response(for: client)?.text == "/dbody")
    #expect(server.reactor.response(for: client)?.text == "/e")
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\n\r\n", 400, "BadRequest"), ("\u{16}\u{3}\u{1}", 400, "BadRequest"),
    ("GET /" + String(repeating: "x", count: 9_000) + " HTTP/1.1\r\n", 414, "URITooLong"),
    ("GET / HTTP/1.1\r\nX: " + String(repeating: "x", count: 17_000), 431, "RequestHeaderFieldsTooLarge"),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTPVersionNotSupported"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br, chunked\r\n\r\n", 501, "NotImplemented"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "BadRequest"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx", 400, "BadRequest"),
    ("POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417, "ExpectationFailed"),
    ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n", 413, "EntityTooLarge"),
  ])
  func brokenRequestIsAnsweredThenTheConnectionEnds(_ text: String, _ status: Int, _ name: String) throws {
    let server = try Server()
    let client = server.client()
    client.send(text)
    let answer = try #require(server.reactor.response(for: client))
    #expect(answer.status == status)
    #expect(answer["connection"] == "close")
    #expect(answer["content-type"] == "application/json")
    #expect(answer.text.hasPrefix("{\"code\":\(status),\"description\":\""))
    #expect(answer.text.hasSuffix("\",\"\(name)\":true}"))
    // What follows, even a good request, is not served.
    client.send(get("/smuggled"))
    #expect(server.reactor.ends(client))
    #expect(server.handler.requests.isEmpty)
    #expect(server.listener.statistics.refused == 1)
  }

  @Test func chunkedBodyIsAssembled() throws {
    let server = try Server()
    let client = server.client()
    client.send("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n" + get("/n"))
    #expect(server.reactor.response(for: client)?.text == "/chello!")
    #expect(server.reactor.response(for: client)?.text == "/n")
  }

  @Test func bodyOfExactlyTheLimitIsAccepted() throws {
    let server = try Server()
    let client = server.client()
    client.send(post("/b", String(repeating: "y", count: 1_048_576)))
    #expect(server.reactor.response(for: client)?.status == 200)
    #expect(server.handler.bodies == [[UInt8](repeating: 0x79, count: 1_048_576)])
  }

  @Test func bodiesOfAllConnectionsTogetherAreBounded() throws {
    let server = try Server { $0.bodyBytesTotalMax = 100_000 }
    let holder = server.client()
    holder.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + String(repeating: "x", count: 90_000))
    server.turn(40)
    #expect(server.ask(post("/b", String(repeating: "y", count: 20_000)))?.status == 503)
    #expect(server.ask(post("/c", "small"))?.text == "/csmall")
    holder.send(String(repeating: "x", count: 10_000))
    #expect(server.reactor.response(for: holder)?.status == 200)
    // What left, by any way, is counted out again.
    let leaver = server.client()
    leaver.send("POST /d HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n" + String(repeating: "x", count: 90_000))
    server.turn(40)
    leaver.reset()
    #expect(server.reactor.runUntil { server.listener.connectionCount <= 1 })
    #expect(server.ask(post("/e", String(repeating: "y", count: 20_000)))?.status == 200)
  }

  /// The client sends everything before it looks for an answer, as simple clients do.
  @Test(arguments: [true, false])
  func tooLargeBodyIsAnsweredToAClientStillSending(isChunked: Bool) throws {
    let server = try Server()
    let client = server.client()
    let size = 4_000_000
    let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(size)"
    client.send("POST /x HTTP/1.1\r\nHost: a\r\n\(framing)\r\n\r\n" + (isChunked ? "\(String(size, radix: 16))\r\n" : ""))
    client.send([UInt8](repeating: 0x7A, count: size))
    #expect(
      server.reactor.runUntil {
        client.pump(receiving: false)
        return client.unsentCount == 0
      })
    let answer = try #require(server.reactor.response(for: client))
    #expect(answer.status == 413)
    #expect(server.reactor.ends(client))
    #expect(!client.wasReset)
  }

  @Test func endlessBodyIsCutAfterTheDiscardBound() throws {
    let server = try Server { $0.discardBytesMax = 1_000_000 }
    let client = server.client()
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
    client.send([UInt8](repeating: 0x7A, count: 30_000_000))
    #expect(
      server.reactor.runUntil {
        client.pump(receiving: false)
        return server.listener.statistics.accepted == 1 && server.listener.connectionCount == 0
      })
    // The reset that cut it comes behind the answer.
    client.pump()
    #expect(client.takeResponse()?.status == 413)
  }

  @Test func discardingIsCutAfterItsTime() throws {
    let server = try Server { $0.discardTimeout = .milliseconds(50) }
    let client = server.client()
    client.send("BAD\r\n")
    #expect(server.reactor.response(for: client)?.status == 400)
    #expect(server.reactor.runUntil(within: .seconds(2)) { server.listener.connectionCount == 0 })
  }
}
