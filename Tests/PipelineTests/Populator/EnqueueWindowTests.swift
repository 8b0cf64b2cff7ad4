// The bound on unconsumed bytes holds in every order in which acknowledgements and commits can arrive.
import TestSupport
import Testing

@testable import Pipeline

private func credit(_ bytes: Int32, partition: Int32 = 0, keyHash: UInt64 = 0) -> EnqueueCredit {
  EnqueueCredit(location: 0, partition: partition, bytes: bytes, wasEnqueued: true, keyHash: keyHash)
}

@Test func roomIsTakenUpToTheBoundAndGivenBackExactly() {
  var window = EnqueueWindow(partitionCount: 2, bytesMax: 100)
  check(window.reserve(partition: 0, bytes: 60))
  check(window.reserve(partition: 0, bytes: 40))
  check(!window.reserve(partition: 0, bytes: 1))
  check(window.reserve(partition: 1, bytes: 1), "partitions do not share room")
  window.release(partition: 0, bytes: 60)
  check(window.reserve(partition: 0, bytes: 60))
  window.release(partition: 0, bytes: 100)
  window.release(partition: 1, bytes: 1)
  #expect(window.isEmpty)
}

@Test func anEntryLargerThanTheWindowGoesAloneInsteadOfNever() {
  var window = EnqueueWindow(partitionCount: 1, bytesMax: 100)
  check(window.reserve(partition: 0, bytes: 500))
  check(!window.reserve(partition: 0, bytes: 1))
  window.release(partition: 0, bytes: 500)
  check(window.reserve(partition: 0, bytes: 1))
}

@Test func aCommitGivesBackEverythingBelowItOldestFirst() {
  var entries = UnconsumedEntries()
  for offset in 0..<5 { check(entries.produced(offset: Int64(offset), credit(Int32(offset))) == nil) }
  var given: [Int32] = []
  entries.committed(next: 3) { given.append($0.bytes) }
  #expect(given == [0, 1, 2])
  entries.committed(next: 2) { given.append($0.bytes) }
  #expect(given == [0, 1, 2], "an older commit reported late changes nothing")
  entries.committed(next: 5) { given.append($0.bytes) }
  #expect(given == [0, 1, 2, 3, 4])
  #expect(entries.count == 0)
}

@Test func anAcknowledgementAfterTheCommitIsGivenBackAtOnce() {
  var entries = UnconsumedEntries()
  entries.committed(next: 2) { _ in Issue.record("nothing was produced") }
  check(entries.produced(offset: 1, credit(7)) == credit(7))
  check(entries.produced(offset: 2, credit(8)) == nil)
}

@Test func randomOrdersNeverLoseOrDoubleACredit() {
  var random = SeededGenerator(seed: testSeed)
  for _ in 0..<200 {
    let count = Int.random(in: 1...60, using: &random)
    // Acknowledgements nearly in order, as after a retry; commits anywhere in between.
    var order = Array(0..<count)
    for _ in 0..<3 { order.swapAt(Int.random(in: 0..<count, using: &random), Int.random(in: 0..<count, using: &random)) }
    var entries = UnconsumedEntries()
    var window = EnqueueWindow(partitionCount: 1, bytesMax: 1 << 30)
    var given: [UInt64] = []
    var committed = 0
    for offset in order {
      check(window.reserve(partition: 0, bytes: offset + 1))
      if let late = entries.produced(offset: Int64(offset), credit(Int32(offset + 1), keyHash: UInt64(offset))) {
        given.append(late.keyHash)
        window.release(partition: 0, bytes: Int(late.bytes))
      }
      if Bool.random(using: &random) { committed = Int.random(in: committed...count, using: &random) }
      entries.committed(next: Int64(committed)) {
        given.append($0.keyHash)
        window.release(partition: 0, bytes: Int($0.bytes))
      }
      let outstanding = order.prefix { _ in true }.prefix(order.firstIndex(of: offset)! + 1).filter { $0 >= committed }
      check(window.reserved(partition: 0) == outstanding.reduce(0) { $0 + $1 + 1 }, "seed \(testSeed)")
    }
    entries.committed(next: Int64(count)) { given.append($0.keyHash) }
    #expect(given.sorted() == (0..<UInt64(count)).map { $0 }, "seed \(testSeed)")
  }
}
