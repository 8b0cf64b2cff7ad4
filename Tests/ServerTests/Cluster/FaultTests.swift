// Redis and ZooKeeper stopped, restarted, wiped; messages and sessions lost; nodes killed. What was acknowledged holds, what runs
// goes on, and everything finds its way back without a restart.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension ClusterTests {
  @Suite(.enabled(if: ClusterServers.ownsRedis)) struct RedisFaults {
    /// Nodes follow their ZooKeeper watch within so long without Redis.
    static let convergence = Duration.seconds(5)

    @Test func withoutRedisNodesFollowTheStoreAndTheFastPathComesBack() throws {
      let cluster = try Cluster("a", "b", "c")
      let redis = try #require(cluster.servers.redis)
      try cluster.start()
      redis.stop()
      #expect(try eventually(within: Cluster.patience) { try cluster.nodes.allSatisfy { try !$0.figures().isBusUp } })
      for (turn, verb) in ["pause", "resume", "pause"].enumerated() {
        let state = verb == "pause" ? "disabled" : "enabled"
        #expect(try cluster.node(turn).post("/_/crr/\(verb)/east").status == 200)
        #expect(cluster.allTell(state))
        #expect(eventually(within: Self.convergence) { cluster.all(state) }, "\(verb)")
      }
      try redis.start()
      #expect(try eventually(within: Cluster.patience) { try cluster.nodes.allSatisfy { try $0.figures().isBusUp } })
      // A foreign command comes through Redis alone.
      #expect(try redis.cli("publish", "\(cluster.topic)-east", #"{"action":"resumeService"}"#).contains("3"))
      #expect(eventually(within: Cluster.patience) { cluster.allTell("enabled") && cluster.all("enabled") })
      cluster.stop()
    }

    @Test func aLostMessageCostsTimeAndNothingElse() throws {
      let cluster = try Cluster("a", "b", "c")
      let redis = try #require(cluster.servers.redis)
      try cluster.start()
      for turn in 0..<10 {
        let verb = turn % 2 == 0 ? "pause" : "resume"
        try redis.cli("client", "kill", "type", "pubsub")
        #expect(try cluster.node(turn).post("/_/crr/\(verb)/east").status == 200)
        let state = verb == "pause" ? "disabled" : "enabled"
        #expect(eventually(within: Self.convergence) { cluster.all(state) && cluster.allTell(state) }, "turn \(turn)")
      }
      cluster.stop()
    }
  }

  @Suite(.enabled(if: ClusterServers.ownsZooKeeper)) struct ZooKeeperFaults {
    /// Two seconds for the store's answer, and half a second for the way.
    static let refusalMax = Duration.milliseconds(2_500)

    @Test func withoutZooKeeperReplicationGoesOnAndCommandsAreRefused() throws {
      let cluster = try Cluster("a", "b", "c", locations: ["east", "west"])
      let zookeeper = try #require(cluster.servers.zookeeper)
      try cluster.start()
      #expect(try cluster.node(0).post("/_/crr/pause/west?wait=60").status == 200)
      let load = try ClusterLoad(cluster, perSecond: 100)
      #expect(try eventually(within: Cluster.patience) { try cluster.finished() > 0 })
      zookeeper.stop()
      // Also the first ones, which may still be sent before the connection is known to be gone.
      var slowest = Duration.zero
      for turn in 0..<6 {
        let start = Instant.nowUncached()
        let answer = try cluster.node(turn).post("/_/crr/pause/east")
        slowest = max(slowest, Instant.nowUncached() - start)
        #expect(answer.status == 503 && answer.body.contains("ServiceUnavailable"), "\(answer)")
      }
      #expect(slowest < Self.refusalMax, "\(slowest)")
      let isKnown = try eventually(within: Cluster.patience) { try cluster.nodes.allSatisfy { try !$0.figures().isStoreUp } }
      #expect(isKnown)
      let before = try cluster.finished()
      for node in cluster.nodes {
        let answer = try node.get("/_/crr/status")
        #expect(answer.status == 200 && answer.body == #"{"east":"enabled","west":"disabled"}"#, "\(answer)")
        #expect(Int(answer.headers["x-downbeat-stale"] ?? "") != nil, "\(answer.headers)")
        #expect(node.status(of: "/_/ready") == 500)
      }
      #expect(try eventually(within: Cluster.patience) { try cluster.finished() > before + 200 }, "replication goes on")
      #expect(try cluster.taken("west") == 0)
      try zookeeper.start()
      let isBack = eventually(within: Cluster.patience) {
        (try? cluster.node(1).post("/_/crr/pause/east?wait=60").status) == 200  // closed meanwhile: not back
      }
      #expect(isBack && cluster.all("disabled"), "\(cluster.nodes.map(\.output))")
      let answer = try cluster.node(2).get("/_/crr/status")
      #expect(answer.body == #"{"east":"disabled","west":"disabled"}"# && answer.headers["x-downbeat-stale"] == nil)
      #expect(eventually(within: Cluster.patience) { cluster.nodes.allSatisfy(\.isReady) })
      _ = load.stop()
      cluster.stop()
    }

    /// A frozen node's session ends; when it goes on, its report is made again and its watches work.
    @Test func anExpiredSessionComesBackWithWatchesAndReports() throws {
      let cluster = try Cluster("a", "b", "c")
      try cluster.start()
      let frozen = cluster.node(2)
      frozen.signal(SIGSTOP)
      let isGone = try eventually(within: Cluster.patience) { try cluster.node(0).figures().nodes() == 2 }
      #expect(isGone, "its report has gone with its session")
      #expect(try cluster.node(0).post("/_/crr/pause/east?wait=60").status == 200, "the live ones are enough")
      frozen.signal(SIGCONT)
      #expect(eventually(within: Cluster.patience) { cluster.all("disabled") && cluster.allTell("disabled") })
      #expect(try eventually(within: Cluster.patience) { try cluster.node(0).figures().nodes() == 3 })
      #expect(try cluster.node(1).post("/_/crr/resume/east").status == 200)
      #expect(cluster.allTell("enabled"))
      #expect(eventually(within: Cluster.patience) { cluster.all("enabled") })
      #expect(frozen.ending == nil && !frozen.output.contains("alive already"), "\(frozen.output)")
      cluster.stop()
    }

    @Test func wipedDataAreMadeAgainFromWhatTheNodesKnow() throws {
      let cluster = try Cluster("a", "b", locations: ["east", "west"])
      try cluster.start()
      #expect(try cluster.node(0).post("/_/crr/pause/west?wait=60").status == 200)
      let load = try ClusterLoad(cluster, perSecond: 100)
      #expect(try eventually(within: Cluster.patience) { try cluster.finished() > 0 })
      try cluster.servers.zookeeper?.wipe()
      let late = try cluster.add("late")
      try late.start()
      #expect(eventually(within: Cluster.patience) { cluster.nodes.allSatisfy(\.isReady) }, "\(cluster.nodes.map(\.output))")
      for node in cluster.nodes { #expect(try node.get("/_/crr/status").body == #"{"east":"enabled","west":"disabled"}"#) }
      let before = try cluster.finished()
      #expect(try eventually(within: Cluster.patience) { try cluster.finished() > before + 100 }, "running stays running")
      #expect(try cluster.taken("west") == 0, "paused stays paused")
      #expect(try cluster.node(2).post("/_/crr/resume/west").status == 200)
      #expect(try eventually(within: Cluster.patience) { try cluster.taken("west") > 0 })
      _ = load.stop()
      cluster.stop()
    }
  }
}
