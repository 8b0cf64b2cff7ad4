// Entries whose task has ended, and whose status the broker has not acknowledged yet: they take no place of others, up to a bound.
import PipelineCore
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct AcknowledgingTests {
  private static let limits = KeyedScheduler.Limits(concurrency: 2, waitingMax: 0)
  /// Statuses wait for each other for so long before they are sent.
  private static let linger = ["linger.ms": "3000"]

  private func bench(_ entries: Int) throws -> LocationBench {
    let work = WorkerLocation(site: "east", kind: Gate().work.kind, statusTopic: "status")
    let bench = try LocationBench(limits: Self.limits, user: Self.linger, work: work)
    try bench.produce((0..<entries).map { entryText("k\($0)") })
    bench.paused(false, version: 0)
    return bench
  }

  @Test func fewSlotsDoNotWaitForTheBroker() throws {
    let bench = try bench(40)
    #expect(bench.runUntil { bench.location.counters.done == 40 })
    // All of them within one linger: none was acknowledged.
    #expect(bench.location.acknowledgingCount == 40 && bench.outbox.count == 40)
    #expect(bench.location.runningCount == 0 && bench.location.inFlightCount == 40)
    #expect(bench.runUntil { bench.isAllCommitted() })
    #expect(bench.location.acknowledgingCount == 0 && bench.location.inFlightCount == 0)
    bench.end()
  }

  @Test func whatIsNotAcknowledgedIsBounded() throws {
    let count = LocationOptions.acknowledgingExtra + 100
    let bench = try bench(count)
    #expect(bench.runUntil { bench.location.counters.done >= UInt64(LocationOptions.acknowledgingExtra) })
    bench.spin(200)
    #expect(bench.location.inFlightCount <= LocationOptions.acknowledgingExtra + Self.limits.taskMax)
    #expect(bench.location.counters.done < UInt64(count))
    #expect(bench.runUntil { bench.location.counters.done == UInt64(count) && bench.isAllCommitted() })
    bench.end()
  }

  @Test func aPauseWaitsForThem() throws {
    let bench = try bench(10)
    #expect(bench.runUntil { bench.location.counters.done == 10 })
    bench.paused(true, version: 1)
    #expect(bench.location.effective == .pausing)
    #expect(bench.runUntil { bench.location.effective == .disabled })
    #expect(bench.location.acknowledgingCount == 0 && bench.isAllCommitted())
    bench.end()
  }
}
