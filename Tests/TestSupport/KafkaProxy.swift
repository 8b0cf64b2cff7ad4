// A proxy between Kafka's clients and one broker that loses answers: the broker has done what it was asked, and the client does not
// hear of it. Wherever an answer names the broker's address the clients are told the proxy's, so every connection comes through here.
//
// It can also make good what librdkafka's mock does wrong: as soon as the leader of a group has said who gets what, the mock refuses all
// who ask for it a moment later (INVALID_REQUEST), and they make the group assemble once more. A real broker answers them.
internal import Reactor

public final class KafkaProxy: Sendable {
  public enum Loss: Sendable {
    /// In the place of the answer the connection is closed.
    case cut
    /// The answer never comes, the connection stays.
    case silence
  }

  private struct Rule: Sendable {
    let key: Int16
    let loss: Loss
  }

  public let port: UInt16
  private let thread: ReactorThread
  private let rules = Lock<[Rule]>([])
  private let lost = Lock(0)

  /// - Parameter upstream: port of the broker, on 127.0.0.1, which is also the address it gives itself.
  /// - Parameter leaderWaits: how long the leader's word is held back, for the other members to ask first.
  public init(upstream: UInt16, leaderWaits: Duration = .zero) throws {
    let choose = Lock<(@Sendable (Int16) -> Loss?)?>(nil)
    let listener = try ProxyListener()
    let port = listener.port
    self.port = port
    thread = try ReactorThread.start(name: "kafka-proxy") { reactor in
      listener.serve(reactor, upstream: upstream) { client, up in
        let pair = KafkaPair(client: client, upstream: up, ports: (upstream, port), leaderWaits) { key in choose.withLock { $0 }?(key) }
        pair.start(reactor)
      }
    }
    choose.withLock { $0 = { [weak self] in self?.loss(of: $0) } }
  }

  deinit {
    thread.handle.stop()
    thread.join()
  }

  /// The next answer to a request of that API key is lost.
  public func loseNext(_ key: Int16, _ loss: Loss) { rules.withLock { $0.append(Rule(key: key, loss: loss)) } }

  /// Answers lost so far.
  public var lostCount: Int { lost.withLock { $0 } }

  private func loss(of key: Int16) -> Loss? {
    let rule = rules.withLock { rules in rules.firstIndex { $0.key == key }.map { rules.remove(at: $0) } }
    if rule != nil { lost.withLock { $0 += 1 } }
    return rule?.loss
  }
}

/// One connection.
private final class KafkaPair {
  /// Answers that hold addresses.
  private static let metadata: Int16 = 3, findCoordinator: Int16 = 10
  private static let syncGroup: Int16 = 14
  private let leaderWaits: Duration
  private let client: ProxySide
  private let upstream: ProxySide
  private let choose: (Int16) -> KafkaProxy.Loss?
  /// `127.0.0.1` and a port, as answers hold it: the broker's, and what the client is told.
  private let address: [UInt8], replacement: [UInt8]
  private var requests = Frames()
  private var answers = Frames()
  private var keys: [Int32: Int16] = [:]

  init(
    client: Int32, upstream: Int32, ports: (upstream: UInt16, own: UInt16), _ leaderWaits: Duration, _ choose: @escaping (Int16) -> KafkaProxy.Loss?
  ) {
    self.leaderWaits = leaderWaits
    self.client = ProxySide(client)
    self.upstream = ProxySide(upstream)
    self.choose = choose
    func address(_ port: UInt16) -> [UInt8] { Array("127.0.0.1".utf8) + [0, 0, UInt8(port >> 8), UInt8(port & 255)] }
    (self.address, replacement) = (address(ports.upstream), address(ports.own))
  }

  func start(_ reactor: Reactor) {
    client.received = { [self] bytes in
      for frame in requests.add(bytes) {
        let key = Int16(truncatingIfNeeded: Frames.integer(frame, at: 4, count: 2))
        keys[Int32(truncatingIfNeeded: Frames.integer(frame, at: 8, count: 4))] = key
        if leaderWaits > .zero, key == Self.syncGroup, Frames.assigns(frame) {
          reactor.schedule(after: leaderWaits) { [self] in upstream.send(frame, $0) }
        } else {
          upstream.send(frame, reactor)
        }
      }
    }
    upstream.received = { [self] bytes in
      for frame in answers.add(bytes) where !answer(frame, reactor) { return }
    }
    client.ended = { [self] in close(reactor) }
    upstream.ended = { [self] in close(reactor) }
    client.register(reactor)
    upstream.register(reactor)
  }

  /// - Returns: false when the connection is over.
  private func answer(_ frame: [UInt8], _ reactor: Reactor) -> Bool {
    let key = keys.removeValue(forKey: Int32(truncatingIfNeeded: Frames.integer(frame, at: 4, count: 4))) ?? -1
    switch choose(key) {
    case .silence: return true
    case .cut:
      close(reactor)
      return false
    case nil:
      let namesBrokers = key == Self.metadata || key == Self.findCoordinator
      client.send(namesBrokers ? frame.replacing(address, with: replacement) : frame, reactor)
      return true
    }
  }

  private func close(_ reactor: Reactor) {
    client.close(reactor)
    upstream.close(reactor)
  }
}

/// Kafka's messages out of a stream: each has its length before it, in four bytes.
private struct Frames {
  private var bytes: [UInt8] = []

  mutating func add(_ more: [UInt8]) -> [[UInt8]] {
    bytes += more
    var frames: [[UInt8]] = []
    var start = 0
    while bytes.count - start >= 4 {
      let end = start + 4 + Self.integer(bytes, at: start, count: 4)
      guard bytes.count >= end else { break }
      frames.append(Array(bytes[start..<end]))
      start = end
    }
    bytes.removeFirst(start)
    return frames
  }

  /// Whether a SyncGroup (version 3) holds assignments: only the leader's does. Before them stand, behind the head's twelve bytes: client,
  /// group, generation, member and instance, texts with their length in two bytes, -1 for none.
  static func assigns(_ frame: [UInt8]) -> Bool {
    var at = 12
    func skipText() { at += 2 + max(0, Int(Int16(truncatingIfNeeded: integer(frame, at: at, count: 2)))) }
    skipText()
    skipText()
    at += 4
    skipText()
    skipText()
    return integer(frame, at: at, count: 4) > 0
  }

  static func integer(_ bytes: [UInt8], at index: Int, count: Int) -> Int {
    bytes[index..<index + count].reduce(0) { $0 << 8 | Int($1) }
  }
}
