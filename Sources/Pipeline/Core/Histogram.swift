// Values counted by upper bounds, as Prometheus' histograms want them. Whole numbers in a unit of the owner's: adding one costs a
// few comparisons and no allocation.

public struct Histogram: Hashable, Sendable {
  /// Upper bounds, rising.
  public let bounds: [Int64]
  /// By bound, not cumulated; the last is for everything above.
  public private(set) var counts: [UInt64]
  public private(set) var sum: Int64 = 0

  public init(bounds: [Int64]) {
    self.bounds = bounds
    counts = [UInt64](repeating: 0, count: bounds.count + 1)
  }

  /// Nothing was counted yet.
  public var isEmpty: Bool { counts.allSatisfy { $0 == 0 } }

  public mutating func add(_ value: Int64) {
    var index = 0
    while index < bounds.count, value > bounds[index] { index += 1 }
    counts[index] += 1
    sum &+= value
  }
}
