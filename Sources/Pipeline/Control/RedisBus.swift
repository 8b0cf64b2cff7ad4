// The control bus over Redis pub/sub, on Backbeat's own channels: one connection that listens, one that publishes. Two, because a
// connection in subscribed mode takes no commands.
//
// Invariant: `ready` means that both are proven and every subscription is confirmed; a message that was published before that is
// lost, and whoever becomes ready reads the state store (the coordinator does).
//
// Deliberately without persistence or repetition: see ControlBus.
public import Reactor

public final class RedisBus: ControlBus {
  public private(set) var state: ControlBusState = .down(reason: "not started")
  /// Messages longer than `RedisReply.bytesMax`, dropped unread.
  public private(set) var messagesTooLong = 0

  private let reactor: Reactor
  private let calls: BlockingCalls
  private let commands: RedisLink
  private let messages: RedisLink
  private weak var observer: (any ControlBusObserver)?
  private var isStarted = false

  /// - Thread: the reactor's, here and everywhere.
  public init(reactor: Reactor, settings: RedisSettings) {
    self.reactor = reactor
    calls = BlockingCalls(reactor: reactor, name: "db-redis-names")
    let locator = { [calls] in RedisLocator(reactor: reactor, settings: settings, calls: calls) }
    commands = RedisLink(reactor: reactor, purpose: .commands, settings: settings, locator: locator())
    messages = RedisLink(reactor: reactor, purpose: .messages, settings: settings, locator: locator())
  }

  public func start(observer: any ControlBusObserver) {
    self.observer = observer
    isStarted = true
    for link in [commands, messages] { link.onChange = { [weak self] failure in self?.linkChanged(failure) } }
    messages.onMessage = { [weak self] channel, payload in self?.received(payload, on: channel) }
    commands.start()
    messages.start()
  }

  public func stop(_ completion: @escaping () -> Void) {
    state = .closed
    commands.stop()
    messages.stop()
    // Closing connections are freed in the ready turns of this tick or the next; timers come after those.
    calls.stop(completion)
  }

  public func subscribe(_ subscription: ControlSubscription) {
    messages.subscribe(subscription)
    if isStarted, state == .ready, !messages.isReady { become(.down(reason: "subscribing")) }
  }

  public func unsubscribe(_ subscription: ControlSubscription) { messages.unsubscribe(subscription) }

  public func publish(
    channel: String, payload: [UInt8], _ completion: @escaping (Result<Int64, ControlBusError>) -> Void
  ) {
    var isReturned = false
    let answer = { [reactor] (result: Result<Int64, ControlBusError>) in
      // A refusal is known at once; completions come later all the same.
      if isReturned { return completion(result) }
      reactor.schedule(after: .zero) { _ in completion(result) }
    }
    commands.send([Array("PUBLISH".utf8), Array(channel.utf8), payload]) { result in
      answer(
        result.map { reply in
          if case .integer(let receivers) = reply { receivers } else { 0 }
        })
    }
    isReturned = true
  }

  private func linkChanged(_ failure: String?) {
    guard state != .closed else { return }
    if let failure { return become(.down(reason: failure)) }
    if commands.isReady, messages.isReady { become(.ready) }
  }

  /// Each failed attempt tells its reason; only a change is told on.
  private func become(_ next: ControlBusState) {
    guard next != state else { return }
    state = next
    reactor.schedule(after: .zero) { [weak self] _ in
      guard let self, state == next else { return }
      observer?.controlBus(self, became: next)
    }
  }

  private func received(_ payload: RedisReply, on channel: String) {
    guard case .bytes(let bytes) = payload else {
      messagesTooLong += 1
      return
    }
    observer?.controlBus(self, received: bytes, on: channel)
  }
}
