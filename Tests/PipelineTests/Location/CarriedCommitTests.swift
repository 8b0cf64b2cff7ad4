// Commits that a broker refuses while its group assembles: what was finished is neither repeated nor called paused too early.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct CarriedCommitTests {
  /// The mock's first join takes 3 s, and expels shorter sessions meanwhile.
  private static let user = ["session.timeout.ms": "4500", "heartbeat.interval.ms": "200"]

  /// All done, nothing committed, and the group assembles anew.
  private func benchInARebalance(_ mode: PauseMode) throws -> LocationBench {
    let bench = try LocationBench(mode: mode, joins: true, user: Self.user)
    bench.broker.failNext(.offsetCommit, with: Array(repeating: .rebalanceInProgress, count: 200))
    try bench.produce((0..<500).map { entryText("a\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 500 })
    bench.broker.failNext(.heartbeat, with: [.rebalanceInProgress])
    #expect(bench.runUntil { !bench.location.hasAssignment }, "\(bench.lines.all)")
    return bench
  }

  @Test func partitionsThatComeBackGoOnWhereTheyWere() throws {
    let bench = try benchInARebalance(.hold)
    #expect(bench.survey().allSatisfy { $0.committed == nil })
    #expect(bench.runUntil { bench.location.consumer.statistics.assignments == 2 })
    bench.broker.clearFailures(of: .offsetCommit)
    try bench.produce((0..<100).map { entryText("b\($0)") })
    #expect(bench.runUntil { bench.location.counters.done >= 600 })
    #expect(bench.runUntil { bench.isAllCommitted() })
    #expect(bench.location.counters.done == 600, "something was repeated")
    bench.end()
  }

  /// A pause in the middle of it is in effect when the offsets are committed, so that whoever goes on repeats nothing.
  @Test(arguments: PauseMode.allCases) func aPauseWaitsForTheEndOfTheRebalance(_ mode: PauseMode) throws {
    let bench = try benchInARebalance(mode)
    bench.paused(true, version: 1)
    #expect(bench.runUntil { bench.location.consumer.statistics.assignments == 2 || bench.location.effective == .disabled })
    #expect(bench.location.effective == .pausing)
    bench.broker.clearFailures(of: .offsetCommit)
    #expect(bench.runUntil { bench.location.effective == .disabled })
    #expect(bench.isAllCommitted(), "\(bench.survey()) \(bench.lines.all)")
    bench.end()
  }

  /// The group has assembled once without this member, whose answer was lost on the way: others may have had the partitions.
  @Test func whoMissedAnAssemblyStartsFromWhatIsCommitted() throws {
    let bench = try LocationBench(proxied: true, joins: true, user: Self.user)
    bench.broker.failNext(.offsetCommit, with: Array(repeating: .rebalanceInProgress, count: 200))
    try bench.produce((0..<500).map { entryText("a\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 500 })
    bench.proxy?.loseNext(EmbeddedBroker.Request.syncGroup.rawValue, .cut)
    bench.broker.failNext(.heartbeat, with: [.rebalanceInProgress])
    #expect(bench.runUntil { bench.location.consumer.statistics.assignments == 2 }, "\(bench.lines.all)")
    bench.broker.clearFailures(of: .offsetCommit)
    #expect(bench.runUntil { bench.location.counters.done == 1_000 }, "\(bench.location.counters)")
    #expect(bench.runUntil { bench.isAllCommitted() })
    #expect(!bench.lines.contain("go on where they were"))
    bench.end()
  }

  @Test func aPlaceInTheGroupFollowsAnotherOnlyIfNoneWasBetween() {
    let place = GroupPlace(memberId: "a", generation: 7)
    #expect(GroupPlace(memberId: "a", generation: 8).isNext(after: place))
    for other in [GroupPlace(memberId: "a", generation: 9), .init(memberId: "a", generation: 7), .init(memberId: "b", generation: 8)] {
      #expect(!other.isNext(after: place), "\(other)")
    }
    func read(_ text: String) -> GroupPlace? { Array(text.utf8).withUnsafeBytes { GroupPlace(serialized: $0) } }
    #expect(read("CGMDv2:\u{8}\0\0\0group\0a\0\u{1}") == GroupPlace(memberId: "a", generation: 8))
    for text in ["", "CGMDv2:", "CGMDv2:\0\0\0\0", "CGMDv2:\0\0\0\0group", "CGMDv3:\0\0\0\0group\0a\0\u{1}"] { #expect(read(text) == nil, "\(text)") }
  }

  /// Expelled and let in again under another name: others may have had the partitions, the broker knows best.
  @Test func whoWasExpelledStartsFromWhatIsCommitted() throws {
    let bench = try LocationBench(joins: true, user: Self.user)
    bench.broker.failNext(.offsetCommit, with: Array(repeating: .rebalanceInProgress, count: 200))
    try bench.produce((0..<500).map { entryText("a\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 500 })
    bench.broker.failNext(.heartbeat, with: [.init(rawValue: 25)])  // UNKNOWN_MEMBER_ID
    #expect(bench.runUntil { bench.location.consumer.statistics.assignments == 2 }, "\(bench.lines.all)")
    bench.broker.clearFailures(of: .offsetCommit)
    #expect(bench.runUntil { bench.location.counters.done == 1_000 }, "\(bench.location.counters)")
    #expect(bench.runUntil { bench.isAllCommitted() })
    bench.end()
  }
}
