// Several real daemons that share one broker and one consumer group, fed at a steady rate, and killed, stopped and started
// at will. Their location is a `noop` one that writes a trace, so what ran where and when is known to the nanosecond,
// whatever became of the process.
//
// The broker is librdkafka's mock in this process: a group notices a dead member after `session.timeout.ms` and waits
// about as long again for the others to join, so both are as short as the mock bears.
import CLinux
import Glibc
import Pipeline
import PipelineCore
import Reactor
import TestSupport
import Testing

/// One daemon, over all its lives.
final class FleetNode {
  let name: String
  let port: UInt16
  let tracePath: String
  fileprivate(set) var process: ChildProcess?
  fileprivate var lives = 0

  fileprivate init(_ name: String, _ directory: String) throws {
    self.name = name
    port = try freeLoopbackPort()
    tracePath = "\(directory)/trace-\(name)"
  }

  var isRunning: Bool { process != nil }
  var pid: Int32? { process?.pid }
}

final class Fleet: ProducerDelegate, ConsumerDelegate {
  static let topic = "backbeat-replication"
  /// Entries that nobody has done yet: with more, feeding rests. The mock keeps 5 MB of each partition and then drops what nobody has
  /// read, which a fleet that is killed as fast as it assembles would come to after half an hour.
  private static let backlogMax = 12_000
  /// The mock's first join takes 3 s; a shorter session expels the joiner.
  static let sessionMs = 4_500

  struct Shape {
    var partitions = 6
    var keys = 60
    var taskMs = 20
    var concurrency = 8
    var waitingMax = 8
    /// Entries a second, over all keys.
    var rate = 150
    /// A second location, `slow`, whose tasks take this long.
    var slowTaskMs: Int?
    /// The nodes' group assembles as a real broker's does, at once (`KafkaProxy`).
    var assemblesAtOnce = false
  }

  let shape: Shape
  let directory = TemporaryDirectory()
  let trace = FleetTrace()
  private(set) var nodes: [FleetNode] = []
  private let reactor: Reactor
  private let broker: EmbeddedBroker
  private let proxy: KafkaProxy?
  /// Longer than it takes a busy member to ask for its part.
  private static let leaderWaits = Duration.milliseconds(150)
  private var producer: Producer!
  /// Never joins: only asks where the group stands.
  private var surveyor: Consumer!
  private var delivered = 0
  private(set) var produced = 0
  private var feedingSince: Instant?
  private var producedBeforeFeeding = 0

  init(_ shape: Shape = Shape()) throws {
    self.shape = shape
    reactor = try Reactor(name: "fleet-test")
    broker = try EmbeddedBroker(topics: [
      .init(Self.topic, partitions: shape.partitions), .init("backbeat-replication-dead-letter"),
      .init("backbeat-replication-status"), .init("backbeat-replication-failed"),
    ])
    let port = broker.bootstrapServers.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
    proxy = shape.assemblesAtOnce ? try KafkaProxy(upstream: port, leaderWaits: Self.leaderWaits) : nil
    let properties = try KafkaProperties(bootstrapServers: broker.bootstrapServers, user: ["linger.ms": "5"])
    producer = try Producer(ProducerConfiguration(properties: properties), on: reactor, delegate: self)
    let group = ConsumerConfiguration(properties: properties, groupId: "backbeat-replication-group-east", topic: Self.topic)
    surveyor = try Consumer(group, on: reactor, delegate: self)
  }

  var slots: Int { shape.concurrency + shape.waitingMax }

  // MARK: Nodes

