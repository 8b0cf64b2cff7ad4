// Pause and resume under load, again and again, at changing nodes: nothing starts after `?wait` was answered, what is committed is
// what has finished, and in the end every entry was done exactly once.
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension ClusterTests {
  @Suite struct PauseCycles {
    @Test func inHold() throws { try run("hold", cycles: ClusterServers.isLong ? 1_000 : 50) }
    /// Slow by nature: the embedded broker gives an emptied group its next assignment after about one session time-out.
    @Test func inUnsubscribe() throws { try run("unsubscribe", cycles: ClusterServers.isLong ? 20 : 2) }

    private func run(_ mode: String, cycles: Int) throws {
      let cluster = try Cluster("a", "b", "c", mode: mode, sessionMs: mode == "hold" ? 10_000 : 6_000)
      let probe = try ClusterProbe(cluster)
      try cluster.start()
      // All of them in the group: the embedded broker refuses commits while a node joins.
      let isWhole = try eventually(within: Cluster.patience) { try cluster.sum { $0.assigned() } == ClusterServers.partitionCount }
      #expect(isWhole)
      // What arrives while the group assembles must fit into what the embedded broker keeps of a partition.
      let load = try ClusterLoad(cluster, perSecond: mode == "hold" ? 300 : 100)
      var startedLate = 0
      var uncommitted = 0
      for cycle in 0..<cycles {
        let before = try cluster.taken()
        #expect(try eventually(within: Cluster.patience) { try cluster.taken() > before }, "cycle \(cycle): entries flow")
        let answer = try cluster.node(cycle).post("/_/crr/pause/east?wait=60")
        #expect(answer.status == 200 && answer.body == #"{"east":{"state":"disabled","inFlight":0}}"#, "\(cycle): \(answer)")
        let taken = try cluster.taken()
        // The broker takes its time with this question: not every one of a thousand pauses is asked about.
        if cycle % (cycles > 100 ? 10 : 1) == 0, try probe.offsets().committed != cluster.finished() { uncommitted += 1 }
        _ = eventually(within: .milliseconds(cycle % 20)) { false }  // any moment of the pause
        startedLate += try cluster.taken() - taken
        #expect(try cluster.node(cycle + 1).post("/_/crr/resume/east").status == 200)
      }
      #expect(startedLate == 0, "entries started after the answer")
      #expect(uncommitted == 0, "pauses whose committed offsets were not what had finished")
      let total = load.stop()
      let isDone = try eventually(within: Cluster.patience) { try probe.offsets().committed == total }
      let (finished, offsets) = (try cluster.finished(), try probe.offsets())
      #expect(isDone && finished == total, "\(total) entries, \(finished) finished, \(offsets) offsets \(cluster.nodes.map(\.output))")
      #expect(try cluster.sum { $0.gaps() } == 0, "entries that the broker dropped before they were read")
      print("pause cycles, \(mode): \(cycles), \(total) entries, \(finished - total) repeated or skipped, \(startedLate) started late")
      probe.close()
      cluster.stop()
    }
  }
}
