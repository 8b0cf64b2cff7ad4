// How long tasks took, in Backbeat's buckets (backbeat-behaviour 1.12). Counted once for each completion, without allocating.

public struct TaskTimes: Sendable {
  public static let boundsS: [Double] = [0.01, 0.1, 1, 10, 50, 100, 200, 300]
  private static let boundsNs: [Int64] = boundsS.map { Int64($0 * 1e9) }

  public struct Histogram: Sendable {
    /// By bound, not cumulated; the last is for everything above.
    public fileprivate(set) var counts = [UInt64](repeating: 0, count: TaskTimes.boundsS.count + 1)
    public fileprivate(set) var sumNs: Int64 = 0

    fileprivate mutating func add(_ ns: Int64) {
      var index = 0
      while index < TaskTimes.boundsNs.count, ns > TaskTimes.boundsNs[index] { index += 1 }
      counts[index] += 1
      sumNs &+= ns
    }
  }

  public private(set) var ended = Histogram()
  public private(set) var failed = Histogram()

  public init() {}

  mutating func add(_ ns: Int64, isFailure: Bool) {
    if isFailure { failed.add(ns) } else { ended.add(ns) }
  }
}
