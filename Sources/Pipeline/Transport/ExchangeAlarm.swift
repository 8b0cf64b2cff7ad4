// A cancelled task's way to its request: the cancellation may come on any thread, the exchange belongs to its reactor.

// Unchecked: looked into only on the exchange's reactor.
final class ExchangeAlarm: @unchecked Sendable {
  weak var exchange: (any HTTPExchange)?
  init(_ exchange: any HTTPExchange) { self.exchange = exchange }
}
