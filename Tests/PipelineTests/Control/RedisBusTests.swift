internal import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@testable import Pipeline

/// The bus against real servers.
@Suite(.serialized) struct RedisBusTests {
  let reactor: Reactor
  let observer = RecordingBusObserver()

  init() throws { reactor = try Reactor() }

  private func bus(_ place: RedisSettings.Place, password: String = "", _ subscriptions: ControlSubscription...) -> RedisBus {
    let bus = RedisBus(reactor: reactor, settings: RedisSettings(place: place, password: password))
    for subscription in subscriptions { bus.subscribe(subscription) }
    bus.start(observer: observer)
    return bus
  }

  private func publish(_ bus: RedisBus, _ channel: String, _ text: String) -> Result<Int64, ControlBusError>? {
    var found: Result<Int64, ControlBusError>?
    bus.publish(channel: channel, payload: bytes(text)) { found = $0 }
    #expect(found == nil, "never before the call has returned")
    #expect(reactor.runUntil { found != nil })
    return found
  }

  private func stop(_ buses: RedisBus...) {
    for bus in buses {
      var isStopped = false
      bus.stop { isStopped = true }
      #expect(reactor.runUntil { isStopped })
    }
  }

  private func waitUntilDown(_ bus: RedisBus, within limit: Duration = .seconds(10)) -> Bool {
    reactor.runUntil(within: limit) { if case .down = bus.state { true } else { false } }
  }

  @Test func messagesGoBetweenBusesAndToTheirSender() throws {
    let server = try RedisServer()
    let first = bus(.server(server.endpoint), .channel("t-a"))
    let second = bus(.server(RedisEndpoint(host: "localhost", port: server.port)), .prefix("t-"))
    #expect(reactor.runUntil { first.state == .ready && second.state == .ready })
    #expect(publish(first, "t-a", "both") == .success(2))
    #expect(publish(second, "t-b", "second") == .success(1))
    #expect(publish(first, "u", "none") == .success(0))
    #expect(reactor.runUntil { observer.messages.count == 3 })
    #expect(observer.messages.sorted() == ["t-a both", "t-a both", "t-b second"])
    stop(first, second)
  }

  @Test func subscribingLaterIsConfirmedBeforeItIsReadyAgain() throws {
    let server = try RedisServer()
    let bus = bus(.server(server.endpoint))
    #expect(reactor.runUntil { bus.state == .ready })
    bus.subscribe(.channel("late"))
    #expect(bus.state != .ready)
    #expect(reactor.runUntil { bus.state == .ready })
    #expect(publish(bus, "late", "x") == .success(1))
    bus.unsubscribe(.channel("late"))
    #expect(reactor.runUntil { publish(bus, "late", "x") == .success(0) })
    stop(bus)
  }

  @Test func aPrefixIsNoPattern() throws {
    let server = try RedisServer()
    let bus = bus(.server(server.endpoint), .prefix("a*[b]?\\-"))
    #expect(reactor.runUntil { bus.state == .ready })
    #expect(publish(bus, "a*[b]?\\-x", "own") == .success(1))
    #expect(publish(bus, "aXb1\\-x", "other") == .success(0))
    #expect(publish(bus, "axxb", "other") == .success(0))
    stop(bus)
  }

  /// Down is noticed at once, and after the restart every subscription stands again before the bus is ready.
  @Test func aRestartedServerIsFoundAndSubscribedAgain() throws {
    let server = try RedisServer()
    let bus = bus(.server(server.endpoint), .channel("c"), .prefix("p-"))
    #expect(reactor.runUntil { bus.state == .ready })
    for _ in 0..<3 {
      server.stop()
      #expect(waitUntilDown(bus))
      guard case .failure(.unavailable) = publish(bus, "c", "lost") else {
        Issue.record("published without a server")
        return
      }
      try server.start()
      #expect(reactor.runUntil { bus.state == .ready })
      let count = observer.messages.count
      #expect(publish(bus, "c", "x") == .success(1))
      #expect(publish(bus, "p-q", "y") == .success(1))
      #expect(reactor.runUntil { observer.messages.count == count + 2 })
    }
    stop(bus)
  }

  @Test func aServerThatStartsLaterIsFound() throws {
    let port = Int(try freeLoopbackPort())
    let bus = bus(.server(RedisEndpoint(host: "127.0.0.1", port: port)), .channel("c"))
    #expect(reactor.runUntil { if case .down(let why) = bus.state { why.contains("refused") } else { false } })
    let server = try RedisServer(port: port)
    #expect(reactor.runUntil { bus.state == .ready })
    stop(bus)
    server.stop()
  }

