// A daemon beside servers of its own: broker, redis-server, a directory as source, two directories as locations. The real binary for
// all but Redis.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

final class ExternalBench {
  let directory = TemporaryDirectory()
  let port: UInt16
  private(set) var kafkaAddress = ""
  private let broker: ChildProcess
  private let redis: ChildProcess
  let redisPort: UInt16
  var configuration: String { "\(directory.path)/config.yaml" }

  /// - Parameter replication: further lines of `extensions.replication`. - Parameter locations: besides `east` and `west`.
  /// - Parameter ingestion: `extensions.ingestion`.
  init(replication: String = "", locations: [String] = [], ingestion: String = "{}") throws {
    port = try freeLoopbackPort()
    for name in ["source", "source/photos", "east", "west", "west/photos"] { _ = mkdir("\(directory.path)/\(name)", 0o755) }
    broker = try ChildProcess(
      try downbeatBinary(), ["broker"], outputPath: "\(directory.path)/broker")
    redisPort = try freeLoopbackPort()
    redis = try ChildProcess(
      "redis-server", ["--port", "\(redisPort)", "--bind", "127.0.0.1", "--dir", directory.path, "--save", "", "--appendonly", "no"],
      outputPath: "\(directory.path)/redis")
    let (broker, redis) = (self.broker, self.redis)
    #expect(eventually { broker.output.contains("\n") && redis.output.contains("Ready to accept connections") })
    kafkaAddress = broker.output.split(separator: "\n").first.map(String.init) ?? ""
    try writeFile(
      configuration,
      """
      server: { port: \(port) }
      kafka: { hosts: "\(kafkaAddress)" }
      redis: { host: 127.0.0.1, port: \(redisPort) }
      extensions:
        ingestion: \(ingestion)
        replication:
          source: { type: file, path: \(directory.path)/source }
          \(replication)
          destination:
            bootstrapList:
              - { site: east, type: file, path: \(directory.path)/east }
              - { site: west, type: file, path: \(directory.path)/west }
      \(locations.map { "        - \($0)" }.joined(separator: "\n"))
      """)
  }

  func start() throws -> ChildProcess {
    let process = try ChildProcess(
      try downbeatBinary(), ["serve", "--embedded", "--config", configuration, "--state-dir", "\(directory.path)/state"],
      outputPath: "\(directory.path)/daemon")
    // Nobody listens at first: not an error while starting.
    let isReady = eventually(within: .seconds(30)) { (try? get("/_/ready").status) == 200 || process.poll() != nil }
    #expect(isReady && process.poll() == nil, "\(process.output)")
    return process
  }

  func end() {
    for process in [broker, redis] {
      process.signal(SIGTERM)
      _ = process.wait()
    }
  }

  func get(_ path: String) throws -> LoopbackResponse { try request("GET", path, port: port) }

  /// As somebody else who writes to the same Redis.
  func redisCli(_ arguments: String...) throws -> String {
    let output = "\(directory.path)/cli-\(Instant.nowUncached().ns)"
    let cli = try ChildProcess("redis-cli", ["-p", "\(redisPort)"] + arguments, outputPath: output)
    _ = cli.wait()
    return cli.output
  }

  /// One command. - Returns: what it printed, and how it ended.
  func run(_ arguments: String...) throws -> (output: String, ending: ChildProcess.Ending?) {
    let path = "\(directory.path)/command-\(Instant.nowUncached().ns)"
    let process = try ChildProcess(try downbeatBinary(), arguments, outputPath: path)
    let ending = process.wait(within: .seconds(60))
    return (process.output, ending)
  }

  func resync(_ site: String, _ more: String...) throws -> (output: String, ending: ChildProcess.Ending?) {
    let path = "\(directory.path)/resync-\(Instant.nowUncached().ns)"
    let fixed = ["resync", "--config", configuration, "--state-dir", "\(directory.path)/state", "--location", site]
    let process = try ChildProcess(try downbeatBinary(), fixed + more, outputPath: path)
    let ending = process.wait(within: .seconds(60))
    return (process.output, ending)
  }

  func status(_ key: String, _ site: String? = nil) -> String? {
    let name = site.map { "user.\($0)-replication-status" } ?? "user.replication-status"
    return extendedAttribute(name, of: "\(directory.path)/source/photos/\(key)")
  }
}
