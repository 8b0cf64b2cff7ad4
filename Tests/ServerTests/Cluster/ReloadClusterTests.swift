// A configuration read again by daemons that share a group, a ZooKeeper and a Redis with others.
import CLinux
import Glibc
import TestSupport
import Testing

extension ClusterTests {
  @Suite struct Reloads {
    /// The location leaves its group, commits, and comes back with other limits; the desired state outlasts it.
    @Test(arguments: ["hold", "unsubscribe"]) func aNodeThatReloadsLosesAndRepeatsNothing(_ mode: String) throws {
      let cluster = try Cluster("a", "b", mode: mode)
      let probe = try ClusterProbe(cluster)
      try cluster.start()
      let load = try ClusterLoad(cluster, perSecond: 200)
      let node = cluster.node(0)
      #expect(try eventually(within: Cluster.patience) { try node.figures().taken() > 0 && cluster.node(1).figures().taken() > 0 })
      try node.reconfigure { $0.replacing("pauseMode:", with: "concurrency: 3, pauseMode:") }
      node.signal(SIGHUP)
      #expect(eventually(within: Cluster.patience) { node.output.contains("configuration read again") })
      #expect(try eventually(within: Cluster.patience) { try node.isReady && node.figures().taken() > 0 }, "\(node.output)")
      #expect(try cluster.node(1).post("/_/crr/pause/east?wait=60").status == 200)
      #expect(eventually(within: Cluster.patience) { cluster.all("disabled") }, "it still hears what the other was told")
      try node.reconfigure { $0.replacing("concurrency: 3, ", with: "") }
      node.signal(SIGHUP)
      #expect(
        eventually(within: Cluster.patience) { (try? node.figures().taken()) == 0 && cluster.all("disabled") },  // while it changes
        "paused, and it takes nothing: \(node.output)")
      #expect(try node.post("/_/crr/resume/east").status == 200)
      let total = load.stop()
      #expect(try eventually(within: Cluster.patience) { try probe.offsets().committed == total }, "\(total) entries: \(node.output)")
      probe.close()
      cluster.stop()
    }
  }
}
