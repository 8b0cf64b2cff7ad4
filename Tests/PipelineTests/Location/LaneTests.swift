// Tasks that do one entry after the other.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite struct LaneTests {
  /// What ran the entries: a mark for each task, and whether it came already cancelled.
  private final class Marks: Sendable {
    let value = Lock<(tasks: [Int], cancelledAtStart: Int)>(([], 0))

    var work: WorkerLocation { .east { MarkingReplicator(marks: self) } }
  }

  private final class MarkingReplicator: EntryReplicator {
    private let marks: Marks
    init(marks: Marks) { self.marks = marks }

    func replicate(_ entry: ReplicationEntry) async -> WorkResult {
      let mark = withUnsafeCurrentTask { $0?.hashValue ?? 0 }
      let isCancelled = Task.isCancelled
      marks.value.withLock { marks in
        marks.tasks.append(mark)
        if isCancelled { marks.cancelledAtStart += 1 }
      }
      await Reactor.current?.pause(for: entry.key.hasPrefix("slow") ? .seconds(3_600) : .milliseconds(1))
      return WorkResult(Task.isCancelled ? .abandoned : .done(bytes: 1))
    }
  }

  @Test func aTaskThatIsDoneTakesTheNextEntry() throws {
    let marks = Marks()
    let bench = try LocationBench(limits: .init(concurrency: 3, waitingMax: 3), work: marks.work, workers: 1)
    try bench.produce((0..<60).map { entryText("key\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 60 }, "\(bench.location.counters)")
    let tasks = marks.value.withLock { $0.tasks }
    #expect(tasks.count == 60 && Set(tasks).count <= 3, "\(Set(tasks).count) tasks")
    bench.end()
  }

  @Test func aTaskThatWasCancelledTakesNoOther() throws {
    let marks = Marks()
    let bench = try LocationBench(limits: .init(concurrency: 2, waitingMax: 2), work: marks.work, workers: 1)
    bench.paused(false, version: 0)
    for round in 1...3 {
      try bench.produce([entryText("slow\(round)")])
      #expect(bench.runUntil { marks.value.withLock { $0.tasks.count } == 11 * round - 10 })
      bench.location.cancelRunning { _ in true }
      #expect(bench.runUntil { bench.location.counters.abandoned == UInt64(round) })
      try bench.produce((0..<10).map { entryText("key\(round)-\($0)") })
      #expect(bench.runUntil { bench.location.counters.done == 10 * UInt64(round) }, "\(bench.location.counters)")
    }
    #expect(marks.value.withLock { $0.cancelledAtStart } == 0)
    bench.end()
  }
}
