// The failed list survives restarts, torn writes and a full disk, stays bounded, and pages as the API promises.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@testable import Pipeline

private func record(_ key: String, at ms: Int64 = 1_000, message: String = "why") -> FailedRecord {
  FailedRecord(
    bucket: "bucket", key: key, versionId: "", size: 7, lastModified: "2031-02-03T04:05:06.789Z", reason: "TargetOccupied",
    message: message, attempts: 3, failedAtMs: ms)
}

private func reopened(_ tree: TempTree, recordsMax: Int = 1_000, nowMs: Int64 = 2_000) throws -> FailedLog {
  try FailedLog(directory: tree.path, recordsMax: recordsMax, nowMs: nowMs)
}

@Test func aLineOfTheFileHoldsEveryFieldWhateverIsInIt() {
  let awkward = FailedRecord(
    bucket: "a\tb", key: "line\nbreak\\and\r tab\t ünï", versionId: "9838", size: -1, lastModified: "", reason: "X",
    message: "one\nline\\n", attempts: 0, failedAtMs: 5, origin: .listing)
  for line in [FailedLine.failed(awkward), .cleared(awkward.version)] {
    let bytes = line.bytes
    #expect(bytes.count { $0 == UInt8(ascii: "\n") } == 1)
    #expect(FailedLine(bytes.dropLast()) == line)
  }
  for foreign in ["", "+", "+\tx", "-\ta\tb", "?\ta\tb\tc", "+\tx\tr\t1\t1\tr\tl\tb\tk\tv\tm"] {
    #expect(FailedLine(Array(foreign.utf8)) == nil)
  }
}

@Test func failuresAreThereAfterARestartUntilTheObjectSucceeds() throws {
  let tree = TempTree("failed")
  do {
    let log = try reopened(tree)
    try log.record([record("a"), record("b", at: 1_001), record("c", at: 1_002)])
    try log.record([record("a", at: 1_003, message: "again")])
    try log.clear([record("b").version, record("never failed").version])
    #expect(log.count == 2)
  }
  let log = try reopened(tree)
  #expect(log.count == 2)
  #expect(try log.page(nowMs: 2_000).records == [record("a", at: 1_003, message: "again"), record("c", at: 1_002)])
  #expect(try log.record(of: record("c").version, nowMs: 2_000) == record("c", at: 1_002))
  #expect(try log.record(of: record("b").version, nowMs: 2_000) == nil)
}

@Test func pagesHoldAHundredAndAllOfTheirLastMoment() throws {
  let tree = TempTree("failed")
  let log = try reopened(tree, recordsMax: 10_000)
  // 260 records: three per moment, so a hundredth falls into the middle of one.
  for start in stride(from: 0, to: 260, by: 20) {
    try log.record((start..<start + 20).map { record("k\($0)", at: 1_000 + Int64($0 / 3)) })
  }
  var seen: [String] = []
  var marker: Int64?
  var sizes: [Int] = []
  repeat {
    let page = try log.page(markerMs: marker, nowMs: 2_000)
    sizes.append(page.records.count)
    seen += page.records.map(\.key)
    marker = page.nextMarkerMs
  } while marker != nil
  #expect(seen == (0..<260).reversed().map { "k\($0)" })
  #expect(sizes == [101, 102, 57])
  #expect(try log.page(markerMs: .max, nowMs: 2_000).records.first?.key == "k259", "a marker in the future lists from the newest")
  #expect(try log.page(markerMs: 999, nowMs: 2_000) == FailedListPage())
}

@Test func whatHasExpiredIsFoundByNobodyAndCountedByNobody() throws {
  let tree = TempTree("failed")
  let log = try FailedLog(directory: tree.path, expiry: .seconds(2), nowMs: 1_000)
  try log.record([record("a", at: 1_000), record("b", at: 2_500)])
  #expect(try log.record(of: record("a").version, nowMs: 2_999) != nil)
  #expect(try log.record(of: record("a").version, nowMs: 3_000) == nil)
  #expect(log.count == 1)
  #expect(try log.page(nowMs: 3_000).records.map(\.key) == ["b"])
  log.expire(nowMs: 4_500)
  #expect(log.count == 0)
}

