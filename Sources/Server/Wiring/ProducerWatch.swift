// Whether the node's producer reaches a broker, for readiness: asked of the brokers again and again, because a client with
// nothing to send notices nothing, and one that lost its brokers does not say when they are back.
internal import Logging
internal import Pipeline
internal import Reactor

/// - Thread: all of it on T0.
final class ProducerWatch {
  /// Between two questions while all is well: each is one small request.
  static let period = Duration.seconds(15)
  /// Between an answer that did not come and the next question.
  static let periodAway = Duration.seconds(2)

  private let reactor: Reactor
  private let outbox: Outbox
  private let topic: String
  private var timer: TimerToken?
  private var isStopped = false
  /// Nil: the last question was answered.
  private(set) var notReadyReason: String? = "no broker has answered yet"

  /// - Parameter topic: one that the node writes to, so that asking for it makes none that would not be there.
  init(reactor: Reactor, outbox: Outbox, topic: String) {
    self.reactor = reactor
    self.outbox = outbox
    self.topic = topic
    ask()
  }

  private func ask() {
    outbox.describe(topic) { [weak self] result in
      guard let self, !isStopped else { return }
      switch result {
      case .success: notReadyReason = nil
      case .failure(let error): notReadyReason = "\(error)"
      }
      timer = reactor.schedule(after: notReadyReason == nil ? Self.period : Self.periodAway) { [weak self] _ in self?.ask() }
    }
  }

  func stop() {
    isStopped = true
    if let timer { reactor.cancel(timer) }
  }
}