  /// A stopped process keeps its connections open and says nothing: only the probes find out, on both connections.
  @Test func aFrozenServerIsNoticed() throws {
    let server = try RedisServer()
    let bus = bus(.server(server.endpoint), .channel("c"))
    #expect(reactor.runUntil { bus.state == .ready })
    server.signal(SIGSTOP)
    #expect(waitUntilDown(bus))
    server.signal(SIGCONT)
    #expect(reactor.runUntil { bus.state == .ready })
    // The server may not have noticed yet that the connection it slept through is closed.
    let receivers = try #require(try publish(bus, "c", "x")?.get())
    #expect(receivers >= 1)
    #expect(reactor.runUntil { observer.messages == ["c x"] })
    stop(bus)
  }

  /// Many probes repeat the subscription many times; one message still arrives once.
  @Test func probesDoNotMultiplyMessages() throws {
    let server = try RedisServer()
    let bus = bus(.server(server.endpoint), .channel("c"))
    #expect(reactor.runUntil { bus.state == .ready })
    let end = Instant.nowUncached() + RedisLink.probePeriod * 3
    _ = reactor.runUntil { Instant.nowUncached() > end }
    #expect(bus.state == .ready)
    #expect(publish(bus, "c", "x") == .success(1))
    #expect(publish(bus, "c", "y") == .success(1))
    #expect(reactor.runUntil { observer.messages.count >= 2 })
    #expect(observer.messages == ["c x", "c y"])
    stop(bus)
  }

  @Test func aPasswordIsSentAndAWrongOneSaid() throws {
    let server = try RedisServer(["--requirepass", "s3cret"])
    let right = bus(.server(server.endpoint), password: "s3cret", .channel("c"))
    #expect(reactor.runUntil { right.state == .ready })
    #expect(publish(right, "c", "x") == .success(1))
    let wrong = bus(.server(server.endpoint), password: "other", .channel("c"))
    #expect(reactor.runUntil { if case .down(let why) = wrong.state { why.contains("WRONGPASS") } else { false } })
    let missing = bus(.server(server.endpoint), .channel("c"))
    #expect(reactor.runUntil { if case .down(let why) = missing.state { why.contains("NOAUTH") } else { false } })
    for bus in [right, wrong, missing] {
      if case .down(let why) = bus.state { #expect(!why.contains("s3cret") && !why.contains("other")) }
    }
    stop(right, wrong, missing)
  }

  @Test func odditiesOnAChannelAreDeliveredOrDroppedAndNeverFatal() throws {
    let server = try RedisServer()
    let bus = bus(.server(server.endpoint), .channel("c"))
    #expect(reactor.runUntil { bus.state == .ready })
    for text in ["", "\0", "{", String(repeating: "x", count: RedisReply.bytesMax)] {
      #expect(publish(bus, "c", text) == .success(1))
    }
    #expect(publish(bus, "c", String(repeating: "x", count: RedisReply.bytesMax + 1)) == .success(1))
    #expect(publish(bus, "c", String(repeating: "y", count: 3_000_000)) == .success(1))
    #expect(publish(bus, "c", "last") == .success(1))
    #expect(reactor.runUntil { observer.messages.last == "c last" })
    #expect(observer.messages.count == 5)
    #expect(bus.messagesTooLong == 2)
    stop(bus)
  }

  @Test func theQueueOfCommandsIsBounded() throws {
    let server = try RedisServer()
    let bus = bus(.server(server.endpoint))
    #expect(reactor.runUntil { bus.state == .ready })
    var results: [Result<Int64, ControlBusError>] = []
    for _ in 0..<(RedisLink.commandsMax + 50) { bus.publish(channel: "c", payload: []) { results.append($0) } }
    #expect(reactor.runUntil { results.count == RedisLink.commandsMax + 50 })
    #expect(results.filter { $0 == .success(0) }.count == RedisLink.commandsMax)
    #expect(results.filter { $0 == .failure(.queueFull) }.count == 50)
    stop(bus)
  }

  @Test func whatIsNoRedisIsRefusedAndTriedAgain() throws {
    let listener = try JunkListener("HTTP/1.1 400 Bad Request\r\n\r\n")
    let bus = bus(.server(RedisEndpoint(host: "127.0.0.1", port: listener.port)), .channel("c"))
    #expect(
      reactor.runUntil {
        listener.serve()
        return listener.count >= 6
      })
    #expect(bus.state != .ready)
    stop(bus)
  }

