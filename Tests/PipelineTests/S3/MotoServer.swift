import Foundation
import Testing
import TestSupport

@testable import Pipeline
@testable import Reactor

/// A real S3 server for tests: moto, from PyPI, in an environment that scripts/test makes; or the service that
/// DOWNBEAT_TEST_S3 names. Ended by its pid.
final class MotoServer {
  let endpoint: String
  private let directory = TemporaryDirectory()
  private let process: ChildProcess?

  /// - Parameter port: to come back under the same address.
  init(port: UInt16? = nil) throws {
    if let external = ProcessInfo.processInfo.environment["DOWNBEAT_TEST_S3"], port == nil {
      endpoint = external
      process = nil
      return
    }
    let port = try port ?? freeLoopbackPort()
    endpoint = "http://127.0.0.1:\(port)"
    process = try ChildProcess(
      try Self.tool("moto_server"), ["-H", "127.0.0.1", "-p", "\(port)"],
      environment: ["MOTO_S3_CUSTOM_ENDPOINTS": nil], outputPath: "\(directory.path)/log")
    // Nobody listens at first.
    let isUp = eventually(within: .seconds(60)) { (try? request("GET", "/", port: port).status) != nil || process?.poll() != nil }
    precondition(isUp && process?.poll() == nil, "moto_server: \(process?.output ?? "")")
  }

  var output: String { process?.output ?? "" }
  func stop() { process?.killNow() }
  func signal(_ number: Int32) { process?.signal(number) }

  /// A program of that environment.
  static func tool(_ name: String) throws -> String {
    let root = #filePath.components(separatedBy: "/Tests/PipelineTests/")[0]
    let path = "\(root)/.build/moto/bin/\(name)"
    try #require(FileManager.default.isExecutableFile(atPath: path), "no \(path): run scripts/test once, it makes the environment")
    return path
  }

  var settings: S3Settings {
    let environment = ProcessInfo.processInfo.environment
    return S3Settings(
      endpoints: [endpoint], region: environment["AWS_REGION"] ?? "us-east-1",
      credentials: S3Credentials(
        accessKey: environment["AWS_ACCESS_KEY_ID"] ?? "test", secretKey: environment["AWS_SECRET_ACCESS_KEY"] ?? "test",
        sessionToken: environment["AWS_SESSION_TOKEN"]))
  }
}

/// One worker's S3 parts.
final class S3Rig {
  let reactor: Reactor
  let pool: BlockPool
  let transport: CurlTransport

  init(_ reactor: Reactor, blocks: Int = BlockPool.blocksMaxDefault, limits: TransportLimits = TransportLimits()) {
    self.reactor = reactor
    pool = BlockPool(blocksMax: blocks)
    transport = CurlTransport(reactor: reactor, pool: pool, limits: limits)
  }

  deinit { transport.close() }

  func client(_ settings: S3Settings, _ side: StoreSide = .target) -> S3Client { S3Client(settings: settings, side: side, transport: transport) }

  /// A bucket of its own.
  func makeBucket(_ settings: S3Settings, isVersioned: Bool = false) async throws -> String {
    let name = "test-\(UInt64.random(in: 0...UInt64.max))"
    let client = client(settings)
    _ = try await client.perform(S3Request("PUT", name, body: .bytes([])))
    if isVersioned {
      let body = Array("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>".utf8)
      _ = try await client.perform(
        S3Request("PUT", name, query: [("versioning", "")], headers: S3Client.bodyHeaders(body), body: .bytes(body)))
    }
    return name
  }

  /// Puts an object as its owner would. - Returns: its version id.
  @discardableResult
  func put(_ settings: S3Settings, _ bucket: String, _ key: String, _ bytes: [UInt8], headers: [HTTPHeader] = []) async throws -> String? {
    let answer = try await client(settings).perform(S3Request("PUT", bucket, key, headers: headers, body: .bytes(bytes)))
    return answer.head["x-amz-version-id"]
  }

  func get(_ settings: S3Settings, _ bucket: String, _ key: String, version: String? = nil) async throws -> S3Answer {
    let exchange = client(settings).begin(S3Request("GET", bucket, key, query: version.map { [("versionId", $0)] } ?? []))
    defer { exchange.cancel() }
    let head = try await exchange.head()
    return S3Answer(head: head, body: try await exchange.rest(max: 1 << 30))
  }
}

/// Runs `body` on a worker of its own.
func onS3Worker<Value: Sendable>(_ body: @escaping @Sendable (Reactor) async throws -> Value) async throws -> Value {
  let worker = try ReactorWorker()
  defer { worker.end() }
  return try await worker.run(body)
}

func patternBytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
  var random = SeededGenerator(seed: seed)
  var bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
    filled = count
    for index in stride(from: 0, to: count - count % 8, by: 8) {
      let word = random.next()
      for part in 0..<8 { buffer[index + part] = UInt8(truncatingIfNeeded: word >> (8 * UInt64(part))) }
    }
    for index in (count - count % 8)..<count { buffer[index] = UInt8(index & 255) }
  }
  if count == 0 { bytes = [] }
  return bytes
}

func md5Hex(_ bytes: [UInt8]) -> String {
  let md5 = MD5()
  bytes.withUnsafeBytes { md5.add($0) }
  return md5.finish().hex
}
