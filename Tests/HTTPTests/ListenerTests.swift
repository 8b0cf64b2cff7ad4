// The listener and what many or slow clients do to it: bounds, time-outs, back-pressure, draining, addresses.
import Reactor
import TestSupport
import Testing

@testable import HTTP

struct ListenerTests {
  @Test func addressInUseIsNamed() throws {
    let server = try Server()
    let error = #expect(throws: ListenError.self) {
      _ = try Listener(reactor: server.reactor, bindAddress: "127.0.0.1", port: server.port, handler: server.handler)
    }
    let text = try #require(error).description
    #expect(text.contains("127.0.0.1:\(server.port)"))
    #expect(text.contains("Address already in use"))
    #expect(text.contains("another process"))
  }

  @Test(arguments: ["localhost.example", "", "127.0.0.1:80", "[::1]"])
  func bindAddressMustBeALiteral(_ text: String) throws {
    let reactor = try Reactor()
    let error = #expect(throws: ListenError.self) {
      _ = try Listener(reactor: reactor, bindAddress: text, port: 0, handler: ScriptedHandler())
    }
    #expect(try #require(error).description.contains("cannot listen on \(text)"))
  }

  @Test func listensOnIPv6AndOnBothThroughTheUnspecifiedAddress() throws {
    let six = try Server(bindAddress: "::1")
    #expect(six.listener.address.description == "[::1]:\(six.port)")
    let client = HTTPTestClient(port: six.port, isIPv6: true)
    client.send(get("/six"))
    #expect(six.reactor.response(for: client)?.text == "/six")

    let both = try Server(bindAddress: "::")
    #expect(both.ask(get("/four"))?.text == "/four")
    let other = HTTPTestClient(port: both.port, isIPv6: true)
    other.send(get("/later"))
    #expect(both.reactor.runUntil { !both.handler.waiting.isEmpty })
    #expect(both.handler.waiting[0].peer.address.isLoopback)
    both.handler.waiting[0].respond(Response(.ok, text: ""))
  }

  @Test func mappedPeerIsSeenAsIPv4() throws {
    let server = try Server(bindAddress: "::")
    let client = server.client()
    client.send(get("/later"))
    #expect(server.reactor.runUntil { !server.handler.waiting.isEmpty })
    #expect(server.handler.waiting[0].peer.address == IPAddress("127.0.0.1"))
    server.handler.waiting[0].respond(Response(.ok, text: ""))
  }

  @Test func dribblingHeadIsCutWithAWord() throws {
    let server = try Server { $0.headTimeout = .milliseconds(60) }
    let client = server.client()
    client.send("GET / HT")
    #expect(server.reactor.response(for: client)?.status == 408)
    #expect(server.reactor.ends(client))
    #expect(server.listener.statistics.timedOut == 1)
  }

  /// Every octet comes in time, and still the head does not.
  @Test func headTimeoutIsNotMovedByMoreOctets() throws {
    let server = try Server { $0.headTimeout = .milliseconds(80) }
    let client = server.client()
    client.send("GET / HTTP/1.1\r\nX: ")
    let start = Instant.nowUncached()
    #expect(
      server.reactor.runUntil(within: .seconds(5)) {
        client.send("x")
        client.pump()
        return client.isEnded || !client.received.isEmpty
      })
    #expect(client.takeResponse()?.status == 408)
    #expect(Instant.nowUncached() - start < .seconds(2))
  }

  @Test func silentAndIdleConnectionsAreClosedWithoutAWord() throws {
    let server = try Server {
      $0.headTimeout = .milliseconds(60)
      $0.keepAliveTimeout = .milliseconds(90)
    }
    let silent = server.client()
    let idle = server.client()
    idle.send(get("/hello"))
    #expect(server.reactor.response(for: idle)?.status == 200)
    #expect(server.reactor.ends(silent))
    #expect(server.reactor.ends(idle))
    #expect(silent.received.isEmpty && idle.received.isEmpty)
  }

  @Test func stalledBodyIsCutWithAWord() throws {
    let server = try Server { $0.bodyIdleTimeout = .milliseconds(60) }
    let client = server.client()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    #expect(server.reactor.response(for: client)?.status == 408)
    #expect(server.reactor.ends(client))
    #expect(server.handler.requests.isEmpty)
  }

  @Test func tricklingBodyIsCutByItsTotalTime() throws {
    let server = try Server {
      $0.bodyIdleTimeout = .seconds(5)
      $0.bodyTotalTimeout = .milliseconds(80)
    }
    let client = server.client()
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    #expect(
      server.reactor.runUntil(within: .seconds(5)) {
        client.send("x")
        client.pump()
        return !client.received.isEmpty
      })
    #expect(client.takeResponse()?.status == 408)
  }

  @Test func handlerThatForgetsIsCutOff() throws {
    let server = try Server { $0.answerTimeout = .milliseconds(60) }
    let client = server.client()
    client.send(get("/later"))
    #expect(server.reactor.ends(client))
    #expect(server.reactor.runUntil { server.listener.connectionCount == 0 })
    // Its late answer has nowhere to go.
    server.handler.waiting[0].respond(Response(.ok, text: ""))
  }

  @Test func clientThatDoesNotReadIsNotReadEither() throws {
    let server = try Server { $0.outputBytesHigh = 200_000 }
    let client = HTTPTestClient(port: server.port, receiveBufferBytes: 4_096)
    let request = get("/size/100000")
    client.send(String(repeating: request, count: 2_000))
    for _ in 0..<200 {
      client.pump(receiving: false)
      server.reactor.runOnce(waitMax: .zero)
    }
    // What the kernel's buffers took plus the bound, and not the 200 MB asked for.
    #expect(server.handler.requests.count < 200)
    #expect(server.handler.requests.count > 1)
    // When it reads at last, everything comes.
    var answers = 0
    #expect(
      server.reactor.runUntil(within: .seconds(30)) {
        client.pump()
        while let answer = client.takeResponse() {
          answers += answer.body.count == 100_000 ? 1 : 0
        }
        return answers == 2_000
      })
  }

  @Test func clientThatNeverReadsIsCut() throws {
    let server = try Server { $0.writeStallTimeout = .milliseconds(80) }
    let client = HTTPTestClient(port: server.port, receiveBufferBytes: 4_096)
    client.send(String(repeating: get("/size/1000000"), count: 20))
    #expect(server.reactor.runUntil { server.listener.statistics.accepted == 1 })
    #expect(server.reactor.runUntil(within: .seconds(5)) { server.listener.connectionCount == 0 })
    #expect(server.listener.statistics.timedOut == 1)
  }

  @Test func pipelinedBacklogIsBounded() throws {
    let server = try Server()
    let client = server.client()
    client.send(get("/later"))
    client.send([UInt8](repeating: 0x47, count: 20_000_000))
    for _ in 0..<200 {
      client.pump(receiving: false)
      server.reactor.runOnce(waitMax: .zero)
    }
    // Held: one input buffer here, the socket buffers in the kernel; the rest is still the client's.
    #expect(client.unsentCount > 1_000_000)
    server.handler.waiting[0].respond(Response(.ok, text: ""))
  }

  @Test func newcomerTakesThePlaceOfTheLongestIdle() throws {
    let server = try Server {
      $0.connectionsMax = 3
      $0.evictableIdle = .zero
    }
    let clients = (0..<3).map { _ in server.client() }
    for client in clients {
      client.send(get("/hello"))
      #expect(server.reactor.response(for: client)?.status == 200)
    }
    clients[0].send(get("/hello"))
    #expect(server.reactor.response(for: clients[0])?.status == 200)
    #expect(server.ask(get("/new"))?.text == "/new")
    #expect(server.reactor.ends(clients[1]))
    #expect(server.listener.statistics.evicted == 1)
    #expect(!clients[0].isEnded && !clients[2].isEnded)
  }

  @Test func newcomerWaitsWhileAllAreBusy() throws {
    let server = try Server {
      $0.connectionsMax = 2
      $0.acceptPause = .milliseconds(30)
    }
    let busy = (0..<2).map { _ in server.client() }
    for client in busy { client.send(get("/later")) }
    #expect(server.reactor.runUntil { server.handler.waiting.count == 2 })
    let newcomer = server.client()
    newcomer.send(get("/new"))
    server.turn(10)
    #expect(server.listener.connectionCount == 2)
    #expect(server.listener.statistics.acceptPauses >= 1)
    let ticks = server.reactor.statistics.ticks
    for _ in 0..<5 { server.reactor.runOnce(waitMax: .milliseconds(10)) }
    #expect(server.reactor.statistics.ticks - ticks <= 6, "the listening socket must not spin")
    for responder in server.handler.waiting { responder.respond(Response(.ok, text: "")) }
    #expect(server.reactor.response(for: busy[0])?.status == 200)
    busy[0].finishSending()
    #expect(server.reactor.response(for: newcomer)?.text == "/new")
  }

  /// The limit itself belongs to the whole process, so the test plays the kernel instead.
  @Test func outOfDescriptorsPausesAccepting() throws {
    let server = try Server { $0.acceptPause = .milliseconds(20) }
    var refusals = 0
    server.listener.acceptCall = { fd in
      refusals += 1
      return refusals <= 3 ? .exhausted : ListeningSocket.accept(fd)
    }
    let client = server.client()
    client.send(get("/patient"))
    let ticks = server.reactor.statistics.ticks
    #expect(server.reactor.response(for: client)?.text == "/patient")
    #expect(server.listener.statistics.acceptPauses == 3)
    #expect(server.reactor.statistics.ticks - ticks < 30, "the listening socket must not spin")
  }

  @Test func stoppingFinishesAnswersAndClosesIdleConnections() throws {
    let server = try Server()
    let idle = server.client()
    idle.send(get("/hello"))
    #expect(server.reactor.response(for: idle)?.status == 200)
    let waiting = server.client()
    waiting.send(get("/later"))
    #expect(server.reactor.runUntil { !server.handler.waiting.isEmpty })
    var isDone = false
    server.listener.stop { _ in isDone = true }
    #expect(server.reactor.ends(idle))
    #expect(!isDone)
    server.handler.waiting[0].respond(Response(.ok, text: "last"))
    let answer = try #require(server.reactor.response(for: waiting))
    #expect(answer.text == "last")
    #expect(answer["connection"] == "close")
    #expect(server.reactor.ends(waiting))
    #expect(server.reactor.runUntil { isDone })
    // The port is free again.
    _ = try Listener(reactor: server.reactor, bindAddress: "127.0.0.1", port: server.port, handler: server.handler)
  }

  @Test func stoppingCutsWhatDoesNotFinish() throws {
    let server = try Server { $0.drainTimeout = .milliseconds(50) }
    let client = server.client()
    client.send(get("/later"))
    #expect(server.reactor.runUntil { !server.handler.waiting.isEmpty })
    var isDone = false
    server.listener.stop { _ in isDone = true }
    #expect(server.reactor.runUntil(within: .seconds(3)) { isDone })
    #expect(server.reactor.ends(client))
  }

  @Test func stoppingAnEmptyListenerCompletesLater() throws {
    let server = try Server()
    var isDone = false
    server.listener.stop { _ in isDone = true }
    #expect(!isDone)
    #expect(server.reactor.runUntil(within: .seconds(1)) { isDone })
  }

  @Test func manyConnectionsAreServedAndForgotten() throws {
    let server = try Server()
    for round in 0..<20 {
      let clients = (0..<50).map { _ in server.client() }
      for client in clients { client.send(get("/r\(round)")) }
      for client in clients { #expect(server.reactor.response(for: client)?.text == "/r\(round)") }
    }
    #expect(server.reactor.runUntil { server.listener.connectionCount == 0 })
    #expect(server.reactor.timerCount <= 1)
  }
}
