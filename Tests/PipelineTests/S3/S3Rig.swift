// What the S3 tests share.
import TestSupport

@testable import Pipeline
@testable import Reactor

extension MotoServer {
  var settings: S3Settings { Self.settings([endpoint]) }

  static func settings(_ endpoints: [String]) -> S3Settings {
    S3Settings(
      endpoints: endpoints, region: region,
      credentials: S3Credentials(accessKey: accessKey, secretKey: secretKey, sessionToken: sessionToken))
  }
}

/// One worker's S3 parts.
final class S3Rig {
  let reactor: Reactor
  let pool: BlockPool
  let transport: any Transport

  /// - Parameter kind: nil: whichever the worker would take.
  init(
    _ reactor: Reactor, blocks: Int = BlockPool.blocksMaxDefault, limits: TransportLimits = TransportLimits(), kind: TransportKind? = nil
  ) {
    self.reactor = reactor
    pool = BlockPool(blocksMax: blocks)
    transport = kind?.make(reactor, pool: pool, limits: limits) ?? TransportChoice(reactor: reactor, pool: pool, limits: limits)
  }

  deinit { transport.end() }

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
