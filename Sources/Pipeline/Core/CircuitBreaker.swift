// Keeps a sick target from being hammered, and a recovering one from being knocked over.
//
// Invariants: an open breaker always half-opens by time, whatever else happens; half-open lets one attempt through at a
// time; after it closes the limit starts at one and grows by one for each full round of successes; each failure halves it.
// Only failures of the target count (no answer, 5xx, throttled): the owner does not tell of a refused object.
// It deliberately holds no timer and counts no running task: the owner asks with both.

public struct CircuitBreaker: Sendable {
  public struct Settings: Hashable, Sendable {
    /// Failures in a row that open it.
    public var failuresMax = 5
    /// First time open; doubled each time a probe fails, up to `openMaxMs`.
    public var openMinMs: Int64 = 1000
    public var openMaxMs: Int64 = 60_000
    /// Probes in a row that close it.
    public var probesToClose = 2
    /// Attempts at a time when all is well; at least 1.
    public var concurrency: Int

    public init(concurrency: Int) {
      precondition(concurrency >= 1)
      self.concurrency = concurrency
    }
  }

  public enum State: Hashable, Sendable {
    /// Attempts go through, up to `limit` at a time.
    case closed
    /// None goes through before that time (same clock as the owner's `nowMs`).
    case open(untilMs: Int64)
    /// One at a time, to see whether the target is back.
    case halfOpen(succeeded: Int)
  }

  public let settings: Settings
  public private(set) var state = State.closed
  /// When it entered `state`.
  public private(set) var sinceMs: Int64 = 0
  /// Attempts at a time while closed.
  public private(set) var limit: Int
  private var failuresInRow = 0
  private var successesInRound = 0
  private var openMs: Int64

  public init(_ settings: Settings) {
    self.settings = settings
    limit = settings.concurrency
    openMs = settings.openMinMs
  }

  /// When the next probe may go, nil unless open. The owner sets a timer for it.
  public var nextProbeMs: Int64? { if case .open(let untilMs) = state { untilMs } else { nil } }

  /// Whether one more attempt may start.
  /// - Parameter running: attempts under way.
  public mutating func allows(running: Int, nowMs: Int64) -> Bool {
    switch state {
    case .closed: return running < limit
    case .open(let untilMs):
      guard nowMs >= untilMs else { return false }
      enter(.halfOpen(succeeded: 0), nowMs)
      return running < 1
    case .halfOpen: return running < 1
    }
  }

  /// An attempt reached the target and was answered.
  public mutating func succeeded(nowMs: Int64) {
    failuresInRow = 0
    switch state {
    case .closed:
      successesInRound += 1
      guard successesInRound >= limit, limit < settings.concurrency else { return }
      limit += 1
      successesInRound = 0
    // One that was under way when it opened: no proof for those that failed after it.
    case .open: return
    case .halfOpen(let succeeded):
      guard succeeded + 1 >= settings.probesToClose else {
        state = .halfOpen(succeeded: succeeded + 1)
        return
      }
      openMs = settings.openMinMs
      limit = 1
      successesInRound = 0
      enter(.closed, nowMs)
    }
  }

  /// The target failed: no answer, 5xx, throttled.
  public mutating func failed(nowMs: Int64) {
    switch state {
    case .closed:
      failuresInRow += 1
      successesInRound = 0
      limit = max(1, limit / 2)
      if failuresInRow >= settings.failuresMax { open(nowMs) }
    case .open: return
    case .halfOpen:
      openMs = min(openMs * 2, settings.openMaxMs)
      open(nowMs)
    }
  }

  private mutating func open(_ nowMs: Int64) {
    failuresInRow = 0
    enter(.open(untilMs: nowMs + openMs), nowMs)
  }

  private mutating func enter(_ new: State, _ nowMs: Int64) {
    state = new
    sinceMs = nowMs
  }
}
