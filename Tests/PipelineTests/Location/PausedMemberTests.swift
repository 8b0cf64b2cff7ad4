// A paused location as a member of a real group, far longer than the group lets a member be silent.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct PausedMemberTests {
  /// Both modes side by side, three times as long as `max.poll.interval.ms`: neither is expelled, neither takes anything,
  /// and both go on with exactly the first entry that had not been done.
  @Test func aPauseOfThreePollIntervalsExpelsNobodyAndResumesAtTheRightEntry() throws {
    let pollMs = 4_000  // the mock's first join takes 3 s, and sessions must not be longer than this
    let user = ["max.poll.interval.ms": "\(pollMs)", "session.timeout.ms": "\(pollMs)", "heartbeat.interval.ms": "200"]
    let hold = try LocationBench(mode: .hold, joins: true, user: user)
    let leave = try LocationBench(mode: .unsubscribe, joins: true, user: user)
    let benches = [hold, leave]
    func until(_ condition: (LocationBench) -> Bool) -> Bool {
      hold.reactor.runUntil(within: .seconds(60)) {
        leave.reactor.runOnce(waitMax: .zero)
        return condition(hold) && condition(leave)
      }
    }
    for bench in benches {
      try bench.produce((0..<3_000).map { entryText("a\($0)") })
      bench.paused(false, version: 0)
    }
    for bench in benches {
      #expect(until { $0 !== bench || $0.location.counters.done > 500 })
      bench.paused(true, version: 1)
    }
    #expect(until { $0.location.effective == .disabled })
    for bench in benches { bench.location.allNodesDrained() }
    let taken = benches.map(\.location.counters.taken)
    let end = Instant.nowUncached() + .milliseconds(3 * pollMs + 1_000)
    #expect(until { _ in Instant.nowUncached() > end })
    #expect(benches.map(\.location.counters.taken) == taken)
    // The one that held its assignment has it still, and has heard of no revocation.
    #expect(hold.location.hasAssignment && hold.location.consumer.statistics.assignments == 1)
    #expect(hold.location.revokes == RevokeCounters())
    for bench in benches {
      #expect(!bench.lines.contain("maxPollExceeded") && !bench.lines.contain("MAXPOLL"), "\(bench.lines.all)")
      try bench.produce((0..<500).map { entryText("b\($0)") })
      bench.paused(false, version: 2)
    }
    #expect(until { $0.location.counters.done >= 3_500 }, "\(benches.map(\.location.counters))")
    let settled = Instant.nowUncached() + .milliseconds(500)
    _ = until { _ in Instant.nowUncached() > settled }
    #expect(benches.map(\.location.counters.done) == [3_500, 3_500], "skipped or repeated")
    #expect(hold.location.consumer.statistics.assignments == 1, "a held location resumes without joining")
    #expect(leave.location.consumer.statistics.assignments == 2)
    for bench in benches {
      #expect(bench.location.consumer.statistics.repeats == 0)
      #expect(bench.runUntil { bench.isAllCommitted() })
      bench.end()
    }
  }
}
