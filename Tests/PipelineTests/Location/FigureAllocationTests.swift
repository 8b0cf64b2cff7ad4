// What is counted for every entry and every delivery allocates nothing once warm. True of optimised code, so release builds are
// judged (`DOWNBEAT_TEST_RELEASE=1 scripts/test`); in a debug build it merely runs.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite struct FigureAllocationTests {
  private static let partitions: Int32 = 102

  @Test func figuresOfAPartitionCostAnEntryNoAllocation() {
    var figures = PartitionFigures()
    var now = Instant.nowUncached()
    func round() {
      for partition in 0..<Self.partitions {
        now.ns += 1
        figures.took(partition, timestampMs: 1_900_000_000_000, at: now)
        figures.ended(partition, ns: Int64(partition) * 100_000_000, isFailure: partition % 7 == 0)
      }
    }
    round()
    let count = allocations { for _ in 0..<1_000 { round() } }
    #expect(count ?? 0 == 0)
    var seen = 0
    figures.visit { partition, row in
      seen += 1
      let times = partition % 7 == 0 ? row.times.failed : row.times.ended
      #expect(times.counts.reduce(0, +) == 1_001 && row.messageTimestampMs == 1_900_000_000_000)
    }
    #expect(seen == Int(Self.partitions))
  }

  @Test func aDeliveryReportCostsNoAllocation() {
    var deliveries = Deliveries()
    let topics = ["backbeat-replication-status", "backbeat-replication-failed", "backbeat-metrics"]
    let now = Instant.nowUncached()
    func round() {
      for topic in topics { for partition in 0..<Self.partitions { deliveries.note(topic, partition, at: now) } }
      deliveries.noteFailure()
    }
    round()
    let count = allocations { for _ in 0..<1_000 { round() } }
    #expect(count ?? 0 == 0)
    #expect(deliveries.topics.map(\.name) == topics && deliveries.topics.allSatisfy { $0.latest.count == Int(Self.partitions) })
    #expect(deliveries.succeeded == 1_001 * 3 * UInt64(Self.partitions) && deliveries.failed == 1_001)
  }

  @Test func onlyPartitionsThatWereUsedAreShown() {
    var figures = PartitionFigures()
    figures.took(5, timestampMs: nil, at: .nowUncached())
    var seen: [Int32] = []
    figures.visit { partition, row in
      seen.append(partition)
      #expect(row.messageTimestampMs == nil && row.times.ended.isEmpty && row.times.failed.isEmpty)
    }
    #expect(seen == [5])
    var deliveries = Deliveries()
    deliveries.note("t", 3, at: .nowUncached())
    #expect(deliveries.topics[0].latest.map { $0 != nil } == [false, false, false, true])
  }
}
