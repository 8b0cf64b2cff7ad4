// The control bus of embedded mode: everybody who could hear is in this process, on this reactor.
//
// Invariant: as on Redis, a publisher that has subscribed hears itself, and nothing is delivered from within `publish`.
//
// The exchange can be told to be down or to lose messages, as a real one is and does; tests of what stands on it use that.
public import Reactor

/// What connects the buses of one reactor.
public final class LocalExchange {
  /// While false, publishing fails and nothing is delivered; the buses see a broken connection.
  public var isUp = true {
    didSet { if isUp != oldValue { for bus in buses { bus.exchangeChanged() } } }
  }
  /// So many of the next messages are accepted and then lost.
  public var messagesToLose = 0

  fileprivate var buses: [LocalBus] = []

  public init() {}

  fileprivate func deliver(_ payload: [UInt8], on channel: String) -> Int64 {
    if messagesToLose > 0 {
      messagesToLose -= 1
      return 0
    }
    var receivers: Int64 = 0
    for bus in buses where bus.hears(channel) {
      receivers += 1
      bus.receive(payload, on: channel)
    }
    return receivers
  }
}

public final class LocalBus: ControlBus {
  public private(set) var state: ControlBusState = .down(reason: "not started")

  private let reactor: Reactor
  private let exchange: LocalExchange
  private weak var observer: (any ControlBusObserver)?
  private var subscriptions: Set<ControlSubscription> = []

  public init(reactor: Reactor, exchange: LocalExchange = LocalExchange()) {
    self.reactor = reactor
    self.exchange = exchange
  }

  public func start(observer: any ControlBusObserver) {
    self.observer = observer
    exchange.buses.append(self)
    exchangeChanged()
  }

  public func stop(_ completion: @escaping () -> Void) {
    exchange.buses.removeAll { $0 === self }
    state = .closed
    reactor.schedule(after: .zero) { _ in completion() }
  }

  public func subscribe(_ subscription: ControlSubscription) { subscriptions.insert(subscription) }
  public func unsubscribe(_ subscription: ControlSubscription) { subscriptions.remove(subscription) }

  public func publish(
    channel: String, payload: [UInt8], _ completion: @escaping (Result<Int64, ControlBusError>) -> Void
  ) {
    reactor.schedule(after: .zero) { [self] _ in
      guard state == .ready else {
        completion(.failure(.unavailable("the exchange is down")))
        return
      }
      completion(.success(exchange.deliver(payload, on: channel)))
    }
  }

  fileprivate func hears(_ channel: String) -> Bool {
    state == .ready
      && subscriptions.contains {
        switch $0 {
        case .channel(let name): name == channel
        case .prefix(let prefix): channel.hasPrefix(prefix)
        }
      }
  }

  fileprivate func receive(_ payload: [UInt8], on channel: String) {
    observer?.controlBus(self, received: payload, on: channel)
  }

  fileprivate func exchangeChanged() {
    state = exchange.isUp ? .ready : .down(reason: "the exchange is down")
    reactor.schedule(after: .zero) { [weak self] _ in
      guard let self, state != .closed else { return }
      observer?.controlBus(self, became: state)
    }
  }
}
