// Entries that stand by, and workers that take them without asking.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite struct StandbyTests {
  /// How many ran at a time, and in which order those of one key began.
  private final class Watch: Sendable {
    let value = Lock<(running: Int, runningMax: Int, begun: [String])>((0, 0, []))

    var work: WorkerLocation { .east { WatchedReplicator(watch: self) } }
  }

  private final class WatchedReplicator: EntryReplicator {
    private let watch: Watch
    private var count = 0
    init(watch: Watch) { self.watch = watch }

    func replicate(_ entry: ReplicationEntry) async -> WorkResult {
      watch.value.withLock { value in
        value.running += 1
        value.runningMax = max(value.runningMax, value.running)
        value.begun.append("\(entry.key) \(entry.versionId ?? "")")
      }
      count += 1
      // Every third ends in the turn it began in.
      if count % 3 != 0 { await Reactor.current?.pause(for: .milliseconds(count % 2 + 1)) }
      watch.value.withLock { $0.running -= 1 }
      return WorkResult(Task.isCancelled ? .abandoned : .done(bytes: 1))
    }
  }

  @Test func aWorkerGoesOnWhileTheReactorIsBusyElsewhere() throws {
    let gate = Gate()
    let bench = try LocationBench(limits: .init(concurrency: 2, waitingMax: 6), work: gate.work, workers: 1)
    bench.paused(false, version: 0)
    try bench.produce((0..<8).map { entryText("slow\($0)") })
    #expect(bench.runUntil { bench.location.inFlightCount == 8 && gate.started.count == 2 })
    #expect(bench.location.runningCount == 2 && bench.location.queuedCount == 6)
    gate.open()
    #expect(eventually(within: .seconds(30)) { gate.started.count == 8 }, "\(gate.started)")
    // Nobody has been told.
    #expect(bench.location.counters.done == 0 && bench.location.inFlightCount == 8)
    #expect(bench.runUntil { bench.location.counters.done == 8 && bench.isAllCommitted() })
    #expect(bench.location.runningCount == 0 && bench.location.inFlightCount == 0)
    bench.end()
  }

  @Test(arguments: [1, 2, 3])
  func neverMoreRunThanMayAndEachKeyInOrder(workers: Int) throws {
    let watch = Watch()
    let bench = try LocationBench(
      partitions: 1, limits: .init(concurrency: 3, waitingMax: 5), work: watch.work, workers: workers)
    bench.paused(false, version: 0)
    try bench.produce((0..<400).map { (nil, Array(entryText("k\($0 * 7 % 23)", version: "v\(1_000 + $0)").utf8), Partition(0)) })
    #expect(bench.runUntil { bench.location.counters.done == 400 }, "\(bench.location.counters)")
    let value = watch.value.withLock { $0 }
    #expect(value.runningMax <= 3 && value.running == 0 && value.begun.count == 400)
    for key in 0..<23 {
      let versions = value.begun.filter { $0.hasPrefix("k\(key) ") }
      #expect(versions == versions.sorted())
    }
    bench.end()
  }

  @Test func whatStandsByAtARevokeIsGivenBackUnbegun() throws {
    let gate = Gate()
    let bench = try LocationBench(partitions: 1, limits: .init(concurrency: 2, waitingMax: 6), work: gate.work, workers: 1)
    bench.paused(false, version: 0)
    try bench.produce((0..<8).map { (nil, Array(entryText("slow\($0)").utf8), Partition(0)) })
    #expect(bench.runUntil { bench.location.inFlightCount == 8 && gate.started.count == 2 })
    bench.location.dropTail()
    #expect(bench.location.inFlightCount == 2 && bench.location.queuedCount == 0)
    gate.open()
    #expect(bench.runUntil { bench.location.counters.done == 2 && bench.location.inFlightCount == 0 })
    #expect(gate.started == ["slow0", "slow1"])
    bench.end()
  }

  @Test func whatBeganUnheardOfIsCancelledAndTheRestIsNot() throws {
    let gate = Gate()
    let bench = try LocationBench(partitions: 1, limits: .init(concurrency: 1, waitingMax: 6), work: gate.work, workers: 1)
    try bench.produce(["first", "slow1", "slow2", "slow3"].map { (nil, Array(entryText($0).utf8), Partition(0)) })
    bench.paused(false, version: 0)
    // All are taken in one turn, and the worker has ended the first and begun the second before anybody looks again.
    #expect(bench.runUntil { bench.location.inFlightCount > 0 })
    #expect(bench.runUntil { bench.location.counters.taken == 4 })
    #expect(eventually(within: .seconds(30)) { gate.started.count == 2 }, "\(gate.started)")
    bench.location.cancelRunning { _ in true }
    #expect(bench.runUntil { bench.location.inFlightCount == 0 })
    let counters = bench.location.counters
    #expect(counters.done == 1 && counters.abandoned == 1 && gate.started == ["first", "slow1"], "\(counters)")
    bench.end()
  }

  @Test func anEndIsToldThoughAllOthersLast() throws {
    let gate = Gate()
    let bench = try LocationBench(partitions: 1, limits: .init(concurrency: 2, waitingMax: 12), work: gate.work, workers: 1)
    try bench.produce((["slow0", "quick"] + (1..<12).map { "slow\($0)" }).map { (nil, Array(entryText($0).utf8), Partition(0)) })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 1 && gate.started.count == 3 }, "\(gate.started)")
    #expect(bench.location.runningCount == 2)
    gate.open()
    #expect(bench.runUntil { bench.location.counters.done == 13 && bench.isAllCommitted() })
    bench.end()
  }

  @Test func withoutWaitingEntriesNothingStandsBy() throws {
    let watch = Watch()
    let bench = try LocationBench(limits: .init(concurrency: 2, waitingMax: 0), work: watch.work, workers: 2)
    #expect(bench.location.standby == nil)
    bench.paused(false, version: 0)
    try bench.produce((0..<40).map { entryText("k\($0)") })
    #expect(bench.runUntil { bench.location.counters.done == 40 })
    #expect(watch.value.withLock { $0.runningMax } <= 2)
    bench.end()
  }
}
