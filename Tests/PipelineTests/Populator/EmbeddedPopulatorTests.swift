// The populator end to end on real trees: what it lists, how fast it may, what a pause and a restart do.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@testable import Pipeline

private func smallTree(_ count: Int) -> TempTree {
  let tree = TempTree("source")
  for index in 0..<count { tree.file("d\(index % 17)/e\(index % 5)/f\(index)", "content \(index)") }
  return tree
}

@Test func everyFileIsEnqueuedOnceForEachLocationAndASecondStartEnqueuesNothing() throws {
  let source = smallTree(500)
  source.file("name with % 41%41 \"quotes\" ünï\\code\n", "x")
  let targets = [TempTree("b"), TempTree("c")]
  do {
    let rig = try PopulatorRig(source: source, targets: targets)
    check(rig.run())
    for location in 0..<2 {
      check(rig.keys[location].count == 501)
      check(Set(rig.keys[location]) == Set(TreeListing.of(source.path).keys))
      check(TreeListing.of(targets[location].path) == TreeListing.of(source.path))
      let status = rig.statuses[location]
      #expect(status.phase == .following)
      #expect(status.listingsCompleted == 1)
      #expect(status.counts.files == 501)
      #expect(status.enqueuedObjects == 501)
      #expect(status.enqueuedBytes == status.counts.bytes)
      #expect(status.unconsumed == 0)
      #expect(status.followsByEvents)
    }
  }
  source.file("d1/changed", "new")
  let again = try PopulatorRig(source: source, targets: targets)
  check(again.run())
  check(again.keys == [["d1/changed"], ["d1/changed"]])
  #expect(again.statuses[0].upToDateObjects == 501)
}

@Test func noMoreThanTheWindowIsUnconsumedHoweverSlowTheConsumer() throws {
  let source = smallTree(2_000)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")], partitions: 3) { $0.tuning.windowBytesMax = 8_192 }
  rig.consuming = []
  check(rig.run { rig.unconsumedMax > 7_000 })
  // The lister has nothing to wait for but credits: it must stand still now, not run on.
  let before = rig.statuses[0].enqueuedObjects
  check(!rig.run(within: .milliseconds(200)) { rig.unconsumedMax > 8_192 })
  #expect(rig.statuses[0].enqueuedObjects - before <= 256)
  #expect(!rig.statuses[0].isSettled)
  rig.consuming = [0]
  rig.consumeMax = 7
  check(rig.run())
  #expect(rig.unconsumedMax <= 8_192)
  check(rig.keys[0].count == 2_000)
  check(Set(rig.keys[0]).count == 2_000)
}

@Test func whatIsHandedOutAndNotConsumedIsCountedWithItsBytes() throws {
  let source = TempTree("source")
  for index in 0..<40 { source.file("f\(index)", String(repeating: "x", count: 1_000)) }
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")])
  rig.consuming = []
  check(rig.run { rig.statuses[0].unconsumed == 40 })
  #expect(rig.statuses[0].unconsumedBytes == 40_000)
  // Changed meanwhile: another entry, and the object counts as it is now.
  source.file("f0", String(repeating: "y", count: 5_000))
  check(rig.run { rig.statuses[0].unconsumed > 40 && rig.statuses[0].unconsumedBytes == 44_000 })
  // Paused: what was handed out is still on its way; of what changes now nothing is known.
  check(rig.populator.pause(location: 0))
  check(rig.run { rig.statuses[0].phase == .paused })
  source.file("late", "late")
  #expect(rig.statuses[0].unconsumedBytes == 44_000 && rig.statuses[0].changesWaiting == 0)
  check(rig.populator.resume(location: 0))
  rig.consuming = [0]
  check(rig.run())
  #expect(rig.statuses[0].unconsumed == 0 && rig.statuses[0].unconsumedBytes == 0)
  check(rig.keys[0].contains("late"))
}

@Test func changesThatHaveToWaitForTheWindowAreCounted() throws {
  let source = smallTree(200)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")], partitions: 1) { $0.tuning.windowBytesMax = 4_096 }
  check(rig.run { rig.keys[0].count == 200 })
  rig.consuming = []
  for index in 0..<100 { source.file("new/f\(index)", "new \(index)") }
  // More than the window holds: what comes now has to wait.
  check(rig.run { rig.statuses[0].unconsumed >= 20 })
  for index in 0..<50 { source.file("d0/late\(index)", "late \(index)") }
  check(rig.run { rig.statuses[0].changesWaiting >= 50 })
  rig.consuming = [0]
  check(rig.run())
  check(Set(rig.keys[0]).count == 350)
  #expect(rig.statuses[0].changesWaiting == 0)
}

