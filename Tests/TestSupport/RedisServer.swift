// A redis-server (or Sentinel) for tests.
internal import CLinux
internal import Glibc
internal import Reactor

/// A redis-server (or Sentinel) of the test's own, on a free loopback port, with its own directory; ended by its pid.
public final class RedisServer {
  public let port: Int
  public let directory = TemporaryDirectory()
  private var process: ChildProcess?
  private let arguments: [String]

  public init(_ arguments: [String] = [], port: Int? = nil) throws {
    self.port = try port ?? Int(freeLoopbackPort())
    self.arguments = arguments
    try start()
  }

  /// A Sentinel that watches `master` under `name`.
  public static func sentinel(of master: RedisServer, name: String, arguments: [String] = []) throws -> RedisServer {
    let directory = TemporaryDirectory()
    let path = directory.path + "/sentinel.conf"
    try writeFile(
      path,
      """
      sentinel monitor \(name) 127.0.0.1 \(master.port) 1
      sentinel down-after-milliseconds \(name) 500
      sentinel failover-timeout \(name) 2000

      """)
    let server = try RedisServer(configuration: path, arguments + ["--sentinel"])
    server.kept = directory
    return server
  }

  private var configuration: String?
  private var kept: TemporaryDirectory?

  private init(configuration: String, _ arguments: [String]) throws {
    port = try Int(freeLoopbackPort())
    self.arguments = arguments
    self.configuration = configuration
    try start()
  }

  public func start() throws {
    let own = ["--port", "\(port)", "--bind", "127.0.0.1", "--dir", directory.path, "--save", "", "--appendonly", "no"]
    let lead = configuration.map { [$0] } ?? []
    process = try ChildProcess("redis-server", lead + own + arguments, outputPath: directory.path + "/log")
    let isReady = eventually(within: .seconds(20)) {
      process?.output.contains("Ready to accept connections") == true || process?.output.contains("Sentinel ID is") == true
    }
    precondition(isReady, "redis-server: \(process?.output ?? "")")
  }

  public func stop() {
    process?.signal(SIGTERM)
    _ = process?.wait()
    process = nil
  }

  public func signal(_ number: Int32) { process?.signal(number) }

  /// redis-cli, as an operator would. - Returns: what it printed.
  @discardableResult
  public func cli(_ arguments: String...) throws -> String {
    let output = "\(directory.path)/cli-\(UInt64.random(in: 0...UInt64.max))"
    let cli = try ChildProcess("redis-cli", ["-p", "\(port)"] + arguments, outputPath: output)
    _ = cli.wait()
    return cli.output
  }
}
