// Beside Backbeat: messages by redis-cli and nodes by zkCli act on real daemons, and what daemons write is what Backbeat reads.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension ClusterTests {
  @Suite(.enabled(if: ClusterServers.ownsRedis && ClusterServers.ownsZooKeeper)) struct Interop {
    @Test func messagesByHandActOnceAndOursAreBackbeats() throws {
      let cluster = try Cluster("a", "b", "c")
      let redis = try #require(cluster.servers.redis)
      let probe = try ClusterProbe(cluster)
      try cluster.start()
      let channel = "\(cluster.topic)-east"
      let version = try #require(try probe.entry()?.version.number)
      let steps: [(message: String, stored: String, state: String)] = [
        (#"{"action":"pauseService"}"#, #"{"paused":true,"scheduledResume":null}"#, "disabled"),
        (
          #"{"action":"resumeService","date":"2131-02-03T04:05:06.789Z"}"#,
          #"{"paused":true,"scheduledResume":"2131-02-03T04:05:06.789Z"}"#, "disabled"
        ),
        (#"{"action":"deleteScheduledResumeService"}"#, #"{"paused":true,"scheduledResume":null}"#, "disabled"),
        (#"{"action":"resumeService"}"#, #"{"paused":false,"scheduledResume":null}"#, "enabled"),
      ]
      for (index, step) in steps.enumerated() {
        #expect(try redis.cli("publish", channel, step.message).contains("3"))
        #expect(try eventually(within: Cluster.patience) { try probe.text() == step.stored }, "\(step)")
        #expect(eventually(within: Cluster.patience) { cluster.all(step.state) && cluster.allTell(step.state) }, "\(step)")
        #expect(try probe.entry()?.version.number == version + Int64(index) + 1, "three nodes heard it, one wrote it")
      }
      for malformed in ["", "{", "[]", #"{"action":"dance"}"#, "\u{FFFD}"] { try redis.cli("publish", channel, malformed) }
      let listener = try ChildProcess(
        "redis-cli", ["-p", "\(redis.port)", "psubscribe", "\(cluster.topic)-*"], outputPath: cluster.directory.path + "/heard")
      #expect(eventually { listener.output.contains("psubscribe") })
      #expect(try cluster.node(0).post("/_/crr/pause/east").status == 200)
      #expect(try cluster.node(1).post("/_/crr/resume/east").status == 200)
      let expected = [
        #"{"action":"pauseService","origin":"a","version":\#(version + 5)}"#,
        #"{"action":"resumeService","origin":"b","version":\#(version + 6)}"#,
      ]
      #expect(eventually { listener.output.split(separator: "\n").filter { $0.hasPrefix("{") }.map(String.init) == expected })
      listener.killNow()
      probe.close()
      cluster.stop()
    }

    @Test func nodesByHandActAndOursAreBackbeats() throws {
      let cluster = try Cluster("a", "b")
      let zookeeper = try #require(cluster.servers.zookeeper)
      try cluster.start()
      let path = "\(cluster.chroot)/backbeat/replication/state/east"
      #expect(try zookeeper.cli("get", path).contains(#"{"paused":false}"#))
      try zookeeper.cli("set", path, #"{"paused":true}"#)
      #expect(eventually(within: Cluster.patience) { cluster.all("disabled") && cluster.allTell("disabled") })
      #expect(try cluster.node(1).post("/_/crr/resume/east").status == 200)
      #expect(try zookeeper.cli("get", path).contains(#"{"paused":false,"scheduledResume":null}"#))
      let report = try zookeeper.cli("get", "\(cluster.chroot)/backbeat/replication/nodes/east/a")
      #expect(report.contains(#"{"state":""#) && report.contains(#""redis":true"#), "\(report)")
      cluster.stop()
    }
  }
}
