// How long tasks took, in Backbeat's buckets (backbeat-behaviour 1.12). Counted once for each completion, without allocating.
public import PipelineCore

public struct TaskTimes: Sendable {
  /// Nanoseconds.
  public static let bounds: [Int64] = [10, 100, 1_000, 10_000, 50_000, 100_000, 200_000, 300_000].map { $0 * 1_000_000 }

  public private(set) var ended = Histogram(bounds: TaskTimes.bounds)
  public private(set) var failed = Histogram(bounds: TaskTimes.bounds)

  public init() {}

  mutating func add(_ ns: Int64, isFailure: Bool) {
    if isFailure { failed.add(ns) } else { ended.add(ns) }
  }
}
