// When a scheduled resume fires: one timer for a location on this node, whatever is observed how often.
//
// Invariant: at most one timer is set and at most one fire is on its way. The moment is fixed once, when a date is first seen,
// as a point of the boot clock; a step of the wall clock afterwards moves nothing, and seeing the same date again does not
// compute it anew. Which node fires is not decided here: all may, and the compare-and-set lets one win.
//
// Pure: times come in as arguments. `bootMs` is milliseconds of a clock that never steps and counts suspended time.

struct ScheduleMachine: Hashable, Sendable {
  enum State: Hashable, Sendable {
    /// No schedule.
    case idle
    /// Waiting for its moment.
    case armed(dateMs: Int64, fireAtMs: Int64)
    /// The compare-and-set is on its way.
    case firing(dateMs: Int64, attempt: Int)
    /// The compare-and-set failed; it is tried again.
    case retrying(dateMs: Int64, fireAtMs: Int64, attempt: Int)
  }

  enum Action: Hashable, Sendable {
    /// Replaces the timer.
    case setTimer(atBootMs: Int64)
    case cancelTimer
    /// Resume the location if this date is still the stored one.
    case fire(dateMs: Int64)
  }

  /// A timer is never set further ahead: so much a clock that counted less than the boot clock can be late.
  static let timerSpanMaxMs: Int64 = 60_000
  static let retryDelayMinMs: Int64 = 1_000
  static let retryDelayMaxMs: Int64 = 60_000

  private(set) var state: State = .idle

  /// The stored state was seen, at first or again.
  mutating func observed(dateMs: Int64?, wallMs: Int64, bootMs: Int64) -> [Action] {
    guard let dateMs else { return clear() }
    switch state {
    case .armed(dateMs, _), .firing(dateMs, _): return []
    case .retrying(dateMs, _, let attempt):
      // The store has just been heard: no reason to wait any longer.
      state = .firing(dateMs: dateMs, attempt: attempt)
      return [.cancelTimer, .fire(dateMs: dateMs)]
    case .idle, .armed, .firing, .retrying:
      return arm(dateMs, delayMs: dateMs.subtractingReportingOverflow(wallMs).partialValue, bootMs: bootMs)
    }
  }

  /// The timer that was set has come.
  mutating func timerFired(bootMs: Int64) -> [Action] {
    switch state {
    case .armed(let dateMs, let fireAtMs): return due(dateMs, fireAtMs, attempt: 0, bootMs: bootMs)
    case .retrying(let dateMs, let fireAtMs, let attempt): return due(dateMs, fireAtMs, attempt: attempt, bootMs: bootMs)
    case .idle, .firing: return []  // a timer that was cancelled too late
    }
  }

  /// The compare-and-set for `dateMs` ended: done, by us or by someone else before us, or not possible now.
  mutating func fireEnded(dateMs: Int64, succeeded: Bool, bootMs: Int64) -> [Action] {
    guard case .firing(dateMs, let attempt) = state else { return [] }  // replaced meanwhile
    if succeeded {
      state = .idle
      return []
    }
    let delayMs = min(Self.retryDelayMinMs << min(attempt, 6), Self.retryDelayMaxMs)
    state = .retrying(dateMs: dateMs, fireAtMs: bootMs + delayMs, attempt: attempt + 1)
    return [.setTimer(atBootMs: bootMs + delayMs)]
  }

  private mutating func arm(_ dateMs: Int64, delayMs: Int64, bootMs: Int64) -> [Action] {
    guard delayMs > 0 else {
      state = .firing(dateMs: dateMs, attempt: 0)
      return [.cancelTimer, .fire(dateMs: dateMs)]
    }
    state = .armed(dateMs: dateMs, fireAtMs: bootMs + delayMs)
    return [.setTimer(atBootMs: bootMs + min(delayMs, Self.timerSpanMaxMs))]
  }

  private mutating func due(_ dateMs: Int64, _ fireAtMs: Int64, attempt: Int, bootMs: Int64) -> [Action] {
    guard bootMs >= fireAtMs else { return [.setTimer(atBootMs: min(fireAtMs, bootMs + Self.timerSpanMaxMs))] }
    state = .firing(dateMs: dateMs, attempt: attempt)
    return [.fire(dateMs: dateMs)]
  }

  private mutating func clear() -> [Action] {
    defer { state = .idle }
    switch state {
    case .idle, .firing: return []
    case .armed, .retrying: return [.cancelTimer]
    }
  }
}
