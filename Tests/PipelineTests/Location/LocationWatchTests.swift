// What should move and does not, against the embedded broker: stuck tasks, a backlog nobody fetches, forgotten offsets.
import CRdkafka
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct LocationWatchTests {
  @Test func aTaskThatRunsTooLongIsNamedUntilItEnds() throws {
    let gate = Gate()
    let bench = try LocationBench(partitions: 1, work: gate.work) { $0.stuckAfter = .milliseconds(200) }
    try bench.produce([entryText("quick"), entryText("slow/one", version: "v1"), entryText("slow/two")])
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.stuckTasks.count == 2 }, "\(bench.location.stuckTasks)")
    let stuck = try #require(bench.location.stuckTasks.first { $0.key == "slow/one" })
    #expect(stuck.bucket == "photos" && stuck.versionId == "v1" && stuck.partition == Partition(0) && stuck.offset == Offset(1))
    let agoMs = WallClock.nowMs() - stuck.startedAtMs
    #expect((200...60_000).contains(agoMs), "\(agoMs)")
    #expect(bench.lines.contain("a task runs too long", "key=slow/one", "offset=1"), "\(bench.lines.all)")
    bench.spin(300)
    #expect(bench.lines.all.count { $0.contains("a task runs too long") && $0.contains("key=slow/one") } == 1, "said once")
    gate.open()
    #expect(bench.runUntil { bench.location.stuckTasks.isEmpty && bench.location.counters.done == 3 })
    bench.end()
  }

  @Test func aBacklogThatIsNotFetchedMakesTheLocationUnreadyUntilItIs() throws {
    let bench = try LocationBench(partitions: 1) { $0.fetchStallAfter = .milliseconds(400) }
    try bench.produce([entryText("first")])
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 1 })
    bench.spin(1_000)
    #expect(bench.isLocationReady, "nothing to fetch is no stall")
    // The broker answers everything but fetches; heartbeats and commits are fine.
    bench.broker.failNext(.fetch, with: Array(repeating: .notLeader, count: 10_000))
    bench.spin(200)
    try bench.produce([entryText("second")])
    #expect(
      bench.runUntil { !bench.isLocationReady }, "\(bench.location.counters) \(bench.survey()) \(bench.lines.all.suffix(20))")
    #expect(bench.location.isFetchStalled)
    #expect(bench.lines.contain("given nothing", "topic=entries"), "\(bench.lines.all)")
    bench.broker.clearFailures(of: .fetch)
    #expect(bench.runUntil { bench.location.counters.done == 2 && bench.isLocationReady })
    bench.end()
  }

  /// Whatever the reason: here the partition's messages no longer come to the queue that is read.
  @Test func whatIsNotGivenIsAssignedAgain() throws {
    let bench = try LocationBench(partitions: 2) { $0.fetchStallAfter = .milliseconds(400) }
    try bench.produce((0..<20).map { entryText("a\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 20 && bench.isAllCommitted() })
    let consumer: Consumer = bench.location.consumer
    for partition in Int32(0)..<2 {
      let queue = rd_kafka_queue_get_partition(consumer.handle.raw, "entries", partition)
      rd_kafka_queue_forward(queue, nil)
      rd_kafka_queue_destroy(queue)
    }
    try bench.produce((0..<20).map { entryText("b\($0)") })
    #expect(bench.runUntil { bench.location.counters.done == 40 }, "\(bench.location.counters) \(bench.lines.all.suffix(20))")
    #expect(bench.lines.contain("assigning them again", "topic=entries"), "\(bench.lines.all)")
    bench.spin(200)
    #expect(bench.location.counters.taken == 40 && bench.isLocationReady, "nothing is repeated")
    bench.end()
  }

  @Test func aLocationThatIsFullIsNoStall() throws {
    let gate = Gate()
    let bench = try LocationBench(partitions: 1, limits: .init(concurrency: 2, waitingMax: 0), work: gate.work) {
      $0.fetchStallAfter = .milliseconds(300)
    }
    try bench.produce((0..<20).map { entryText("slow\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.runningCount == 2 })
    bench.spin(1_500)
    #expect(bench.isLocationReady)
    gate.open()
    #expect(bench.runUntil { bench.location.counters.done == 20 })
    bench.end()
  }

  /// The broker forgets the offsets of an empty group after a week.
  @Test func aLocationThatHasLeftItsGroupRenewsItsOffsets() throws {
    let bench = try LocationBench(mode: .unsubscribe, partitions: 2) { $0.recommitInterval = .milliseconds(150) }
    try bench.produce((0..<40).map { entryText("a\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 40 })
    #expect(bench.location.recommits == 0, "not while it consumes")
    bench.paused(true, version: 1)
    #expect(bench.runUntil { bench.location.effective == .disabled })
    bench.location.allNodesDrained()
    let before = bench.survey()
    #expect(bench.runUntil { bench.location.recommits >= 2 })
    #expect(bench.survey() == before)
    bench.end()
  }

  @Test func librdkafkasFiguresAreKept() throws {
    let bench = try LocationBench(partitions: 4) { $0.consumer.statisticsInterval = .milliseconds(1_000) }
    try bench.produce((0..<200).map { entryText("a\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { (bench.location.kafkaFigures?.messagesReceived ?? 0) >= 200 })
    let figures = try #require(bench.location.kafkaFigures)
    #expect(figures.brokersUp >= 1 && figures.requestsSent > 0 && figures.bytesReceived > 200 * 300)
    #expect(bench.runUntil { bench.location.kafkaFigures?.lag == 0 })
    bench.end()
  }
}
