// A member whose static name another process has taken: librdkafka is dead for good then, and the location says so and can still end.
import PipelineCore
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct FencedMemberTests {
  @Test func aFencedMemberSaysThatItCannotGoOnAndStops() throws {
    let bench = try LocationBench(joins: true, user: ["session.timeout.ms": "4500", "heartbeat.interval.ms": "200"])
    try bench.produce((0..<20).map { entryText("k\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 20 && bench.isAllCommitted() })
    #expect(bench.deaths == [])
    bench.broker.failNext(.heartbeat, with: [.fencedInstance])
    #expect(bench.runUntil { !bench.deaths.isEmpty }, "\(bench.lines.all)")
    #expect(bench.deaths.first?.isFenced == true && bench.deaths.first?.isFatal == true, "\(bench.deaths)")
    // Told as a loss, so that what runs is not committed over somebody else's work.
    #expect(bench.runUntil { bench.location.revokes.lost == 1 })
    bench.end()
  }
}