  @Test func stoppingAtAnyMomentIsClean() throws {
    let server = try RedisServer()
    for turns in 0..<25 {
      let bus = bus(
        .server(turns % 2 == 0 ? server.endpoint : RedisEndpoint(host: "localhost", port: server.port)), .channel("c"))
      for _ in 0..<turns { reactor.runOnce(waitMax: .microseconds(200)) }
      bus.publish(channel: "c", payload: []) { _ in }
      stop(bus)
    }
    _ = reactor.runUntil(within: .milliseconds(300)) { false }
    // Only redis-cli itself is connected.
    #expect(try eventually { try server.cli("client", "list").split(separator: "\n").count == 1 })
  }

  // MARK: Sentinel

  @Test func sentinelsLeadToTheMasterAndToTheNextOne() throws {
    let master = try RedisServer()
    let replica = try RedisServer(["--replicaof", "127.0.0.1 \(master.port)"])
    #expect(try eventually { try master.cli("info", "replication").contains("state=online") })
    let sentinel = try RedisServer.sentinel(of: master, name: "backbeat")
    let nobody = RedisEndpoint(host: "127.0.0.1", port: Int(try freeLoopbackPort()))
    let bus = bus(.sentinels([nobody, sentinel.endpoint], name: "backbeat"), .channel("c"))
    #expect(reactor.runUntil { bus.state == .ready })
    #expect(publish(bus, "c", "x") == .success(1))
    #expect(try eventually { try sentinel.cli("sentinel", "replicas", "backbeat").contains("127.0.0.1") })
    master.stop()
    #expect(waitUntilDown(bus))
    #expect(reactor.runUntil(within: .seconds(30)) { bus.state == .ready }, "\(bus.state)")
    #expect(try replica.cli("role").contains("master"))
    #expect(publish(bus, "c", "y") == .success(1))
    stop(bus)
    sentinel.stop()
  }

  @Test func aNameNoSentinelKnowsIsSaid() throws {
    let master = try RedisServer()
    let sentinel = try RedisServer.sentinel(of: master, name: "backbeat")
    let bus = bus(.sentinels([sentinel.endpoint], name: "other"))
    #expect(reactor.runUntil { if case .down(let why) = bus.state { why.contains("no Sentinel knows other") } else { false } })
    stop(bus)
    sentinel.stop()
  }
}

/// Accepts, says something that is not Redis, and hangs up.
final class JunkListener {
  let port: Int
  private(set) var count = 0
  private let fd: Int32
  private let junk: String

  init(_ junk: String) throws {
    self.junk = junk
    port = Int(try freeLoopbackPort())
    fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    var one: Int32 = 1
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 4)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    try #require(code == 0 && listen(fd, 16) == 0)
  }

  deinit { close(fd) }

  func serve() {
    let peer = accept(fd, nil, nil)
    guard peer >= 0 else { return }
    count += 1
    _ = write(peer, junk, junk.utf8.count)
    close(peer)
  }
}

@Suite struct ReconnectTests {
  @Test func delaysDoubleUpToTheirMaximum() {
    var reconnect = Reconnect()
    let now = Instant(ns: 0)
    var highest: [Duration] = []
    for _ in 0..<8 { highest.append(reconnect.failed(at: now, random: UInt64.max / 2)) }
    for (index, delay) in highest.enumerated() {
      let ceiling = min(Reconnect.delayMin * (1 << index), Reconnect.delayMax)
      #expect(delay >= ceiling / 2 && delay <= ceiling)
    }
  }

  @Test func everyDelayIsInTheUpperHalf() {
    var random = SeededGenerator(seed: testSeed)
    for _ in 0..<1_000 {
      var reconnect = Reconnect()
      let delay = reconnect.failed(at: Instant(ns: 0), random: random.next())
      #expect(delay >= Reconnect.delayMin / 2 && delay <= Reconnect.delayMin, "seed \(testSeed)")
    }
  }

  @Test func onlyAConnectionThatHeldStartsAnew() {
    var reconnect = Reconnect()
    for _ in 0..<6 { _ = reconnect.failed(at: Instant(ns: 0), random: 0) }
    reconnect.connected(at: Instant(ns: 0))
    _ = reconnect.failed(at: Instant(ns: 1_000_000_000), random: 0)
    #expect(reconnect.failureCount == 7)
    reconnect.connected(at: Instant(ns: 0))
    _ = reconnect.failed(at: Instant(ns: 0) + Reconnect.stableAfter, random: 0)
    #expect(reconnect.failureCount == 1)
  }
}
