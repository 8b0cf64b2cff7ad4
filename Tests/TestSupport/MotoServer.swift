// A real S3 server for tests: moto, from PyPI, in an environment that scripts/test makes; or the service that
// DOWNBEAT_TEST_S3 names.
internal import CLinux
internal import Glibc
internal import Reactor

public final class MotoServer {
  /// `http://host:port`.
  public let endpoint: String
  public let port: UInt16
  private let directory = TemporaryDirectory()
  private let process: ChildProcess?

  /// - Parameter port: to come back under the same address; it has forgotten everything then.
  /// - Blocking: until it answers, some seconds.
  public init(port asked: UInt16? = nil) throws {
    if let external = Self.variable("DOWNBEAT_TEST_S3"), asked == nil {
      endpoint = external
      port = external.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
      process = nil
      return
    }
    port = try asked ?? freeLoopbackPort()
    endpoint = "http://127.0.0.1:\(port)"
    let process = try ChildProcess(
      try Self.tool("moto_server"), ["-H", "127.0.0.1", "-p", "\(port)"], outputPath: "\(directory.path)/log")
    self.process = process
    let isUp = eventually(within: .seconds(60)) {
      // Nobody listens at first.
      (try? request("GET", "/", port: port).status) != nil || process.poll() != nil
    }
    precondition(isUp && process.poll() == nil, "moto_server: \(process.output)")
  }

  public var output: String { process?.output ?? "" }
  public func stop() { process?.killNow() }
  public func signal(_ number: Int32) { process?.signal(number) }

  /// Who the tests are at the service; moto takes anybody.
  public static let region = variable("AWS_REGION") ?? "us-east-1"
  public static let accessKey = variable("AWS_ACCESS_KEY_ID") ?? "test"
  public static let secretKey = variable("AWS_SECRET_ACCESS_KEY") ?? "test"
  public static let sessionToken = variable("AWS_SESSION_TOKEN")

  /// The same in the configuration of a location.
  public static var account: String {
    let token = sessionToken.map { ", sessionToken: \"\($0)\"" } ?? ""
    return "region: \(region), credentials: { accessKey: \"\(accessKey)\", secretKey: \"\(secretKey)\"\(token) }"
  }

  /// A program of that environment.
  public static func tool(_ name: String) throws -> String {
    let path = "\(repositoryRoot)/.build/moto/bin/\(name)"
    guard access(path, X_OK) == 0 else {
      throw ChildProcess.StartError(description: "no \(path): run scripts/test once, it makes the environment")
    }
    return path
  }

  /// Of the environment; nil if absent.
  public static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  private static let repositoryRoot: String = {
    let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    return parts.dropLast(3).joined(separator: "/")
  }()
}
