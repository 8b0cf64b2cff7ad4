// One of the bus's two connections, kept up: found, made, authenticated, checked to be a master, subscribed, probed, and made
// again when any of that fails.
//
// Invariant: `isReady` is true exactly while the server has confirmed everything that was asked of it on this connection,
// subscriptions included. At most one connection exists, and what an older one still says is not heard (`attempt`).
//
// The probe of a connection that only listens is to subscribe again to what it listens to: hiredis 0.14 loses the answer of a
// PING there and leaks its callback.
internal import Reactor

final class RedisLink {
  enum Purpose { case commands, messages }

  /// From looking up the address to being ready.
  static let attemptTimeMax = Duration.seconds(4)
  /// How often the server is asked whether it is still there; an answer must have come by the next time.
  static let probePeriod = Duration.milliseconds(1_500)
  /// Commands sent and not answered. Beyond it a command is refused.
  static let commandsMax = 1_024

  private enum State {
    case stopped
    case waiting(TimerToken)
    case locating
    case preparing(HiredisConnection)
    case ready(HiredisConnection)
  }

  private let reactor: Reactor
  private let purpose: Purpose
  private let settings: RedisSettings
  private let locator: RedisLocator
  private var reconnect = Reconnect()
  private var random = SystemRandomNumberGenerator()
  private var state = State.stopped
  private var attempt = 0
  private var attemptTimer: TimerToken?
  private var probeTimer: TimerToken?
  private var isProbing = false
  private var isServing = false
  private var subscriptions: [ControlSubscription] = []
  private var unconfirmed: Set<ControlSubscription> = []

  /// nil: became ready; else why it is not any more, or still not.
  var onChange: ((_ failure: String?) -> Void)?
  var onMessage: ((_ channel: String, _ payload: RedisReply) -> Void)?

  init(reactor: Reactor, purpose: Purpose, settings: RedisSettings, locator: RedisLocator) {
    self.reactor = reactor
    self.purpose = purpose
    self.settings = settings
    self.locator = locator
  }

  var isReady: Bool { if case .ready = state { unconfirmed.isEmpty } else { false } }

  // MARK: Life

  func start() {
    guard case .stopped = state else { return }
    begin()
  }

  func stop() {
    attempt += 1
    let connection = connection
    if case .waiting(let timer) = state { reactor.cancel(timer) }
    cancelTimers()
    state = .stopped
    connection?.close("stopped")
  }

  private var connection: HiredisConnection? {
    switch state {
    case .preparing(let connection), .ready(let connection): connection
    case .stopped, .waiting, .locating: nil
    }
  }

  private func begin() {
    attempt += 1
    let attempt = attempt
    state = .locating
    attemptTimer = reactor.schedule(after: Self.attemptTimeMax) { [weak self] _ in self?.fail(attempt, "not ready in time") }
    locator.locate { [weak self] result in
      guard let self, self.attempt == attempt, case .locating = state else { return }
      switch result {
      case .success(let address): connect(attempt, to: address)
      case .failure(let failure): fail(attempt, failure.why)
      }
    }
  }

  private func connect(_ attempt: Int, to address: RedisEndpoint) {
    let connection = HiredisConnection(reactor: reactor)
    state = .preparing(connection)
    connection.onConnect = { [weak self] failure in if failure == nil { self?.prepare(attempt, connection) } }
    connection.onEnd = { [weak self] reason in self?.fail(attempt, "\(address): \(reason)") }
    connection.onMessage = { [weak self] parts in
      if self?.attempt == attempt { self?.received(parts, attempt) }
    }
    if let why = connection.connect(address: address.host, port: address.port) { fail(attempt, "\(address): \(why)") }
  }

  /// Connected: prove that it is what was looked for, then subscribe.
  private func prepare(_ attempt: Int, _ connection: HiredisConnection) {
    guard self.attempt == attempt else { return }
    if !settings.password.isEmpty {
      _ = connection.send(redisCommand("AUTH", settings.password)) { [weak self] reply in
        if let error = reply?.errorText { self?.fail(attempt, error) }
      }
    }
    _ = connection.send(probeCommand) { [weak self] reply in
      guard let self, self.attempt == attempt, let reply else { return }
      if let why = refusal(reply) { return fail(attempt, why) }
      state = .ready(connection)
      unconfirmed = Set(subscriptions)
      for subscription in subscriptions { _ = connection.sendSubscription(subscription.command("SUBSCRIBE")) }
      scheduleProbe(attempt)
      serveIfConfirmed(attempt)
    }
  }

  /// The connection is of no use: closed, told, and made again after a while.
  private func fail(_ attempt: Int, _ why: String) {
    guard self.attempt == attempt else { return }
    self.attempt += 1
    let connection = connection
    cancelTimers()
    unconfirmed = []
    isServing = false
    let delay = reconnect.failed(at: reactor.now, random: random.next())
    state = .waiting(reactor.schedule(after: delay) { [weak self] _ in self?.begin() })
    connection?.close(why)
    onChange?(why)
  }

