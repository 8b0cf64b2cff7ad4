// The ledger against the upstream rows (backbeat-behaviour section 13, rows 56-63), against a naive model under random
// completion orders, and at the widths it promises.

import TestSupport
import Testing

@testable import PipelineCore

/// The rules of backbeat's ledger in the most literal way, with runs so that dropped deliveries finish nothing.
private struct NaiveLedger {
  var inProcess: [(offset: Int64, run: Int)] = []
  var latest: Int64?
  var runs = 0

  mutating func begin(_ offset: Int64) -> Int {
    if let latest, offset != latest + 1 { inProcess.removeAll { $0.offset >= offset } }
    runs += 1
    inProcess.append((offset, runs))
    latest = offset
    return runs
  }

  mutating func finish(_ run: Int) -> Bool {
    guard let index = inProcess.firstIndex(where: { $0.run == run }) else { return false }
    inProcess.remove(at: index)
    return true
  }

  var committable: Int64? { inProcess.map(\.offset).min() ?? latest.map { $0 + 1 } }
}

/// Drives a ledger by offset, as the upstream rows do.
private struct ByOffset {
  var ledger = OffsetLedger()
  var handles: [Int64: OffsetLedger.Handle] = [:]

  mutating func begin(_ offset: Int64) { handles[offset] = ledger.begin(Offset(offset)) }
  mutating func begin(_ offsets: ClosedRange<Int64>) { for offset in offsets { begin(offset) } }
  mutating func finish(_ offset: Int64) -> Int64? {
    if let handle = handles[offset] { ledger.finish(handle) }
    return ledger.committable?.value
  }
}

@Test func aNewLedgerCommitsNothing() {
  let ledger = OffsetLedger()
  #expect(ledger.committable == nil)
  #expect(ledger.inFlightCount == 0)
  #expect(ledger.latestConsumed == nil)
}

@Test func oneEntryIsCommittableAtItselfThenBehindItself() {
  var row = ByOffset()
  row.begin(42)
  #expect(row.ledger.committable == Offset(42))
  expectEqual(row.finish(42), 43)
}

@Test func aLaterEntryFinishedFirstHoldsTheCommitBack() {
  var row = ByOffset()
  row.begin(42...43)
  expectEqual(row.finish(43), 42)
  expectEqual(row.finish(42), 44)
}

@Test func tenEntriesFinishedOutOfOrderCommitTheLowestUnfinished() {
  var row = ByOffset()
  row.begin(42...51)
  let committed = [46, 49, 50, 42, 51, 44, 48, 47, 43, 45].map { row.finish($0) }
  #expect(committed == [42, 42, 42, 43, 43, 43, 43, 43, 45, 52])
}

@Test func deliveriesInterleavedWithCompletionsCommitTheLowestUnfinished() {
  var row = ByOffset()
  row.begin(42...51)
  var committed: [Int64?] = []
  for (index, offset) in [44, 50, 46, 53, 45, 42, 51, 57, 49, 56, 47, 43, 55, 61, 59, 54, 48, 60, 52, 58].enumerated() {
    if index < 10 { row.begin(52 + Int64(index)) }
    committed.append(row.finish(Int64(offset)))
  }
  // The upstream row in groups: 42 five times, 43 six, 48 five, 52 twice, 58, 62.
  let expected: [Int64] = [42, 42, 42, 42, 42, 43, 43, 43, 43, 43, 43, 48, 48, 48, 48, 48, 52, 52, 58, 62]
  #expect(committed == expected)
}

@Test func aRedeliveryForgetsEverythingFromThatOffsetOn() {
  var row = ByOffset()
  row.begin(42...51)
  expectEqual([46, 44, 50, 42, 51].map { row.finish($0) }, [42, 42, 42, 43, 43])
  var committed: [Int64?] = []
  for (index, offset) in [49, 43, 45, 47, 48].enumerated() {
    row.begin(47 + Int64(index))
    committed.append(row.finish(Int64(offset)))
  }
  #expect(committed == [43, 45, 47, 48, 49])
}

@Test func aHandleOfADroppedRunFinishesNothing() throws {
  var ledger = OffsetLedger()
  let first = try unwrap(ledger.begin(Offset(7)))
  let second = try unwrap(ledger.begin(Offset(7)))
  expectEqual(ledger.finish(first), false)
  #expect(ledger.committable == Offset(7))
  expectEqual(ledger.finish(second), true)
  expectEqual(ledger.finish(second), false)
  #expect(ledger.committable == Offset(8))
  #expect(ledger.inFlightCount == 0)
}

@Test func aRedeliveryBelowEverythingCommittedMovesTheCommitBackAndSaysSo() throws {
  var ledger = OffsetLedger()
  for offset in 0..<10 { ledger.finish(try unwrap(ledger.begin(Offset(Int64(offset))))) }
  expectEqual(ledger.takeCommittable(), Offset(10))
  expectEqual(ledger.takeCommittable(), nil)
  let handle = try unwrap(ledger.begin(Offset(3)))
  expectEqual(ledger.takeCommittable(), Offset(3))
  ledger.finish(handle)
  expectEqual(ledger.takeCommittable(), Offset(4))
}

@Test func droppingForgetsTheRunAndLateHandlesCommitNothing() throws {
  var ledger = OffsetLedger(generation: 1)
  let late = try unwrap(ledger.begin(Offset(5)))
  ledger.dropAll(generation: 2)
  #expect(ledger.committable == nil)
  expectEqual(ledger.finish(late), false)
  let again = try unwrap(ledger.begin(Offset(5)))
  expectEqual(ledger.finish(late), false)
  #expect(ledger.inFlightCount == 1)
  expectEqual(ledger.finish(again), true)
  #expect(ledger.committable == Offset(6))
}