@Test func aPausedLocationStopsListingAndAfterResumeNothingIsMissingAndNothingIsRepeated() throws {
  let source = smallTree(1_500)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b"), TempTree("c")]) { $0.tuning.windowBytesMax = 16_384 }
  rig.consumeMax = 20
  check(rig.run { rig.keys[0].count > 200 })
  check(rig.populator.pause(location: 0))
  rig.consuming = [1]
  // The other location is not delayed, and finishes.
  check(rig.run())
  check(rig.keys[1].count == 1_500)
  #expect(rig.statuses[0].phase == .paused)
  let taken = rig.keys[0].count
  #expect(taken < 1_500)
  source.file("while/paused", "created while paused")
  source.remove("d0/e0/f0")
  check(rig.run { rig.keys[1].contains("while/paused") })
  check(rig.keys[0].count == taken)
  check(rig.populator.resume(location: 0))
  rig.consuming = [0, 1]
  check(rig.run())
  check(TreeListing.of(rig.targets[0].path).keys.contains("while/paused"))
  check(rig.keys[0].count == Set(rig.keys[0]).count, "no object was enqueued twice")
  check(Set(rig.keys[0]).union(["d0/e0/f0"]).count == 1_501)
}

@Test func aLocationThatStartsPausedListsOnlyAfterResume() throws {
  let source = smallTree(50)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b"), TempTree("c")], paused: [1])
  check(rig.run())
  #expect(rig.statuses[1].phase == .paused)
  #expect(rig.statuses[1].enqueuedObjects == 0)
  check(rig.populator.resume(location: 1))
  rig.consuming = [0, 1]
  check(rig.run())
  check(rig.keys[1].count == 50)
}

@Test func anEntryTheBrokerDidNotTakeIsEnqueuedAgain() throws {
  let source = smallTree(40)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")]) { $0.tuning.relistInterval = .milliseconds(50) }
  rig.failingDeliveries = 13
  check(rig.runUntilSame())
  #expect(rig.statuses[0].listingsCompleted >= 2)
}

@Test func aRetryLooksAtOneObjectAgain() throws {
  let source = smallTree(3)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")])
  check(rig.run())
  rig.targets[0].remove("d1/e1/f1")
  check(rig.populator.requeue(ObjectName(bucket: "bucket", key: "d1/e1/f1"), location: 0))
  check(rig.populator.requeue(ObjectName(bucket: "bucket", key: "d0/e0/f0"), location: 0))
  check(rig.populator.requeue(ObjectName(bucket: "another", key: "d0/e0/f0"), location: 0))
  check(rig.run { rig.keys[0].count == 4 })
  check(rig.keys[0].last == "d1/e1/f1")
}

@Test func aNameThatIsNoKeyIsReportedToEachLocationAndTheListingEnds() throws {
  let source = smallTree(5)
  let bad = (Array(source.path.utf8) + [0x2F, 0xFF, 0]).map { CChar(bitPattern: $0) }
  close(open(bad, O_CREAT | O_WRONLY, 0o644))
  let rig = try PopulatorRig(source: source, targets: [TempTree("b"), TempTree("c")])
  check(rig.run())
  check(rig.run { rig.events.count >= 4 })
  let failure = TreeFailure(path: "\\xFF", reason: .keyNotUTF8)
  #expect(rig.events.contains(.failed(location: 0, failure)))
  #expect(rig.events.contains(.failed(location: 1, failure)))
  #expect(rig.events.contains { if case .listed(0, _, let counts) = $0 { counts.failures == 1 } else { false } })
}

@Test func aSourceThatIsNotThereIsAnErrorAtTheStart() {
  #expect(throws: Errno.self) {
    _ = try EmbeddedPopulator(.init(sourcePath: "/nowhere/at/all", naming: .oneBucket("b"), locations: []))
  }
}

@Test func theTopDirectoriesOfASourceWithManyBucketsAreTheBuckets() {
  let naming = SourceNaming.bucketPerDirectory
  #expect(naming.object(at: "photos/2031/cat.png") == ObjectName(bucket: "photos", key: "2031/cat.png"))
  #expect(naming.object(at: "stray") == nil)
  #expect(naming.path(of: ObjectName(bucket: "photos", key: "2031/cat.png")) == "photos/2031/cat.png")
  #expect(SourceNaming.oneBucket("a").path(of: ObjectName(bucket: "b", key: "x")) == nil)
}

@Test func memoryStaysFlatHoweverManyFilesAreEnqueued() throws {
  // DOWNBEAT_TEST_LONG=1: a million files, and the process is measured.
  let isLong = getenv("DOWNBEAT_TEST_LONG") != nil
  let count = isLong ? 1_000_000 : 3_000
  let source = TempTree("source", under: isLong ? "/dev/shm" : "/tmp")
  for index in 0..<100 { source.directory("d\(index)") }
  for index in 0..<count { close(open(source.full("d\(index % 100)/file-\(index)"), O_CREAT | O_WRONLY, 0o644)) }
  let before = peakResidentBytes()
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")])
  rig.copies = false
  rig.keepsConsumed = false
  check(rig.run(within: .seconds(isLong ? 300 : 30)))
  #expect(rig.statuses[0].enqueuedObjects == Int64(count))
  #expect(rig.unconsumedMax <= EnqueueWindow.bytesMax)
  if isLong { #expect(peakResidentBytes() - before < 48 << 20, "grew from \(before) to \(peakResidentBytes())") }
}

private func peakResidentBytes() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_maxrss << 10
}
