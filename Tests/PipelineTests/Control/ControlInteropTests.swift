import CLinux
import Glibc
import Logging
import Pipeline
import PipelineCore
import Reactor
import TestSupport
import Testing

/// The whole control plane over a real redis-server and a real ZooKeeper: several nodes, and what others write by hand in
/// Backbeat's format, with redis-cli and zkCli.
@Suite(.serialized) struct ControlInteropTests {
  /// One node with sessions of its own.
  final class Node {
    let coordinator: ControlCoordinator
    let location: SimulatedLocation

    init(_ id: String, _ key: LocationKey, _ reactor: Reactor, redis: RedisServer, zookeeper: ZooKeeperServer) {
      let settings = ZooKeeperSettings(connectionString: "127.0.0.1:\(zookeeper.port)", sessionTimeout: .seconds(2))
      coordinator = ControlCoordinator(
        reactor: reactor, nodeId: id, store: ZooKeeperStore(reactor: reactor, settings: settings, nodeId: id),
        bus: RedisBus(reactor: reactor, settings: RedisSettings(place: .server(redis.endpoint))),
        log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      location = SimulatedLocation(key: key)
      location.coordinator = coordinator
      coordinator.add(key, sink: location)
      coordinator.start()
    }
  }

  let reactor: Reactor
  let redis: RedisServer
  let zookeeper: ZooKeeperServer
  let key = LocationKey(.crr, "aws-east")
  let channel = "backbeat-replication-aws-east"
  let path = "/backbeat/replication/state/aws-east"

  init() throws {
    reactor = try Reactor()
    redis = try RedisServer()
    zookeeper = try ZooKeeperServer()
  }

  private func start(_ ids: String..., key: LocationKey? = nil) -> [Node] {
    let nodes = ids.map { Node($0, key ?? self.key, reactor, redis: redis, zookeeper: zookeeper) }
    #expect(
      reactor.runUntil(within: .seconds(30)) {
        nodes.allSatisfy {
          $0.coordinator.isReady && $0.coordinator.busState == .ready
            && $0.coordinator.overview(of: key ?? self.key)?.nodes.filter(\.hearsBus).count == nodes.count
        }
      })
    return nodes
  }

  private func stop(_ nodes: [Node]) {
    for node in nodes {
      var isStopped = false
      node.coordinator.stop { isStopped = true }
      #expect(reactor.runUntil { isStopped })
    }
  }

  private func change(_ command: StateCommand, _ node: Node, wait: Duration? = nil) -> ChangeOutcome? {
    var found: ChangeOutcome?
    node.coordinator.change(command, at: [key], wait: wait) { found = $0 }
    #expect(reactor.runUntil { found != nil })
    return found
  }

  private func all(_ nodes: [Node], paused: Bool) -> Bool { nodes.allSatisfy { $0.location.isPaused == paused } }

  /// Everything published, as redis-cli prints it.
  private func listener() throws -> ChildProcess {
    let listener = try ChildProcess(
      "redis-cli", ["-p", "\(redis.port)", "psubscribe", "*"], outputPath: redis.directory.path + "/heard")
    #expect(eventually { listener.output.contains("psubscribe") })
    return listener
  }

  private func published(_ listener: ChildProcess, on channel: String) -> [String] {
    published(listener).filter { $0.channel == channel }.map(\.text)
  }

  /// redis-cli prints four lines for a message: its kind, the pattern, the channel, the payload.
  private func published(_ listener: ChildProcess) -> [(channel: String, text: String)] {
    let lines = listener.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    return lines.indices.filter { lines[$0] == "pmessage" && $0 + 3 < lines.count }.map { (lines[$0 + 2], lines[$0 + 3]) }
  }

  // MARK: What we write

