// What a node finds when it starts: a schedule that fell due while nobody was there, and a location that is paused.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension ClusterTests {
  @Suite struct Starts {
    private func iso(inMs delay: Int64) -> String { ISO8601.string(ms: WallClock.nowMs() + delay) }

    @Test func aScheduleThatFellDueWhileAllWereDeadIsCarriedOutOnce() throws {
      let cluster = try Cluster("a", "b", "c")
      let probe = try ClusterProbe(cluster)
      try cluster.start()
      #expect(try cluster.node(0).post("/_/crr/pause/east?wait=60").status == 200)
      for node in cluster.nodes { node.killNow() }
      try probe.put(#"{"paused":true,"scheduledResume":"\#(iso(inMs: -1_000))","theirs":7}"#)
      let version = try #require(try probe.entry()?.version)
      for node in cluster.nodes { try node.start() }
      #expect(eventually(within: Cluster.patience) { cluster.all("enabled") }, "\(cluster.nodes.map(\.output))")
      // Anybody who fired a second time would have done it by now: a turn of everybody's audit.
      let end = Instant.nowUncached() + .seconds(5)
      _ = eventually(within: .seconds(5)) { Instant.nowUncached() > end }
      let after = try #require(try probe.entry())
      #expect(after.version.number == version.number + 1, "one write, so one resume")
      #expect(String(decoding: after.json, as: UTF8.self) == #"{"paused":false,"scheduledResume":null,"theirs":7}"#)
      #expect(try cluster.nodes.reduce(0) { try $0 + ($1.figures().values["downbeat_schedules_fired_total"] ?? 0) } == 1)
      probe.close()
      cluster.stop()
    }

    /// The same with everybody alive: all three timers run down in the same moment.
    @Test func aScheduleThatFallsDueIsCarriedOutOnce() throws {
      let cluster = try Cluster("a", "b", "c")
      let probe = try ClusterProbe(cluster)
      try cluster.start()
      #expect(try cluster.node(0).post("/_/crr/pause/east?wait=60").status == 200)
      try probe.put(#"{"paused":true,"scheduledResume":"\#(iso(inMs: 3_000))"}"#)
      let version = try #require(try probe.entry()?.version)
      #expect(cluster.all("disabled"))
      #expect(eventually(within: Cluster.patience) { cluster.all("enabled") }, "\(cluster.nodes.map(\.output))")
      let end = Instant.nowUncached() + .seconds(1)
      _ = eventually(within: .seconds(1)) { Instant.nowUncached() > end }
      #expect(try probe.entry()?.version.number == version.number + 1, "one write, so one resume")
      probe.close()
      cluster.stop()
    }

    @Test(arguments: ["hold", "unsubscribe"]) func aNodeStartedWhilePausedNeverFetches(_ mode: String) throws {
      let cluster = try Cluster("a", "b", mode: mode)
      try cluster.start([cluster.node(0)])
      let load = try ClusterLoad(cluster, perSecond: 200)
      #expect(try eventually(within: Cluster.patience) { try cluster.node(0).figures().taken() > 0 })
      #expect(try cluster.node(0).post("/_/crr/pause/east?wait=60").status == 200)
      let late = cluster.node(1)
      try cluster.start([late])
      let end = Instant.nowUncached() + .seconds(2)
      let hasFetched = try eventually(within: .seconds(3)) {
        let figures = try late.figures()
        if figures.taken() > 0 || figures.assigned() > 0 { return true }
        return Instant.nowUncached() > end && figures.state() != "disabled"
      }
      #expect(!hasFetched, "\(late.output)")
      #expect(!late.output.contains("partitions assigned"), "it has not even joined the group")
      #expect(try late.post("/_/crr/resume/east").status == 200)
      #expect(try eventually(within: Cluster.patience) { try late.figures().taken() > 0 }, "\(late.output)")
      _ = load.stop()
      cluster.stop()
    }
  }
}
