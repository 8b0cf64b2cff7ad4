// How the task that uses a request waits for it: for any change, each of which wakes it to look again.
internal import Reactor

/// A request whose user waits on its reactor. At most one task does at a time.
protocol WaitingExchange: HTTPExchange {
  var reactor: Reactor { get }
  var waiter: UnsafeContinuation<Void, Never>? { get set }
  /// Made by the first wait.
  var alarm: ExchangeAlarm? { get set }
  /// Of the answer, once it is there.
  var head: ResponseHead? { get }
  /// Nil until the exchange is over.
  var ending: Result<Void, TransportError>? { get }
}

extension WaitingExchange {
  /// Suspends while the condition holds; a cancelled task cancels the exchange.
  func wait(while condition: () -> Bool) async {
    while condition() {
      let alarm = self.alarm ?? ExchangeAlarm(self)
      self.alarm = alarm
      let handle = reactor.handle
      await withTaskCancellationHandler {
        // Unsafe in that a lost continuation goes unnoticed; whatever can end the wait calls `wake`.
        await withUnsafeContinuation { continuation in
          // Asked again: the task may have been queued once more before this body ran.
          if condition() { waiter = continuation } else { continuation.resume() }
        }
      } onCancel: {
        handle.post { _ in alarm.exchange?.cancel() }
      }
    }
  }

  /// Whatever is given now is not sent: the peer has answered, or the exchange is over.
  var isOverForSender: Bool { ending != nil || head != nil }

  func throwIfFailed() throws(TransportError) {
    if case .failure(let error)? = ending { throw error }
  }

  func waitForHead(of peer: @autoclosure () -> String) async throws(TransportError) -> ResponseHead {
    await wait { head == nil && ending == nil }
    if let head { return head }
    try throwIfFailed()
    throw TransportError(.broken, "\(peer()): the connection ended without an answer")
  }

  /// Nobody waits for it any more.
  func disarm() {
    alarm?.exchange = nil
    alarm = nil
  }

  func wake() {
    guard let waiter else { return }
    self.waiter = nil
    waiter.resume()
  }
}

/// A part of a body that waits to be sent.
struct BodyPiece {
  let block: Block
  let range: Range<Int>
}

/// How long a transfer has moved too little.
struct StallClock {
  private var moved = 0
  private var seconds = 0

  mutating func didMove(_ count: Int) { moved += count }

  /// Asked once a second. - Parameter isOurTurn: the peer waits for us, which does not count.
  mutating func isStalled(_ limits: TransportLimits, isOurTurn: Bool) -> Bool {
    seconds = isOurTurn || moved >= limits.bytesPerSecondMin ? 0 : seconds + 1
    moved = 0
    return seconds >= limits.stalledSecondsMax
  }
}

/// A cancelled task's way to its request: the cancellation may come on any thread, the exchange belongs to its reactor.
// Unchecked: looked into only on the exchange's reactor.
final class ExchangeAlarm: @unchecked Sendable {
  /// Until it ends, which each request does. Not weak: each retain and release of something that is referred to weakly takes
  /// the long way from then on.
  var exchange: (any HTTPExchange)?
  init(_ exchange: any HTTPExchange) { self.exchange = exchange }
}