  @Test func messagesAndNodesAreBackbeats() throws {
    let listener = try listener()
    let nodes = start("a", "b")
    #expect(try zookeeper.cli("get", path).contains(#"{"paused":false}"#))
    #expect(change(.pause, nodes[0]) == .done)
    #expect(all(nodes, paused: true))
    #expect(try zookeeper.cli("get", path).contains(#"{"paused":true,"scheduledResume":null}"#))
    #expect(change(.schedule(atMs: 1_927_857_906_789), nodes[1]) == .done)
    #expect(try zookeeper.cli("get", path).contains(#"{"paused":true,"scheduledResume":"2031-02-03T04:05:06.789Z"}"#))
    #expect(change(.unschedule, nodes[0]) == .done)
    #expect(change(.resume, nodes[1]) == .done)
    #expect(all(nodes, paused: false))
    let expected = [
      #"{"action":"pauseService","origin":"a","version":1}"#,
      #"{"action":"resumeService","date":"2031-02-03T04:05:06.789Z","origin":"b","version":2}"#,
      #"{"action":"deleteScheduledResumeService","origin":"a","version":3}"#,
      #"{"action":"resumeService","origin":"b","version":4}"#,
    ]
    #expect(eventually { published(listener, on: channel) == expected })
    // What else there is, Backbeat does not listen to.
    #expect(published(listener).filter { $0.channel != channel }.map(\.text) == [#"{"location":"aws-east","origin":"a","after":0}"#])
    #expect(!published(listener).contains { $0.channel != channel && $0.channel.hasPrefix("backbeat-") })
    let report = try zookeeper.cli("get", "/backbeat/replication/nodes/aws-east/a")
    #expect(report.contains(#"{"state":"enabled","inFlight":0,"since":""#) && report.contains(#""redis":true"#))
    listener.killNow()
    stop(nodes)
  }

  // MARK: What others write

