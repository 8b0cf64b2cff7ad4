// How much was done in the last day, in intervals of five minutes, as Backbeat keeps it in Redis; here in memory, for a node
// without one. Pure: the time comes in.

struct IntervalCounts {
  static let intervalMs: Int64 = 300_000
  static let intervalsMax = 288

  private struct Interval {
    var startMs: Int64
    var ops: Int64
    var bytes: Int64
  }

  /// Oldest first; only intervals in which something was done.
  private var intervals: [Interval] = []

  mutating func add(ops: Int64, bytes: Int64, atMs: Int64) {
    guard ops > 0 || bytes > 0 else { return }
    let start = atMs - atMs % Self.intervalMs
    if let last = intervals.indices.last, intervals[last].startMs >= start {
      intervals[last].ops += ops
      intervals[last].bytes += bytes
    } else {
      intervals.append(Interval(startMs: start, ops: ops, bytes: bytes))
    }
    let oldest = start - Int64(Self.intervalsMax - 1) * Self.intervalMs
    intervals.removeAll { $0.startMs < oldest }
  }

  /// Sums of the last 24 hours.
  func day(nowMs: Int64) -> (ops: Int64, bytes: Int64) {
    let oldest = nowMs - nowMs % Self.intervalMs - Int64(Self.intervalsMax - 1) * Self.intervalMs
    return intervals.filter { $0.startMs >= oldest }.reduce((0, 0)) { ($0.0 + $1.ops, $0.1 + $1.bytes) }
  }

  /// A second, over the last 15 minutes: the three newest intervals and the share of the fourth that makes them up.
  func rates(nowMs: Int64) -> (ops: Double, bytes: Double) {
    let newest = nowMs - nowMs % Self.intervalMs
    let elapsed = Double(nowMs - newest) / Double(Self.intervalMs)
    var sums = (ops: 0.0, bytes: 0.0)
    for interval in intervals {
      let age = (newest - interval.startMs) / Self.intervalMs
      guard age <= 3 else { continue }
      let share = age == 3 ? 1 - elapsed : 1
      sums.ops += share * Double(interval.ops)
      sums.bytes += share * Double(interval.bytes)
    }
    return (sums.ops / 900, sums.bytes / 900)
  }
}
