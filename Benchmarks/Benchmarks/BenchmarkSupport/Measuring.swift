// One way to measure for all suites: wall clock, CPU, throughput, and heap allocations per operation. The last must be 0 on a hot
// path; it is counted exactly, on the measuring thread.
internal import AllocationCounter
public import Benchmark
internal import Glibc

public let allocationMetric = BenchmarkMetric.custom("Allocations", polarity: .prefersSmaller, useScalingFactor: true)

/// Of the measuring thread, in nanoseconds: the library's own CPU metric counts in steps of 10 ms.
public let cpuMetric = BenchmarkMetric.custom("CPU (ns)", polarity: .prefersSmaller, useScalingFactor: true)

/// Thousand operations are one iteration: a single one is too short for a clock.
public let operationsPerIteration = 1_000

/// Registers a benchmark of `operation`, which is called with the numbers 0..<1000 in each iteration.
/// - Parameter setUp: makes what the operation works on; not measured.
public func measure<Subject>(
  _ name: String, setUp: @escaping @Sendable () throws -> Subject,
  operations: @escaping @Sendable (inout Subject, _ count: Int) throws -> Void
) {
  Benchmark(
    name,
    configuration: .init(
      metrics: [.wallClock, cpuMetric, .throughput, allocationMetric], warmupIterations: 3, scalingFactor: .kilo,
      maxDuration: .seconds(2), maxIterations: 10_000)
  ) { benchmark in
    var subject = try setUp()
    try operations(&subject, operationsPerIteration)
    benchmark.startMeasurement()
    let (countBefore, cpuBefore) = (allocation_count(), threadCPUNs())
    try operations(&subject, operationsPerIteration)
    let (countAfter, cpuAfter) = (allocation_count(), threadCPUNs())
    benchmark.stopMeasurement()
    benchmark.measurement(cpuMetric, cpuAfter - cpuBefore)
    benchmark.measurement(allocationMetric, Int(countAfter - countBefore))
  }
}

private func threadCPUNs() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}