  private func cancelTimers() {
    for timer in [attemptTimer, probeTimer] { if let timer { reactor.cancel(timer) } }
    (attemptTimer, probeTimer) = (nil, nil)
  }

  private func serveIfConfirmed(_ attempt: Int) {
    guard isReady, !isServing else { return }
    isServing = true
    if let attemptTimer { reactor.cancel(attemptTimer) }
    attemptTimer = nil
    reconnect.connected(at: reactor.now)
    onChange?(nil)
  }

  // MARK: Probing

  /// Behind Sentinels ROLE instead of PING: a master that was demoted still answers a PING.
  private var probeCommand: [[UInt8]] {
    if case .sentinels = settings.place { return redisCommand("ROLE") }
    return redisCommand("PING")
  }

  private func refusal(_ reply: RedisReply) -> String? {
    if let error = reply.errorText { return error }
    if case .sentinels = settings.place, let role = reply.elements?.first?.text, role != "master" {
      return "is a \(role), not the master"
    }
    return nil
  }

  private func scheduleProbe(_ attempt: Int) {
    isProbing = false
    probeTimer = reactor.schedule(after: Self.probePeriod) { [weak self] _ in self?.probe(attempt) }
  }

  private func probe(_ attempt: Int) {
    guard self.attempt == attempt, case .ready(let connection) = state else { return }
    guard !isProbing else { return fail(attempt, "no answer in time") }
    isProbing = true
    switch purpose {
    case .commands:
      _ = connection.send(probeCommand) { [weak self] reply in
        guard let self, self.attempt == attempt, let reply else { return }
        if let why = refusal(reply) { return fail(attempt, why) }
        isProbing = false
      }
    case .messages:
      // Without a subscription there is nothing to lose.
      guard let first = subscriptions.first else {
        isProbing = false
        break
      }
      _ = connection.sendSubscription(first.command("SUBSCRIBE"))
    }
    probeTimer = reactor.schedule(after: Self.probePeriod) { [weak self] _ in self?.probe(attempt) }
  }

  // MARK: Messages

  func subscribe(_ subscription: ControlSubscription) {
    guard !subscriptions.contains(subscription) else { return }
    subscriptions.append(subscription)
    guard case .ready(let connection) = state else { return }
    unconfirmed.insert(subscription)
    isServing = false
    _ = connection.sendSubscription(subscription.command("SUBSCRIBE"))
  }

  func unsubscribe(_ subscription: ControlSubscription) {
    subscriptions.removeAll { $0 == subscription }
    guard case .ready(let connection) = state else { return }
    unconfirmed.remove(subscription)
    _ = connection.sendSubscription(subscription.command("UNSUBSCRIBE"))
    serveIfConfirmed(attempt)
  }

  private func received(_ parts: [RedisReply], _ attempt: Int) {
    guard let kind = parts.first?.text else { return }
    switch (kind, parts.count) {
    case ("message", 3): if let channel = parts[1].text { onMessage?(channel, parts[2]) }
    case ("pmessage", 4): if let channel = parts[2].text { onMessage?(channel, parts[3]) }
    case ("subscribe", 3), ("psubscribe", 3):
      isProbing = false
      guard let name = parts[1].text, let confirmed = subscriptions.first(where: { $0.name == name && $0.kind == kind }) else {
        return
      }
      unconfirmed.remove(confirmed)
      serveIfConfirmed(attempt)
    default: break  // unsubscribe confirmations
    }
  }

  // MARK: Commands

  func send(_ command: [[UInt8]], _ completion: @escaping (Result<RedisReply, ControlBusError>) -> Void) {
    guard case .ready(let connection) = state else { return completion(.failure(.unavailable("not connected"))) }
    guard connection.openCount < Self.commandsMax else { return completion(.failure(.queueFull)) }
    let accepted = connection.send(command) { reply in
      guard let reply else { return completion(.failure(.unavailable("connection lost"))) }
      if let error = reply.errorText { return completion(.failure(.refused(error))) }
      completion(.success(reply))
    }
    if !accepted { completion(.failure(.unavailable("connection lost"))) }
  }
}

extension ControlSubscription {
  /// The channel, or the pattern: a prefix whose glob characters stand for themselves, then anything.
  var name: String {
    switch self {
    case .channel(let name): return name
    case .prefix(let prefix):
      var pattern = ""
      for scalar in prefix.unicodeScalars {
        if "*?[]\\".unicodeScalars.contains(scalar) { pattern.unicodeScalars.append("\\") }
        pattern.unicodeScalars.append(scalar)
      }
      return pattern + "*"
    }
  }

  /// What Redis calls its confirmation.
  var kind: String { if case .prefix = self { "psubscribe" } else { "subscribe" } }

  func command(_ verb: String) -> [[UInt8]] {
    if case .prefix = self { return redisCommand("P" + verb, name) }
    return redisCommand(verb, name)
  }
}