@Test func gapsInTheOffsetsCostNothing() throws {
  var ledger = OffsetLedger()
  let first = try unwrap(ledger.begin(Offset(0)))
  let second = try unwrap(ledger.begin(Offset(9_000_000_000)))
  #expect(ledger.windowCount == 2)
  ledger.finish(second)
  #expect(ledger.committable == Offset(0))
  ledger.finish(first)
  #expect(ledger.committable == Offset(9_000_000_001))
}

@Test func aFullWindowRefusesTheNextEntryUntilTheOldestIsDone() throws {
  var ledger = OffsetLedger(windowMax: 100)
  let oldest = try unwrap(ledger.begin(Offset(0)))
  for offset in 1..<100 { ledger.finish(try unwrap(ledger.begin(Offset(Int64(offset))))) }
  #expect(ledger.isFull)
  expectEqual(ledger.begin(Offset(100)), nil)
  #expect(ledger.committable == Offset(0))
  ledger.finish(oldest)
  #expect(!ledger.isFull)
  #expect(ledger.committable == Offset(100))
  _ = try unwrap(ledger.begin(Offset(100)))
}

@Test func aMillionEntriesMayStandBehindOneStuckTask() throws {
  var ledger = OffsetLedger()
  let stuck = try unwrap(ledger.begin(Offset(0)))
  for offset in 1..<OffsetLedger.windowMaxDefault {
    ledger.finish(try unwrap(ledger.begin(Offset(Int64(offset)))))
  }
  #expect(ledger.isFull)
  #expect(ledger.committable == Offset(0))
  ledger.finish(stuck)
  #expect(ledger.committable == Offset(Int64(OffsetLedger.windowMaxDefault)))
  #expect(ledger.windowCount == 0)
}

@Test(arguments: 0..<60)
func randomCompletionOrdersAgreeWithTheNaiveModel(seed: Int) {
  var random = SeededRandom(seed: UInt64(seed))
  var ledger = OffsetLedger(windowMax: 64)
  var model = NaiveLedger()
  var open: [(handle: OffsetLedger.Handle, run: Int)] = []
  var next: Int64 = 0
  var generation: UInt32 = 0
  for step in 0..<1500 {
    switch random.below(100) {
    case 0..<45:
      guard !ledger.isFull, let handle = ledger.begin(Offset(next)) else { continue }
      open.append((handle, model.begin(next)))
      next += 1
    case 45..<50: next += Int64(random.below(40))
    case 50..<53: next = max(0, next - Int64(random.below(20)))
    case 53:
      generation += 1
      ledger.dropAll(generation: generation)
      model = NaiveLedger(runs: model.runs)
    default:
      guard !open.isEmpty else { continue }
      // Now and then a handle is kept and used again: a completion that arrives twice.
      let index = random.below(open.count)
      let item = open[index]
      if !random.chance(5) { open.remove(at: index) }
      let finished = ledger.finish(item.handle)
      let expected = model.finish(item.run)
      #expect(finished == expected, "seed \(seed) step \(step)")
    }
    #expect(ledger.committable?.value == model.committable, "seed \(seed) step \(step)")
    #expect(ledger.inFlightCount == model.inProcess.count, "seed \(seed) step \(step)")
  }
}

@Test func partitionsAreIndependent() throws {
  var first = LedgerTable()
  var second = LedgerTable()
  first.assign([Partition(0), Partition(1)], generation: 1)
  second.assign([Partition(0), Partition(1)], generation: 1)
  var handles: [LedgerTable.Handle] = []
  for offset in 10..<13 { handles.append(try unwrap(first.begin(Partition(0), Offset(Int64(offset))))) }
  _ = try unwrap(first.begin(Partition(1), Offset(500)))
  _ = try unwrap(second.begin(Partition(0), Offset(70)))
  for handle in handles { first.finish(handle) }
  #expect(first.committable(Partition(0)) == Offset(13))
  #expect(first.committable(Partition(1)) == Offset(500))
  #expect(second.committable(Partition(0)) == Offset(70))
  #expect(second.committable(Partition(1)) == nil)
  #expect(first.inFlightCount == 1)
}

@Test func eachMovedPartitionIsStoredOncePerTurn() throws {
  var table = LedgerTable()
  table.assign([Partition(0), Partition(7)], generation: 1)
  func taken() -> [Int32: Int64] {
    var stored: [Int32: Int64] = [:]
    table.takeDirty { partition, offset in
      #expect(stored[partition.value] == nil)
      stored[partition.value] = offset.value
    }
    return stored
  }
  let first = try unwrap(table.begin(Partition(7), Offset(1)))
  let second = try unwrap(table.begin(Partition(7), Offset(2)))
  expectEqual(taken(), [7: 1])
  table.finish(second)
  expectEqual(taken(), [:])
  table.finish(first)
  _ = try unwrap(table.begin(Partition(0), Offset(9)))
  expectEqual(taken(), [7: 3, 0: 9])
  #expect(!table.hasDirty)
}

@Test func aLateCompletionOfALostPartitionMovesNothingEvenAfterItCameBack() throws {
  var table = LedgerTable()
  table.assign([Partition(0)], generation: 1)
  let late = try unwrap(table.begin(Partition(0), Offset(5)))
  table.assign([Partition(1)], generation: 2)
  expectEqual(table.finish(late), false)
  expectEqual(table.begin(Partition(0), Offset(5)), nil)
  table.assign([Partition(0)], generation: 3)
  let again = try unwrap(table.begin(Partition(0), Offset(5)))
  expectEqual(table.finish(late), false)
  #expect(table.committable(Partition(0)) == Offset(5))
  expectEqual(table.finish(again), true)
  #expect(table.inFlightCount == 0)
}
