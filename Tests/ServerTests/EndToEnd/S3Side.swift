// A bucket of a real S3 server, as the tests fill and inspect it from outside the daemon.
import PipelineCore
import Reactor
import TestSupport

@testable import Pipeline

/// Runs `body` with a client of its own.
func onS3<Value: Sendable>(_ endpoint: String, _ body: @escaping @Sendable (S3Client) async throws -> Value) async throws -> Value {
  let worker = try ReactorWorker()
  defer { worker.end() }
  return try await worker.run { reactor in
    let transport = TransportChoice(reactor: reactor, pool: BlockPool(blocksMax: 32))
    defer { transport.close() }
    let settings = S3Settings(
      endpoints: [endpoint], region: MotoServer.region,
      credentials: S3Credentials(
        accessKey: MotoServer.accessKey, secretKey: MotoServer.secretKey, sessionToken: MotoServer.sessionToken))
    return try await body(S3Client(settings: settings, side: .target, transport: transport))
  }
}

struct S3Side: Sendable {
  /// Requests under way at a time: a server of tests does one thing at a time anyway.
  static let atOnce = 8

  let endpoint: String
  let bucket: String

  /// An object to be put.
  struct Upload: Sendable {
    var key: String
    var bytes: [UInt8]
    var headers: [HTTPHeader] = []
  }

  func make() async throws {
    let bucket = bucket
    try await onS3(endpoint) { client in
      _ = try await client.perform(S3Request("PUT", bucket, body: .bytes([])))
      let body = Array("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>".utf8)
      _ = try await client.perform(
        S3Request("PUT", bucket, query: [("versioning", "")], headers: S3Client.bodyHeaders(body), body: .bytes(body)))
    }
  }

  func put(_ count: Int, _ upload: @escaping @Sendable (Int) -> Upload) async throws {
    let bucket = bucket
    try await onS3(endpoint) { client in
      for start in stride(from: 0, to: count, by: Self.atOnce) {
        let begun = (start..<min(start + Self.atOnce, count)).map { index in
          let upload = upload(index)
          return client.begin(S3Request("PUT", bucket, upload.key, headers: upload.headers, body: .bytes(upload.bytes)))
        }
        for exchange in begun { _ = try await exchange.answer() }
      }
    }
  }

  func remove(_ keys: [String]) async throws {
    let bucket = bucket
    try await onS3(endpoint) { client in for key in keys { try await client.remove(bucket, key) } }
  }

  /// All versions by key, oldest first.
  func versions() async throws -> [String: [S3Version]] {
    let bucket = bucket
    return try await onS3(endpoint) { client in
      var found: [String: [S3Version]] = [:]
      var marker: S3ListMarker?
      repeat {
        let page = try await client.versions(of: bucket, after: marker)
        for version in page.versions { found[version.key, default: []].insert(version, at: 0) }
        marker = page.next
      } while marker != nil
      // Some servers name all delete markers of a page behind all its versions, and times are in seconds.
      return found.mapValues { $0.sorted { ($0.lastModified, $0.isLatest ? 1 : 0) < ($1.lastModified, $1.isLatest ? 1 : 0) } }
    }
  }

  func md5(_ version: S3Version) async throws -> String {
    let bucket = bucket
    return try await onS3(endpoint) { client in
      let query = version.versionId.map { [("versionId", $0)] } ?? []
      let exchange = client.begin(S3Request("GET", bucket, version.key, query: query))
      defer { exchange.cancel() }
      _ = try await exchange.head()
      let md5 = MD5()
      while let block = try await exchange.receive() { md5.add(block.filled) }
      return md5.finish().hex
    }
  }

  /// Metadata and tags of some versions, in order; statuses left out.
  func attributes(_ versions: [S3Version]) async throws -> [ObjectAttributes] {
    let bucket = bucket
    return try await onS3(endpoint) { client in
      var all: [ObjectAttributes] = []
      for version in versions {
        let query = version.versionId.map { [("versionId", $0)] } ?? []
        var attributes = try await client.head(bucket, version.key, version: query)?.head.objectAttributes ?? ObjectAttributes()
        attributes.tags = try await client.tags(bucket, version.key, version: query)
        attributes = attributes.withoutStatuses
        attributes.user.sort { $0.name < $1.name }
        attributes.tags.sort { $0.name < $1.name }
        all.append(attributes)
      }
      return all
    }
  }

  /// Statuses that the tags of some versions show, in order.
  func statuses(_ versions: [S3Version]) async throws -> [[String: String]] {
    let bucket = bucket
    return try await onS3(endpoint) { client in
      var all: [[String: String]] = []
      for start in stride(from: 0, to: versions.count, by: Self.atOnce) {
        let begun = versions[start..<min(start + Self.atOnce, versions.count)].map { version in
          let query = [("tagging", "")] + (version.versionId.map { [("versionId", $0)] } ?? [])
          let request = S3Request("GET", bucket, version.key, query: query)
          return (client.begin(request), request)
        }
        for (exchange, request) in begun {
          let tags = S3Client.tags(try client.document(try await exchange.answer(), request))
          all.append(tags.replicationStatuses.mapValues(\.rawValue))
        }
      }
      return all
    }
  }
}