@Test func pagingStepsOverWhatWasCleared() throws {
  let log = try reopened(TempTree("failed"))
  let all = (0..<300).map { record("k\($0)", at: 1_000 + Int64($0)) }
  try log.record(all)
  try log.clear(all.filter { $0.failedAtMs % 3 != 0 }.map(\.version))
  for marker in [Int64(998), 999, 1_000, 1_001, 1_002, 1_150, 1_299, 5_000] {
    let expected = all.filter { $0.failedAtMs % 3 == 0 && $0.failedAtMs <= marker }.map(\.key).reversed()
    #expect(try log.page(markerMs: marker, nowMs: 2_000).records.map(\.key) == Array(expected))
  }
}

@Test func recordsGrowOldAndTheOldestMakeRoom() throws {
  let tree = TempTree("failed")
  let log = try FailedLog(directory: tree.path, expiry: .seconds(10), recordsMax: 5, nowMs: 0)
  for index in 0..<8 { try log.record([record("k\(index)", at: Int64(index) * 1_000)]) }
  #expect(log.count == 5)
  #expect(log.droppedCount == 3)
  #expect(try log.page(nowMs: 7_000).records.map(\.key) == ["k7", "k6", "k5", "k4", "k3"])
  #expect(try log.page(nowMs: 15_500).records.map(\.key) == ["k7", "k6"])
  #expect(try FailedLog(directory: tree.path, expiry: .seconds(10), nowMs: 15_500).count == 2)
}

@Test func aClockSetBackDoesNotDisorderThePages() throws {
  let log = try reopened(TempTree("failed"))
  try log.record([record("a", at: 1_500)])
  try log.record([record("b", at: 1_200)])
  #expect(try log.page(nowMs: 2_000).records.map(\.key) == ["b", "a"])
  #expect(try log.page(nowMs: 2_000).records.map(\.failedAtMs) == [1_500, 1_500])
}

@Test func aTornLastLineIsCutOffAtEveryPossiblePlace() throws {
  let tree = TempTree("failed")
  do { try reopened(tree).record([record("a"), record("b")]) }
  let whole = tree.read("failed.log")!
  let firstLine = whole.firstIndex(of: UInt8(ascii: "\n"))! + 1
  for length in 0..<whole.count {
    tree.file("failed.log", bytes: Array(whole[..<length]))
    let log = try reopened(tree)
    #expect(log.count == (length >= firstLine ? 1 : 0))
    #expect(log.unreadableLines == 0)
    try log.record([record("c")])
    #expect(try reopened(tree).count == log.count)
  }
}

@Test func foreignLinesAreCountedAndLeftOut() throws {
  let tree = TempTree("failed")
  do { try reopened(tree).record([record("a")]) }
  tree.file("failed.log", bytes: Array("garbage\n".utf8) + tree.read("failed.log")! + [0xFF, 0x00, 0x0A])
  let log = try reopened(tree)
  #expect(log.count == 1)
  #expect(log.unreadableLines == 2)
  #expect(try log.page(nowMs: 2_000).records == [record("a")])
}

@Test func theFileIsCompactedWhenItIsMostlyHistory() throws {
  let tree = TempTree("failed")
  let log = try reopened(tree)
  let long = String(repeating: "m", count: 2_000)
  for round in 0..<900 { try log.record([record("same", at: 1_000 + Int64(round), message: long), record("k\(round % 5)")]) }
  #expect(tree.read("failed.log")!.count < 1_300_000)
  #expect(try log.page(nowMs: 2_000).records.first?.key == "k4")
  #expect(try reopened(tree).count == 6)
  #expect(!tree.exists("failed.log.new"))
}

