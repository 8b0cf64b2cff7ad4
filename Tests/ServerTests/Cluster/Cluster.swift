// A deployment for one test: daemons as processes of their own over the suite's servers, with a topic and a chroot of its own.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

final class Cluster {
  let servers: ClusterServers
  let topic: String
  let chroot: String
  let locations: [String]
  let mode: String
  private let sessionMs: Int
  /// Locations of ingestion and of lifecycle, which run elsewhere.
  private let ingestion: [String]
  let directory = TemporaryDirectory()
  private(set) var nodes: [ClusterNode] = []
  /// Nodes may take so long for anything on a busy machine.
  static let patience = Duration.seconds(90)

  /// Makes the nodes; starts none.
  /// - Parameter sessionMs: of the consumer group. Short ones save time, because the embedded broker makes whoever joins a group
  ///   wait for about one, but whoever joins an emptied group waits 3 s there, and with a session shorter than that is expelled
  ///   meanwhile and never told; where a member lost by mistake would spoil the figures they are long.
  init(
    _ ids: String..., mode: String = "hold", locations: [String] = ["east"], sessionMs: Int = 5_000,
    ingestion: [String] = [], lifecycle: [String] = []
  ) throws {
    servers = try ClusterServers.shared()
    (topic, chroot) = servers.nextNames()
    self.locations = locations
    self.mode = mode
    self.sessionMs = sessionMs
    self.ingestion = ingestion
    let cold = lifecycle.map { "\"\($0)\": {}" }.joined(separator: ", ")
    if !cold.isEmpty { try writeFile("\(directory.path)/locationConfig.json", "{\(cold)}") }
    for id in ids { try add(id) }
  }

  /// A node more, not started.
  @discardableResult
  func add(_ id: String, stateDirectory: String? = nil) throws -> ClusterNode {
    let port = try freeLoopbackPort()
    let redis = servers.redisAddress.split(separator: ":")
    let list = locations.map { "        - { site: \($0), type: noop }" }.joined(separator: "\n")
    let sources = ingestion.map { "{ locationConstraint: \($0), disabled: true }" }.joined(separator: ", ")
    let path = "\(directory.path)/\(id)-\(port).yaml"
    try writeFile(
      path,
      """
      node: { id: \(id) }
      server: { port: \(port) }
      kafka:
        hosts: "\(servers.kafkaAddress)"
        properties: { session.timeout.ms: \(sessionMs), heartbeat.interval.ms: 500 }
      zookeeper: { connectionString: "\(servers.zookeeperAddress)\(chroot)", autoCreateNamespace: true }
      redis: { host: \(redis[0]), port: \(redis[1]) }
      extensions:
        ingestion: { topic: \(topic)-ingestion, sources: [\(sources)] }
        replication:
          topic: \(topic)
          queueProcessor: { groupId: \(topic)-group, pauseMode: \(mode) }
          destination:
            bootstrapList:
      \(list)

      """)
    let node = ClusterNode(id: id, port: port, configuration: path, directory: stateDirectory ?? directory.path)
    nodes.append(node)
    return node
  }

  /// Starts what does not run, and waits until all of it is ready.
  func start(_ chosen: [ClusterNode]? = nil) throws {
    let starting = chosen ?? nodes
    for node in starting { try node.start() }
    let isReady = eventually(within: Self.patience) { starting.allSatisfy { $0.isReady || $0.ending != nil } }
    for node in starting where node.ending != nil || !isReady { Issue.record("\(node.id) is not ready: \(node.output)") }
    // Each sees the reports of all, and hears messages.
    let liveCount = nodes.filter { $0.status(of: "/_/live") == 200 }.count
    let isWhole = eventually(within: Self.patience) {
      starting.allSatisfy { node in
        guard let figures = try? node.figures() else { return false }  // gone: not whole
        return figures.isBusUp && locations.allSatisfy { figures.nodes($0) == liveCount }
      }
    }
    #expect(isWhole, "\(starting.map(\.output))")
  }

  func node(_ index: Int) -> ClusterNode { nodes[index % nodes.count] }

  func sum(_ figure: (ClusterNode.Figures) -> Int) throws -> Int { try nodes.reduce(0) { try $0 + figure($1.figures()) } }
  func finished(_ location: String = "east") throws -> Int { try sum { $0.finished(location) } }
  func taken(_ location: String = "east") throws -> Int { try sum { $0.taken(location) } }

  /// Whether every node is, in effect, in this state.
  func all(_ state: String, _ location: String = "east") -> Bool {
    nodes.allSatisfy { (try? $0.figures().state(location)) == state }  // gone: not in that state
  }

  /// Whether every node tells this desired state.
  func allTell(_ state: String, _ location: String = "east") -> Bool {
    nodes.allSatisfy { (try? $0.desired(location)) == state }  // gone: not telling
  }

  func stop() { for node in nodes { #expect(node.stop(), "\(node.id): \(node.output)") } }
}
