// The servers a deployment shares: one redis-server, one ZooKeeper and one `downbeat broker` for the whole suite, or those that
// somebody else runs (DOWNBEAT_TEST_REDIS, DOWNBEAT_TEST_ZOOKEEPER, DOWNBEAT_TEST_KAFKA, each host:port).
import CLinux
import Glibc
import TestSupport

final class ClusterServers {
  /// Topics made beforehand, one for each deployment: the embedded broker knows no other way.
  static let topicCount = 40
  static let partitionCount = 6

  /// nil: somebody else's, which cannot be stopped.
  let redis: RedisServer?
  let zookeeper: ZooKeeperServer?
  private let broker: ChildProcess?
  private let directory = TemporaryDirectory()
  let redisAddress: String
  let zookeeperAddress: String
  let kafkaAddress: String
  private var deploymentCount = 0

  // Touched by one suite whose tests run one after the other, and at the end of the process.
  nonisolated(unsafe) private static var current: ClusterServers?

  static func shared() throws -> ClusterServers {
    if let current { return current }
    let made = try ClusterServers()
    current = made
    atexit { ClusterServers.current = nil }
    return made
  }

  static func foreign(_ name: String) -> String? { getenv("DOWNBEAT_TEST_\(name)").map { String(cString: $0) } }
  static var ownsRedis: Bool { foreign("REDIS") == nil }
  static var ownsZooKeeper: Bool { foreign("ZOOKEEPER") == nil }
  /// The long form of a test, for a machine that has the time.
  static var isLong: Bool { getenv("DOWNBEAT_TEST_LONG") != nil }

  private init() throws {
    redis = Self.ownsRedis ? try RedisServer() : nil
    zookeeper = Self.ownsZooKeeper ? try ZooKeeperServer() : nil
    redisAddress = Self.foreign("REDIS") ?? "127.0.0.1:\(redis?.port ?? 0)"
    zookeeperAddress = Self.foreign("ZOOKEEPER") ?? "127.0.0.1:\(zookeeper?.port ?? 0)"
    if let address = Self.foreign("KAFKA") {
      broker = nil
      kafkaAddress = address
      return
    }
    let topics = (0..<Self.topicCount).map(Self.topic)
    let process = try ChildProcess(
      try downbeatBinary(), ["broker", "--partitions", "\(Self.partitionCount)", "--topic"] + topics,
      outputPath: directory.path + "/broker")
    guard eventually(within: .seconds(30), { process.output.contains("\n") }) else {
      throw ChildProcess.StartError(description: "downbeat broker: \(process.output)")
    }
    broker = process
    kafkaAddress = String(process.output.prefix { $0 != "\n" })
  }

  private static func topic(_ index: Int) -> String { "cluster-\(index)" }

  /// Names that no other deployment of this run has.
  func nextNames() -> (topic: String, chroot: String) {
    defer { deploymentCount += 1 }
    precondition(deploymentCount < Self.topicCount, "more topics are needed")
    let chroot = "/downbeat-test-\(getpid())-\(deploymentCount)"
    return (broker == nil ? "downbeat-test-\(getpid())-\(deploymentCount)" : Self.topic(deploymentCount), chroot)
  }
}
