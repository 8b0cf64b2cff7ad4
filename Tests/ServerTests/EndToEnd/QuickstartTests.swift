// The contract of `quickstart` (product contract section 2), one promise a test.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@Suite(.serialized) struct QuickstartTests {
  @Test func onceReplicatesEveryRegularFileToBothTargetsAndExitsZero() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 1_500, seed: 1)
    try addOddFiles(bench.source)
    let (code, output) = try bench.run()
    #expect(code == 0, "\(output)")
    try bench.expectIdentical("after the first run")
    #expect(output.contains("east") && output.contains("west"), "the summary names each location: \(output)")
  }

  @Test func runAgainItCopiesNothing() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 300, seed: 2)
    try addOddFiles(bench.source)
    #expect(try bench.run().code == 0)
    let before = try bench.identities(0)
    let (code, output) = try bench.run()
    #expect(code == 0, "\(output)")
    #expect(try bench.identities(0) == before, "a copy was written again")
    try bench.expectIdentical("after the second run")
  }

  @Test func changedAndNewFilesFollowOnTheNextRun() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 200, seed: 3)
    #expect(try bench.run().code == 0)
    try writeFile("\(bench.source)/d0/f7", "changed")
    try writeFile("\(bench.source)/d0/new", "new")
    #expect(chmod("\(bench.source)/d0/f8", 0o741) == 0)
    #expect(try bench.run().code == 0)
    try bench.expectIdentical("after a change")
  }

  @Test func deletedFilesFollowOnlyWithDelete() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 200, seed: 4)
    #expect(try bench.run().code == 0)
    unlink("\(bench.source)/d0/f3")
    #expect(try bench.run().code == 0)
    #expect(try bench.copiedCount(0) == 200, "without --delete nothing is deleted")
    let (code, output) = try bench.run(["--once", "--delete"])
    #expect(code == 0, "\(output)")
    try bench.expectIdentical("after --delete")
  }

  @Test func anEmptiedSourceDeletesNothing() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 20, seed: 5)
    #expect(try bench.run().code == 0)
    for index in 0..<20 { unlink("\(bench.source)/d0/f\(index)") }
    _ = try bench.run(["--once", "--delete"])
    #expect(try bench.copiedCount(0) == 20)
  }

  @Test func itFollowsChangesUntilInterrupted() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 50, seed: 6)
    let process = try bench.start(["--delete"])
    try bench.waitUntilReady(process)
    #expect(eventually { (try? bench.copiedCount(1)) == 50 }, "\(process.output)")  // half-written trees may vanish under the reader
    try writeFile("\(bench.source)/d0/f1", "changed while running")
    _ = mkdir("\(bench.source)/later", 0o755)
    try writeFile("\(bench.source)/later/file", "made while running")
    unlink("\(bench.source)/d0/f2")
    #expect(chmod("\(bench.source)/d0/f3", 0o741) == 0)
    let (expected, _) = try Tree.read(bench.source)
    let followed = eventually(within: .seconds(20)) {
      (0..<2).allSatisfy { (try? Tree.read(bench.targets[$0], ignoring: [".downbeat"]).tree) == expected }  // as above
    }
    #expect(followed, "\(process.output)")
    process.signal(SIGINT)
    #expect(process.wait() == .exited(0), "\(process.output)")
  }

  @Test func aKillInTheMiddleLosesNothing() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 3_000, seed: 7)
    for round in 1...3 {
      let process = try bench.start()
      _ = eventually { ((try? bench.copiedCount(0)) ?? 0) > 600 * round || process.poll() != nil }  // as above
      process.killNow()
    }
    let (code, output) = try bench.run()
    #expect(code == 0, "\(output)")
    try bench.expectIdentical("after three kills")
    let leftOver = try Tree.names(in: "\(bench.targets[0])/.downbeat/tmp")
    #expect(leftOver == [], "temporary files are swept")
  }

  @Test func interruptedBeforeTheEndItExitsOne() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 3_000, seed: 8)
    let process = try bench.start()
    _ = eventually { ((try? bench.copiedCount(0)) ?? 0) > 50 }  // as above
    process.signal(SIGINT)
    #expect(process.wait() == .exited(1), "\(process.output)")
  }
}