  /// A new node, not started.
  func addNode(_ name: String) throws -> FleetNode {
    let node = try FleetNode(name, directory.path)
    let slow = shape.slowTaskMs.map { "- { site: slow, type: noop, taskMs: \($0), traceFile: \(node.tracePath)-slow }" } ?? ""
    try writeFile(
      "\(directory.path)/\(name).yaml",
      """
      node: { id: \(name) }
      server: { port: \(node.port) }
      kafka:
        hosts: "\(proxy.map { "127.0.0.1:\($0.port)" } ?? broker.bootstrapServers)"
        properties: { session.timeout.ms: \(Self.sessionMs), heartbeat.interval.ms: 200, fetch.wait.max.ms: 50, reconnect.backoff.max.ms: 300 }
      extensions:
        replication:
          destination:
            bootstrapList:
              - { site: east, type: noop, taskMs: \(shape.taskMs), traceFile: \(node.tracePath) }
              \(slow)
          queueProcessor: { concurrency: \(shape.concurrency), waitingMax: \(shape.waitingMax), pauseMode: hold, stuckTaskS: 1 }
      """)
    nodes.append(node)
    return node
  }

  func start(_ node: FleetNode) throws {
    precondition(node.process == nil)
    node.lives += 1
    let process = try ChildProcess(
      try downbeatBinary(),
      [
        "serve", "--embedded", "--config", "\(directory.path)/\(node.name).yaml", "--state-dir", "\(directory.path)/state-\(node.name)",
        "--roles", "api,queue-processor",
      ],
      outputPath: "\(directory.path)/out-\(node.name)-\(node.lives)")
    node.process = process
    trace.begin(pid: process.pid, node: node.name)
  }

  /// SIGKILL.
  func kill(_ node: FleetNode) {
    guard let process = node.process else { return }
    process.killNow()
    let now = Instant.nowUncached()
    trace.died(pid: process.pid, .killed, at: now, committed: committed())
    node.process = nil
  }

  /// SIGTERM, feeding on until it has gone. - Returns: how it ended.
  func stop(_ node: FleetNode) -> ChildProcess.Ending? {
    guard let process = node.process else { return nil }
    process.signal(SIGTERM)
    _ = run(within: .seconds(40)) { process.poll() != nil }
    trace.died(pid: process.pid, .stopped, at: Instant.nowUncached())
    node.process = nil
    if process.poll() != .exited(0) { Issue.record("\(node.name) ended with \(String(describing: process.poll())): \(process.output.suffix(2_000))") }
    return process.poll()
  }

  /// Ends of the node's present life so far.
  func endsOfThisLife(_ node: FleetNode) -> Int { node.process.map { trace.ends(pid: $0.pid) } ?? 0 }

  var logs: String {
    nodes.map { node in "\(node.name): \(node.process?.output.suffix(3_000) ?? "down")" }.joined(separator: "\n")
  }

  // MARK: Feeding

  func feed() {
    feedingSince = Instant.nowUncached()
    producedBeforeFeeding = produced
  }

  func stopFeeding() { feedingSince = nil }

  func produce(_ count: Int, site: String = "east") throws {
    for _ in 0..<count {
      let key = produced % shape.keys
      let partition = key % shape.partitions
      try producer.produce(
        topic: Self.topic, key: Array("photos%2Fk\(key)".utf8), value: Array(fleetEntry("k\(key)", site: site, version: produced).utf8),
        partition: Partition(Int32(partition)), token: UInt64(produced))
      produced += 1
    }
  }

  /// Turns the loop, feeds and reads the traces until `condition` holds.
  /// - Returns: false when `deadline` passed first.
  func run(within deadline: Duration, _ condition: () throws -> Bool) rethrows -> Bool {
    let end = Instant.nowUncached() + deadline
    while true {
      reactor.runOnce(waitMax: .milliseconds(10))
      if let feedingSince {
        let elapsedMs = Int((Instant.nowUncached() - feedingSince) / .milliseconds(1))
        let due = producedBeforeFeeding + elapsedMs * shape.rate / 1_000
        let room = Self.backlogMax - (produced - trace.doneCount)
        do { try produce(max(0, min(due - produced, 1_000, room))) } catch { Issue.record("\(error)") }
      }
      do { for node in nodes { try trace.read(node.tracePath) } } catch { Issue.record("\(error)") }
      if try condition() { return true }
      if Instant.nowUncached() > end { return false }
    }
  }

  func run(for time: Duration) { _ = run(within: time) { false } }