  @Test func messagesWrittenByHandAreCarriedOut() throws {
    let nodes = start("a", "b", "c")
    try redis.cli("publish", channel, #"{"action":"pauseService"}"#)
    #expect(reactor.runUntil { all(nodes, paused: true) })
    #expect(try zookeeper.cli("get", "-s", path).contains("dataVersion = 1"), "by one node only")
    try redis.cli("publish", channel, #"{"action":"resumeService","date":"2031-02-03T04:05:06.789Z"}"#)
    #expect(reactor.runUntil { nodes[2].coordinator.desiredState(of: key).resumeAtMs == 1_927_857_906_789 })
    try redis.cli("publish", channel, #"{"action":"deleteScheduledResumeService"}"#)
    #expect(reactor.runUntil { nodes[2].coordinator.desiredState(of: key) == PauseState(paused: true) })
    for garbage in ["", "{", #"{"action":"x"}"#, #"{"action":"resumeService","date":"tomorrow"}"#] {
      try redis.cli("publish", channel, garbage)
    }
    try redis.cli("publish", channel, #"{"action":"resumeService"}"#)
    #expect(reactor.runUntil { all(nodes, paused: false) })
    #expect(nodes[0].coordinator.statistics.messagesMalformed == 4)
    stop(nodes)
  }

  @Test func nodesWrittenByHandAreFollowedAndTheirMembersKept() throws {
    try zookeeper.cli("create", "/backbeat")
    try zookeeper.cli("create", "/backbeat/replication")
    try zookeeper.cli("create", "/backbeat/replication/state")
    try zookeeper.cli("create", path, #"{"paused":true,"owner":"ops"}"#)
    let nodes = start("a", "b")
    #expect(nodes.map(\.location.told) == [[true], [true]], "never enabled, not for a moment")
    try zookeeper.cli("set", path, #"{"owner":"ops","paused":false}"#)
    #expect(reactor.runUntil { all(nodes, paused: false) })
    #expect(change(.pause, nodes[1]) == .done)
    #expect(try zookeeper.cli("get", path).contains(#"{"owner":"ops","paused":true,"scheduledResume":null}"#))
    stop(nodes)
  }

  @Test func ingestionHearsEveryLocationThroughItsPattern() throws {
    let ring = LocationKey(.ingestion, "ring-1")
    let nodes = start("a", "b", key: ring)
    #expect(all(nodes, paused: true))
    try redis.cli("publish", "backbeat-ingestion-ring-1", #"{"action":"resumeService"}"#)
    #expect(reactor.runUntil { all(nodes, paused: false) })
    #expect(try zookeeper.cli("get", "/backbeat/ingestion/state/ring-1").contains(#"{"paused":false,"scheduledResume":null}"#))
    stop(nodes)
  }

  // MARK: Faults

  @Test func withoutRedisPauseWorksAndAfterwardsTheFastPathIsBack() throws {
    let nodes = start("a", "b", "c")
    redis.stop()
    #expect(reactor.runUntil { nodes.allSatisfy { $0.coordinator.busState != .ready } })
    #expect(change(.pause, nodes[0]) == .done)
    #expect(all(nodes, paused: true))
    try redis.start()
    #expect(reactor.runUntil { nodes.allSatisfy { $0.coordinator.busState == .ready } })
    #expect(change(.resume, nodes[1]) == .done)
    #expect(all(nodes, paused: false))
    #expect(reactor.runUntil { nodes[2].coordinator.statistics.messagesWaking == 1 })
    stop(nodes)
  }

  @Test func withoutZooKeeperCommandsFailInTimeReadsAreStaleAndNothingChanges() throws {
    let nodes = start("a", "b")
    #expect(change(.pause, nodes[0]) == .done)
    zookeeper.stop()
    #expect(reactor.runUntil { nodes.allSatisfy { $0.coordinator.storeConnection == .lost } })
    let start = Instant.nowUncached()
    guard case .unavailable(_, outcomeUnknown: false) = change(.resume, nodes[1]) else {
      Issue.record("not unavailable")
      return
    }
    #expect(Instant.nowUncached() - start < .milliseconds(2_500))
    guard case .stale = nodes[1].coordinator.freshness(of: key) else {
      Issue.record("not stale")
      return
    }
    #expect(all(nodes, paused: true))
    try zookeeper.start()
    #expect(reactor.runUntil(within: .seconds(20)) { nodes.allSatisfy(\.coordinator.isReady) })
    #expect(change(.resume, nodes[1]) == .done)
    #expect(reactor.runUntil { all(nodes, paused: false) })
    stop(nodes)
  }

  @Test func wipedDataLeavesPausedPausedAlsoForALateNode() throws {
    var nodes = start("a", "b")
    #expect(change(.pause, nodes[0]) == .done)
    try zookeeper.wipe()
    let late = Node("late", key, reactor, redis: redis, zookeeper: zookeeper)
    nodes.append(late)
    #expect(reactor.runUntil(within: .seconds(20)) { nodes.allSatisfy(\.coordinator.isReady) })
    #expect(late.location.told == [true])
    #expect(!nodes.contains { $0.location.told.dropFirst().contains(false) })
    #expect(try zookeeper.cli("get", path).contains(#"{"paused":true,"scheduledResume":null}"#))
    stop(nodes)
  }

  @Test func twoOperatorsEndInTheLastAcknowledgedState() {
    let nodes = start("a", "b", "c")
    var random = SeededGenerator(seed: testSeed)
    var slowest = Duration.zero
    for round in 0..<150 {
      var open = 2
      for node in nodes.prefix(2) {
        node.coordinator.change(Bool.random(using: &random) ? .pause : .resume, at: [key]) { outcome in
          #expect(outcome == .done, "seed \(testSeed) round \(round)")
          open -= 1
        }
      }
      #expect(reactor.runUntil { open == 0 })
      let isPause = Bool.random(using: &random)
      let start = Instant.nowUncached()
      #expect(change(isPause ? .pause : .resume, nodes[Int.random(in: 0..<3, using: &random)]) == .done)
      slowest = max(slowest, Instant.nowUncached() - start)
      #expect(all(nodes, paused: isPause), "seed \(testSeed) round \(round)")
    }
    #expect(slowest < .milliseconds(900), "answers wait for the nodes and not for the time-out: \(slowest)")
    stop(nodes)
  }

  @Test func aScheduleFiresOnceInTheCluster() throws {
    let nodes = start("a", "b", "c")
    #expect(change(.pause, nodes[0]) == .done)
    #expect(change(.schedule(atMs: WallClock.nowMs() + 700), nodes[1]) == .done)
    #expect(reactor.runUntil { all(nodes, paused: false) })
    #expect(try zookeeper.cli("get", "-s", path).contains("dataVersion = 3"))
    #expect(nodes.map(\.coordinator.statistics.schedulesFired).reduce(0, +) == 1)
    stop(nodes)
  }
}
