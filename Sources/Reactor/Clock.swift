// Time. `Instant` is CLOCK_MONOTONIC: it never steps, so every time-out and timer uses it. `WallClock` is for what
// people and other systems read; nothing in the process may wait on it.
internal import CLinux
internal import Glibc

/// A point on the monotonic clock, in nanoseconds. Comparable only within one boot of one machine.
public struct Instant: Comparable, Hashable, Sendable {
  public var ns: Int64

  public init(ns: Int64) { self.ns = ns }

  public static func < (a: Instant, b: Instant) -> Bool { a.ns < b.ns }
  public static func + (instant: Instant, duration: Duration) -> Instant { Instant(ns: instant.ns + duration.nanoseconds) }
  public static func - (later: Instant, earlier: Instant) -> Duration { .nanoseconds(later.ns - earlier.ns) }

  /// Asks the clock (about 20 ns). On a reactor prefer `reactor.now`, which is read once a tick.
  public static func nowUncached() -> Instant { Instant(ns: db_monotonic_ns()) }
}

public enum WallClock {
  /// Milliseconds since 1970-01-01T00:00:00Z. May step in either direction.
  public static func nowMs() -> Int64 { db_realtime_ns() / 1_000_000 }
}

extension Duration {
  /// The whole duration in nanoseconds, saturated at the ends of Int64 (292 years).
  public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, overflow2) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
    return overflow2 ? (seconds < 0 ? .min : .max) : sum
  }
}
