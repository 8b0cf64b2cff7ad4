// Percentiles of latencies: reads nanoseconds, one a line, on standard input and prints one JSON object in microseconds.
// HdrHistogram keeps three significant digits from 1 ns to a minute; what is longer is counted as a minute.
internal import Histogram

@main struct LatencySummary {
  static let nsMax: UInt64 = 60_000_000_000

  static func main() {
    var histogram = Histogram<UInt64>(highestTrackableValue: nsMax)
    while let line = readLine() {
      guard let ns = UInt64(line) else { fatalError("not a count of nanoseconds: \(line)") }
      histogram.record(min(ns, nsMax))
    }
    func us(_ percentile: Double) -> Double { Double(histogram.valueAtPercentile(percentile) / 100) / 10 }
    print(
      """
      {"count":\(histogram.totalCount),"p50_us":\(us(50)),"p90_us":\(us(90)),"p99_us":\(us(99)),"p999_us":\(us(99.9)),"max_us":\(us(100))}
      """)
  }
}
