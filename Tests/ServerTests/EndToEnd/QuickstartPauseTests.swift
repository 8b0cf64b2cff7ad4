// Pause and resume of one location while a tree replicates (product contract section 5), through the API.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@Suite(.serialized) struct QuickstartPauseTests {
  /// 1. start, 2. pause west in the middle, 3. east goes on to the end, 4. west takes nothing further, 5. kill and start
  /// again: still paused, 6. resume: west completes; no copy that was finished before is written again.
  @Test func aPausedLocationStopsAndStaysPausedAcrossARestartAndResumesWhereItStopped() throws {
    let bench = try QuickstartBench()
    try makeTree(bench.source, count: 4_000, seed: 11)
    var process = try bench.start([])
    try bench.waitUntilReady(process)
    #expect(eventually { ((try? bench.copiedCount(1)) ?? 0) > 100 })  // half-written trees may vanish under the reader
    #expect(try bench.post("/_/backbeat/api/crr/pause/west?wait=20").status == 200)
    #expect(try bench.get("/_/backbeat/api/crr/status/west").body == #"{"west":"disabled"}"#)
    let atPause = try bench.copiedCount(1)
    #expect(atPause < 4_000, "paused too late to show anything")
    #expect(eventually(within: .seconds(60)) { (try? bench.copiedCount(0)) == 4_000 }, "the other location goes on")  // as above  // as above
    #expect(try bench.copiedCount(1) == atPause, "entries started after the pause was acknowledged")
    process.killNow()

    process = try bench.start([])
    try bench.waitUntilReady(process)
    #expect(try bench.get("/_/crr/status").body == #"{"east":"enabled","west":"disabled"}"#)
    #expect(try bench.copiedCount(1) == atPause)
    let finished = try bench.identities(1)
    #expect(try bench.post("/_/crr/resume/west").status == 200)
    #expect(eventually(within: .seconds(60)) { (try? bench.copiedCount(1)) == 4_000 }, "\(process.output)")  // as above  // as above
    let after = try bench.identities(1)
    #expect(finished.allSatisfy { after[$0.key] == $0.value }, "a finished copy was repeated")
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0), "\(process.output)")
    try bench.expectIdentical("after pause, kill and resume")
  }
}