@Test func aCompleteListingClearsWhatItDidNotFindAgain() throws {
  let log = try reopened(TempTree("failed"))
  let bad = FailedRecord(TreeFailure(path: "\\xFF", reason: .keyNotUTF8), bucket: "bucket", failedAtMs: 1_000)
  let fresh = FailedRecord(
    TreeFailure(path: "d", reason: .unreadable(code: EACCES, call: "openat2")), bucket: "bucket", failedAtMs: 1_500)
  try log.record([bad, record("replication", at: 1_001), fresh])
  try log.clearListingFailures(before: 1_400)
  #expect(try log.page(nowMs: 2_000).records.map(\.key) == ["d", "replication"])
  #expect(fresh.message == "d: openat2: Permission denied (errno 13)")
}

@Test func randomHistoriesAgreeWithAModelAcrossRestarts() throws {
  var random = SeededGenerator(seed: testSeed)
  let tree = TempTree("failed")
  var log = try reopened(tree)
  var model: [String: FailedRecord] = [:]
  var ms: Int64 = 1_000
  for _ in 0..<400 {
    ms += Int64.random(in: 0...1, using: &random)
    let key = "k\(Int.random(in: 0..<40, using: &random))"
    switch Int.random(in: 0..<20, using: &random) {
    case 0: log = try reopened(tree)
    case 1..<12:
      try log.record([record(key, at: ms)])
      model[key] = record(key, at: ms)
    default:
      try log.clear([record(key).version])
      model[key] = nil
    }
    #expect(log.count == model.count, "seed \(testSeed)")
  }
  let listed = try log.page(nowMs: 2_000).records
  #expect(Set(listed) == Set(model.values), "seed \(testSeed)")
  #expect(listed.map(\.failedAtMs) == listed.map(\.failedAtMs).sorted(by: >), "seed \(testSeed)")
}

@Test func theFirstFailuresOnAFullDiskAreStillWrittenDown() throws {
  let tree = TempTree("failed")
  guard mount("downbeat-test", tree.path, "tmpfs", 0, "size=1m") == 0 else {
    // Not allowed here (no CAP_SYS_ADMIN): the write error below needs a small file system of its own.
    #expect(errno == EPERM || errno == EACCES)
    return
  }
  defer { umount(tree.path) }
  let log = try reopened(tree, recordsMax: 100_000)
  let fd = open(tree.full("filler"), O_CREAT | O_WRONLY, 0o644)
  let block = [UInt8](repeating: 1, count: 4_096)
  while write(fd, block, block.count) > 0 {}
  close(fd)
  try log.record((0..<500).map { record("k\($0)") })
  #expect(log.count == 500)
  var failure: Errno?
  for index in 0..<100 where failure == nil {
    do throws(Errno) { try log.record((0..<500).map { record("more\(index)-\($0)") }) } catch { failure = error }
  }
  #expect(failure?.code == ENOSPC)
  let count = log.count
  #expect(try reopened(tree).count == count, "a write that failed leaves nothing behind")
  unlink(tree.full("filler"))
  try log.record([record("after")])
  #expect(try reopened(tree).count == count + 1)
}

@Test func theListForOtherThreadsIsDurableAndKnowsWhatItMayHold() async throws {
  let tree = TempTree("failed")
  let thread = try ReactorThread.start(name: "state") { _ in }
  let list = FailedList(log: try FailedLog(directory: tree.path, nowMs: 2_000), on: thread.handle)
  await withTaskGroup(of: Errno?.self) { group in
    for index in 0..<500 { group.addTask { await list.record(record("k\(index)", at: 1_000)) } }
    for await error in group { #expect(error == nil) }
  }
  #expect(list.count == 500)
  #expect(try reopened(tree).count == 500, "every call had returned: all of it is on disk")
  #expect(list.mayHold(record("k7").version))
  #expect(!list.mayHold(record("other").version))
  #expect(await list.clear(record("k7").version) == nil)
  #expect(await list.clear(record("other").version) == nil)
  #expect(!list.mayHold(record("k7").version))
  #expect(try await list.page(markerMs: nil).records.count == 0, "expired: the records of this test are from 1970")
  #expect(list.count == 0)
  thread.handle.stop()
  thread.join()
}
