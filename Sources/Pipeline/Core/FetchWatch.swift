// Whether a consumer that owns partitions and has room for entries really gets those that are there.
//
// A member can look healthy, heartbeats and all, and fetch nothing for ever: its assignment was thrown away by a late
// answer, or its position is lost. Nobody else fetches its partitions meanwhile. So when nothing was taken between two
// looks, the owner asks the brokers; a backlog that stands there untouched for long enough is a stall, and time to step in,
// as is each further such time.
// It deliberately knows no clock and no broker, and ends by itself as soon as an entry is taken or none is wanted.

public struct FetchWatch: Sendable {
  private let stallMs: Int64
  private var takenBefore: UInt64?
  private var behindSinceMs: Int64?
  /// Times that have passed since.
  private var stallCount: Int64 = 0

  public init(stallMs: Int64) { self.stallMs = stallMs }

  /// A look, every few seconds.
  /// - Parameters:
  ///   - taken: entries taken since the start.
  ///   - mayTake: partitions are owned and there is room.
  /// - Returns: whether to ask the brokers for the backlog.
  public mutating func check(taken: UInt64, mayTake: Bool) -> Bool {
    let isIdle = mayTake && taken == takenBefore
    takenBefore = taken
    if !isIdle { clear() }
    return isIdle
  }

  /// Their answer.
  /// - Parameter taken: as it was when they were asked.
  /// - Returns: whether to step in.
  public mutating func answered(isBehind: Bool, taken: UInt64, nowMs: Int64) -> Bool {
    guard isBehind, taken == takenBefore else {
      clear()
      return false
    }
    let since = behindSinceMs ?? nowMs
    behindSinceMs = since
    let count = (nowMs - since) / stallMs
    defer { stallCount = count }
    return count > stallCount
  }

  /// Untouched for at least `stallMs`.
  public var isStalled: Bool { stallCount > 0 }

  private mutating func clear() {
    behindSinceMs = nil
    stallCount = 0
  }
}
