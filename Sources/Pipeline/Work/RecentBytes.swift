// Bytes by interval of five minutes: the newest and the three before it, which is all that Backbeat's rate needs. Pure: the time
// comes in.

struct RecentBytes: Sendable {
  private var newestMs: Int64 = 0
  /// Newest first.
  private var counts = SIMD4<Int64>()

  mutating func add(_ bytes: Int64, atMs: Int64) {
    advance(to: atMs)
    counts[0] &+= bytes
  }

  /// A second, over the last fifteen minutes.
  func rate(nowMs: Int64) -> Double {
    var now = self
    now.advance(to: nowMs)
    return SiteFigures.rate((0..<4).map { now.counts[$0] }, nowMs: nowMs)
  }

  /// A clock that goes back adds to the newest.
  private mutating func advance(to ms: Int64) {
    let start = ms - ms % MetricKeys.intervalMs
    guard start > newestMs else { return }
    for _ in 0..<min(4, (start - newestMs) / MetricKeys.intervalMs) { counts = SIMD4(0, counts[0], counts[1], counts[2]) }
    newestMs = start
  }
}
