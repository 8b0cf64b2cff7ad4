// `downbeat serve` over real servers: one node, its API as an operator uses it, and its ends. The nested suites of this folder
// put several nodes side by side; they run one after the other, because each stops, freezes or wipes what all of them share.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct ClusterTests {
  @Test func oneNodeServesTheWholeAPI() throws {
    let cluster = try Cluster("a", mode: "unsubscribe", locations: ["east", "west"])
    let node = cluster.node(0)
    try cluster.start()
    #expect(try node.get("/_/crr/status").body == #"{"east":"enabled","west":"enabled"}"#)
    #expect(try node.post("/_/crr/pause/east?wait=60").body == #"{"east":{"state":"disabled","inFlight":0}}"#)
    #expect(try node.post("/_/crr/resume/east/schedule", body: #"{"hours":2}"#).body == "{}")
    #expect(try node.get("/_/crr/resume").body.contains(#""west":"none"}"#))
    let view = try node.get("/_/crr/locations/east").body
    #expect(view.contains(#""state":"disabled""#) && view.contains(#""id":"a""#), "\(view)")
    #expect(try node.get("/_/crr/status").body == #"{"east":"disabled","west":"enabled"}"#)
    let health = try node.get("/_/healthcheck")
    #expect(health.status == 200)
    let description = try JSONValue(parsing: Array(health.body.utf8))
    #expect(description["topics"]?[cluster.topic]?["partitions"]?.array?.count == ClusterServers.partitionCount)
    #expect(description["internalConnections"]?["isrHealth"]?.string == "ok")
    #expect(health.body.contains(#""zookeeper":{"status":"ok","details":{"name":"SYNC_CONNECTED","code":3}}"#))
    #expect(try node.post("/_/crr/resume/east").body == "{}")
    #expect(eventually(within: Cluster.patience) { node.isReady })
    cluster.stop()
  }

  /// Services without sources here: their locations answer and nothing runs for them.
  @Test func ingestionAndLifecycleAnswer() throws {
    let cluster = try Cluster("a")
    let node = cluster.node(0)
    try cluster.start()
    for service in ["ingestion", "lifecycle"] {
      for path in ["status", "resume", "status/all"] { #expect(try node.get("/_/\(service)/\(path)").body == "{}") }
      for path in ["pause", "resume", "pause/all"] {
        let answer = try node.post("/_/\(service)/\(path)")
        #expect(answer.status == 200 && answer.body == "{}")
      }
      #expect(try node.post("/_/\(service)/pause/east").status == 404)
    }
    cluster.stop()
  }

  /// Locations that run on other machines are controlled from here, on Backbeat's own paths and channels; ingestion starts paused.
  @Test func locationsThatRunElsewhereAreControlledFromHere() throws {
    let cluster = try Cluster("a", "b", ingestion: ["ring", "ring-2"], lifecycle: ["cold"])
    try cluster.start()
    let (first, second) = (cluster.node(0), cluster.node(1))
    #expect(try first.get("/_/ingestion/status").body == #"{"ring":"disabled","ring-2":"disabled"}"#)
    #expect(try first.get("/_/lifecycle/status").body == #"{"cold":"enabled"}"#)
    #expect(try first.post("/_/ingestion/resume/ring").body == "{}")
    #expect(try second.get("/_/ingestion/status").body == #"{"ring":"enabled","ring-2":"disabled"}"#)
    #expect(try first.get("/_/crr/status").body == #"{"east":"enabled"}"#)
    let probe = try ClusterProbe(cluster, service: .ingestion, location: "ring")
    #expect(try probe.text() == #"{"paused":false,"scheduledResume":null}"#)
    probe.close()
    if let redis = cluster.servers.redis {
      // Heard through the one pattern for all of them.
      try redis.cli("publish", "\(cluster.topic)-ingestion-ring-2", #"{"action":"resumeService"}"#)
      #expect(try eventually(within: Cluster.patience) { try second.get("/_/ingestion/status").body == #"{"ring":"enabled","ring-2":"enabled"}"# })
    }
    #expect(try second.post("/_/lifecycle/pause/cold").body == "{}")
    #expect(try first.get("/_/lifecycle/status/cold").body == #"{"cold":"disabled"}"#)
    #expect(try second.post("/_/lifecycle/resume/cold/schedule").body == "{}")
    #expect(try first.get("/_/lifecycle/resume/cold").body.hasPrefix(#"{"cold":"2"#))
    cluster.stop()
  }

  /// The control commands, as processes, against one node of two.
  @Test func theCommandLineControlsADeployment() throws {
    let cluster = try Cluster("a", "b")
    try cluster.start()
    func run(_ arguments: String...) throws -> (code: ChildProcess.Ending?, output: String) {
      let process = try ChildProcess(
        try downbeatBinary(), arguments + ["--url", "http://127.0.0.1:\(cluster.node(0).port)"],
        outputPath: "\(cluster.directory.path)/command-\(Instant.nowUncached().ns)")
      return (process.wait(within: Cluster.patience), process.output)
    }
    #expect(try run("pause", "east", "--wait", "60").code == .exited(0))
    #expect(try cluster.node(1).desired() == "disabled")
    #expect(try run("status", "--json").output.contains(#"{"east":"disabled"}"#))
    #expect(try run("schedule", "east", "--hours", "3").code == .exited(0))
    #expect(try cluster.node(1).get("/_/crr/resume/east").body.contains("T"))
    #expect(try run("unschedule", "east").code == .exited(0))
    #expect(try cluster.node(1).get("/_/crr/resume/east").body == #"{"east":"none"}"#)
    #expect(try run("resume", "east").code == .exited(0))
    #expect(try cluster.node(1).desired() == "enabled")
    #expect(eventually(within: Cluster.patience) { cluster.nodes.allSatisfy(\.isReady) })
    #expect(try run("health").code == .exited(0))
    let unknown = try run("pause", "nowhere")
    #expect(unknown.code == .exited(1) && unknown.output.contains("nowhere"), "\(unknown)")
    cluster.stop()
    #expect(try run("status").code == .exited(1))
  }

  @Test func aSecondLiveNodeOfTheSameIdEndsNamingIt() throws {
    let cluster = try Cluster("twin")
    try cluster.start()
    let directory = TemporaryDirectory()
    // Another state directory, as on another machine.
    let second = try cluster.add("twin", stateDirectory: directory.path)
    try second.start()
    #expect(eventually(within: Cluster.patience) { (try? second.get("/_/ready").body.contains("TAKEN")) == true })  // not started yet
    #expect(second.wait(within: Cluster.patience) == .exited(1), "\(second.output)")
    #expect(second.output.contains("another live node has the id “twin”"))
    #expect(eventually(within: Cluster.patience) { cluster.node(0).isReady }, "\(cluster.node(0).output)")
    #expect(try cluster.node(0).post("/_/crr/pause/east?wait=60").status == 200)
    cluster.stop()
  }

  /// Killed, its report stands until its session ends; the next life takes it over and is not taken for a second node.
  @Test func aKilledNodeComesBackAtOnce() throws {
    let cluster = try Cluster("a")
    let node = cluster.node(0)
    try cluster.start()
    node.killNow()
    try cluster.start()
    #expect(!node.output.contains("alive already"), "\(node.output)")
    cluster.stop()
  }

  /// The state cannot be read: the node says so and consumes nothing.
  @Test(.enabled(if: ClusterServers.ownsZooKeeper)) func withoutAReadableStateNothingIsConsumed() throws {
    let cluster = try Cluster("a")
    let node = cluster.node(0)
    let load = try ClusterLoad(cluster, perSecond: 100)
    cluster.servers.zookeeper?.stop()
    try node.start()
    #expect(eventually(within: Cluster.patience) { node.status(of: "/_/ready") == 500 })
    #expect(try node.get("/_/ready").body.contains(#""component":"Zookeeper","status":"NOT_CONNECTED""#))
    #expect(try node.get("/_/crr/status").status == 503)
    #expect(try node.post("/_/crr/pause").status == 503)
    #expect(try node.figures().taken() == 0)
    try cluster.servers.zookeeper?.start()
    #expect(eventually(within: Cluster.patience) { node.isReady }, "\(node.output)")
    #expect(try eventually(within: Cluster.patience) { try node.figures().taken() > 0 })
    _ = load.stop()
    cluster.stop()
  }
}
