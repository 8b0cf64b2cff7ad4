// The circuit breaker of one location, shared by all workers: it decides when an attempt may reach the target at all, and
// says why it stands open. A `Retry-After` of the target holds for every attempt.
//
// It deliberately queues nobody: whoever must wait asks again after `rest`.
public import PipelineCore
internal import Reactor

public final class LocationBreaker: Sendable {
  /// Between two questions of an attempt that has to wait.
  static let restMin: Duration = .milliseconds(20)
  static let restMax: Duration = .milliseconds(250)

  /// What an operator sees.
  public struct View: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
      case closed, open
      case halfOpen = "half-open"
    }
    public var state: State
    /// Unix milliseconds.
    public var sinceMs: Int64
    /// The last failure of the target; nil while all is well.
    public var reason: String?
    /// Attempts at a time at present.
    public var limit: Int
    /// Unix milliseconds, while open.
    public var nextProbeMs: Int64?
  }

  /// How an attempt went for the target, whatever became of the object.
  public enum Verdict: Sendable {
    case answered
    case outage(reason: String, retryAfter: Duration?)
    /// It never came to the target.
    case unknown
  }

  private struct Inside {
    var breaker: CircuitBreaker
    var running = 0
    var reason: String?
    /// Attempts that failed as the target as a whole did.
    var errorCount: UInt64 = 0
    /// Not before this monotonic time, because the target said so.
    var restUntilMs: Int64 = .min
  }

  private let inside: Lock<Inside>

  public init(_ settings: CircuitBreaker.Settings) { inside = Lock(Inside(breaker: CircuitBreaker(settings))) }

  private static func monotonicMs() -> Int64 { Instant.nowUncached().ns / 1_000_000 }

  /// Begins an attempt. - Returns: false if it must not begin now; ask again after `rest`.
  public func enter() -> Bool {
    let now = Self.monotonicMs()
    return inside.withLock { inside in
      guard now >= inside.restUntilMs, inside.breaker.allows(running: inside.running, nowMs: now) else { return false }
      inside.running += 1
      return true
    }
  }

  /// Ends an attempt. - Returns: whether the location was, or is now, not fully open to attempts.
  @discardableResult
  public func leave(_ verdict: Verdict) -> Bool {
    let now = Self.monotonicMs()
    return inside.withLock { inside in
      inside.running -= 1
      let wasClosed = inside.breaker.state == .closed
      switch verdict {
      case .answered:
        inside.breaker.succeeded(nowMs: now)
        if inside.breaker.state == .closed { inside.reason = nil }
      case .outage(let reason, let retryAfter):
        inside.breaker.failed(nowMs: now)
        inside.errorCount += 1
        inside.reason = reason
        if let retryAfter { inside.restUntilMs = max(inside.restUntilMs, now + retryAfter.nanoseconds / 1_000_000) }
      case .unknown: break
      }
      return !wasClosed || inside.breaker.state != .closed
    }
  }

  /// How long to wait before asking again.
  public func rest() -> Duration {
    let now = Self.monotonicMs()
    let due = inside.withLock { max($0.breaker.nextProbeMs ?? 0, $0.restUntilMs) }
    return min(max(.milliseconds(max(0, due - now)), Self.restMin), Self.restMax) * Double.random(in: 0.8..<1.2)
  }

  /// Failures that counted against it, since the start.
  public var errorCount: UInt64 { inside.withLock { $0.errorCount } }

  public var view: View {
    let offset = WallClock.nowMs() - Self.monotonicMs()
    return inside.withLock { inside in
      let state: View.State =
        switch inside.breaker.state {
        case .closed: .closed
        case .open: .open
        case .halfOpen: .halfOpen
        }
      // 0: since the start of the process, which nobody has noted.
      let since = inside.breaker.sinceMs == 0 ? 0 : inside.breaker.sinceMs + offset
      return View(
        state: state, sinceMs: since, reason: inside.reason, limit: inside.breaker.limit,
        nextProbeMs: inside.breaker.nextProbeMs.map { $0 + offset })
    }
  }
}

extension LocationBreaker.Verdict {
  /// A failure of the source, or of ours, says nothing of the target; a refusal is an answer.
  init(_ outcome: ReplicationOutcome) {
    guard case .failed(let error) = outcome else {
      self = .answered
      return
    }
    guard error.side == .target else {
      self = .unknown
      return
    }
    self = error.isOutage ? .outage(reason: error.description, retryAfter: error.retryAfter) : .answered
  }
}