  /// Until everything produced so far has been done by somebody.
  func finish(within deadline: Duration = .seconds(120)) -> Bool {
    stopFeeding()
    return run(within: deadline) { delivered == produced && trace.doneCount == produced }
  }

  /// How often it has told of a rebalance or a commit that was refused.
  static func unrest(_ process: ChildProcess) -> Int {
    process.output.split(separator: "\n").count { $0.contains("partitions revoked") || $0.contains("commit failed") }
  }

  /// Everything that ended is committed, as a running node shows it.
  func isCommitted(_ node: FleetNode) -> Bool {
    run(within: .seconds(30)) {
      // A node that is busy joining may not answer at once.
      guard let answer = try? request("GET", "/_/crr/locations/east", port: node.port) else { return false }
      return answer.body.contains(#""lag":0,"#)
    }
  }

  /// Where the group's commits stand, by partition, as the broker has them.
  func committed() -> [Int: Int64] {
    var answer: [Int: Int64]?
    surveyor.survey { result in
      guard case .success(let partitions) = result else {
        answer = [:]
        return
      }
      answer = Dictionary(uniqueKeysWithValues: partitions.map { (Int($0.partition.value), $0.committed?.value ?? 0) })
    }
    _ = reactor.runUntil(within: .seconds(20)) { answer != nil }
    return answer ?? [:]
  }

  /// Every running node has finished something since now, and the broker has taken a commit for every partition since then:
  /// nobody is joining or leaving.
  func settle() -> Bool {
    let ends = nodes.map(endsOfThisLife)
    guard run(within: .seconds(60), { zip(nodes, ends).allSatisfy { !$0.isRunning || endsOfThisLife($0) > $1 } }) else { return false }
    let before = committed()
    return run(within: .seconds(60)) {
      let now = committed()
      return before.count == shape.partitions && before.allSatisfy { now[$0.key] ?? 0 > $0.value }
    }
  }

  /// The test is the only producer and goes round the keys, so an entry's number says where it is.
  func place(of version: Int) -> (partition: Int, offset: Int64) {
    precondition(shape.keys % shape.partitions == 0)
    return (version % shape.partitions, Int64(version / shape.partitions))
  }

  func producer(_ producer: Producer, delivered delivery: Delivery) {
    if let error = delivery.error { Issue.record("not produced: \(error)") }
    delivered += 1
  }
  func producer(_ producer: Producer, failed error: KafkaError) {}
  func producerDidClose(_ producer: Producer) {}

  func consumerMayTake(_ consumer: Consumer) -> Int { 0 }
  func consumer(_ consumer: Consumer, received message: consuming KafkaMessage) {}
  func consumer(_ consumer: Consumer, assigned partitions: [Partition], generation: UInt32) {}
  func consumer(_ consumer: Consumer, revoked partitions: [Partition], generation: UInt32, isLost: Bool) {}
  func consumer(_ consumer: Consumer, committed result: CommitResult) {}
  func consumer(_ consumer: Consumer, skipped gap: OffsetGap) {}
  func consumer(_ consumer: Consumer, failed error: KafkaError) {}
  func consumerDidClose(_ consumer: Consumer) {}
}

/// An entry in Backbeat's form. The version is a number that grows with each entry, over all keys.
func fleetEntry(_ key: String, site: String = "east", version: Int) -> String {
  let value =
    #"{\"content-length\":10,\"content-md5\":\"0cc175b9c0f1b6a831c399e269772661\",\"versionId\":\"\#(version)\",\"last-modified\":\"2031-02-03T04:05:06.789Z\","#
    + #"\"replicationInfo\":{\"status\":\"PENDING\",\"backends\":[{\"site\":\"\#(site)\",\"status\":\"PENDING\",\"dataStoreVersionId\":\"\"}],"#
    + #"\"content\":[\"DATA\"],\"destination\":\"arn:aws:s3:::b\",\"storageClass\":\"\#(site)\"}}"#
  return #"{"type":"put","bucket":"photos","key":"\#(key)","value":"\#(value)"}"#
}
