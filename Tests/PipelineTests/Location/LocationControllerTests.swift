// The whole no-op pipeline against the embedded broker: consume, decode, schedule, worker, complete, commit.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite struct LocationControllerTests {
  @Test func everyEntryEndsAndEveryOffsetIsCommitted() throws {
    let bench = try LocationBench()
    let values = (0..<3_000).map { entryText("key\($0)") } + ["garbage", #"{"canary":true}"#, entryText("other", site: "west")]
    try bench.produce(values)
    #expect(bench.location.counters.taken == 0, "nothing is taken before the desired state is known")
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.finished == UInt64(values.count) }, "\(bench.location.counters)")
    #expect(bench.location.counters.done == 3_000)
    #expect(bench.location.counters.deadLettered == 1)
    #expect(bench.location.counters.skipped == 2)
    #expect(bench.runUntil { bench.isAllCommitted() })
    bench.end()
  }

  @Test(arguments: PauseMode.allCases) func aPausedLocationTakesNothingAndResumesWithoutRepeating(mode: PauseMode) throws {
    let bench = try LocationBench(mode: mode)
    try bench.produce((0..<500).map { entryText("a\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done >= 200 })
    bench.paused(true, version: 1)
    #expect(bench.runUntil { bench.location.effective == .disabled })
    #expect(bench.location.inFlightCount == 0)
    let taken = bench.location.counters.taken
    try bench.produce((0..<500).map { entryText("b\($0)") })
    for _ in 0..<20 { bench.reactor.runOnce(waitMax: .milliseconds(10)) }
    #expect(bench.location.counters.taken == taken)
    bench.paused(false, version: 2)
    #expect(bench.runUntil { bench.location.counters.done >= 1_000 })
    for _ in 0..<20 { bench.reactor.runOnce(waitMax: .milliseconds(10)) }
    #expect(bench.location.counters.done == 1_000, "an entry was repeated")
    bench.end()
  }

  /// The gate closes with the announcement; without a stored pause it opens again by itself.
  @Test func anAnnouncedPauseHoldsBackUntilTheStateIsKnown() throws {
    let bench = try LocationBench()
    try bench.produce([entryText("a")])
    bench.paused(false, version: 1)
    #expect(bench.runUntil { bench.location.counters.done == 1 })
    bench.location.pauseAnnounced()
    #expect(bench.location.effective == .enabled, "it is no pause yet")
    try bench.produce([entryText("b")])
    bench.spin(100)
    #expect(bench.location.counters.taken == 1)
    bench.paused(false, version: 2)
    #expect(bench.runUntil { bench.location.counters.done == 2 }, "resumed in the meantime")
    bench.location.pauseAnnounced()
    try bench.produce([entryText("c")])
    #expect(bench.runUntil { bench.location.counters.done == 3 }, "a false alarm")
    bench.end()
  }

  @Test func aHotKeyHoldsItsPartitionBackAndStillFinishes() throws {
    let bench = try LocationBench(partitions: 1, limits: .init(concurrency: 4, waitingMax: 4, keyWaitingMax: 1))
    try bench.produce((0..<400).map { entryText($0 % 4 == 0 ? "cold\($0)" : "hot") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.finished == 400 }, "\(bench.location.counters)")
    bench.end()
  }

  /// A key that stands still fills its cap and pauses its partition; the entries of the others go by.
  @Test func aKeyThatStandsStillPausesItsPartitionAlone() throws {
    let gate = Gate()
    let bench = try LocationBench(
      partitions: 2, limits: .init(concurrency: 4, waitingMax: 8, keyWaitingMax: 3), work: gate.work)
    let hot = (0..<50).map { (key: [UInt8]?.none, value: Array(entryText("slow", version: "\($0)").utf8), partition: Partition(0)) }
    let others = (0..<300).map { (key: [UInt8]?.none, value: Array(entryText("other\($0)").utf8), partition: Partition(1)) }
    try bench.produce((hot + others).map { ($0.key, $0.value, $0.partition) })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 300 && bench.location.inFlightCount == 4 }, "\(bench.location.counters)")
    // One runs, three wait.
    gate.open()
    #expect(bench.runUntil { bench.location.counters.finished == 350 }, "\(bench.location.counters)")
    #expect(bench.runUntil { bench.isAllCommitted() })
    bench.end()
  }

  /// However long the interval: what a kill would repeat stays small.
  @Test func whatIsCancelledInTheTurnItWasHandedOverEndsEarly() throws {
    let gate = Gate()
    let bench = try LocationBench(partitions: 1, work: gate.work)
    try bench.produce([entryText("slow/one")])
    bench.paused(false, version: 0)
    // Timers run after the turn in which entries are taken, and before the one in which they leave for the workers.
    let isTaken = bench.runUntil {
      bench.reactor.schedule(after: .zero) { _ in
        if bench.location.counters.taken == 1 { bench.location.cancelRunning { _ in true } }
      }
      return bench.location.counters.taken == 1
    }
    #expect(isTaken)
    #expect(bench.runUntil { bench.location.counters.abandoned == 1 })
    bench.end()
  }

  @Test func aSlotfulOfFinishedEntriesIsCommittedBeforeTheIntervalIsOver() throws {
    let bench = try LocationBench(limits: .init(concurrency: 4, waitingMax: 4)) { $0.commitInterval = .seconds(3_600) }
    try bench.produce((0..<500).map { entryText("key\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 500 })
    #expect(bench.runUntil { bench.survey().map(\.lag).reduce(0, +) < 8 })
    bench.end()
  }

  @Test func aLocationThatStartsPausedNeverTakesAnything() throws {
    let bench = try LocationBench(mode: .unsubscribe)
    try bench.produce([entryText("a")])
    bench.paused(true, version: 0)
    for _ in 0..<20 { bench.reactor.runOnce(waitMax: .milliseconds(10)) }
    #expect(bench.location.effective == .disabled)
    #expect(bench.location.counters.taken == 0)
    bench.end()
  }
}
