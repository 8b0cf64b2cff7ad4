// Another writer between the look at a target and the write: it is not overwritten unseen. And services that cannot do that.
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite(.serialized) struct WriteConditionTests {
  // The later, the smaller.
  private static let versions = ["98999999999999999999RG001  1", "98999999999999999998RG001  2", "98999999999999999997RG001  3"]

  private static func request(_ key: String, version: Int, _ bytes: [UInt8]) -> ObjectRequest {
    var request = ObjectRequest(site: "b", bucket: "bkt", key: key)
    (request.versionId, request.size) = (versions[version], Int64(bytes.count))
    request.md5 = MD5Digest(hex: md5Hex(bytes))
    return request
  }

  /// In one block, and as a stream.
  @Test(arguments: [1_000, BlockPool.blockBytes + 1], [false, true]) func whatAnotherPutThereMeanwhileStays(size: Int, replacing: Bool) async throws {
    let server = try MotoServer()
    let settings = server.settings
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let bucket = try await rig.makeBucket(settings, isVersioned: true)
      func destination() -> S3Destination {
        S3Destination(client: rig.client(settings), placement: S3Placement(bucket: bucket, bucketMatch: true))
      }
      let (ours, theirs) = (destination(), destination())
      let bytes = (0..<3).map { patternBytes(size, seed: UInt64($0)) }
      func put(
        _ destination: S3Destination, version: Int, before: @escaping () async throws(StoreError) -> Void = {}
      ) async throws(StoreError) -> PutOutcome {
        try await destination.put(
          Self.request("k", version: version, bytes[version]),
          MemoryBody(bytes[version], before: { (number) async throws(StoreError) in if number == 0 { try await before() } }), nil)
      }
      if replacing { _ = try await put(ours, version: 0) }
      do throws(StoreError) {
        let outcome = try await put(ours, version: 1) { () async throws(StoreError) in _ = try await put(theirs, version: 2) }
        Issue.record("\(outcome)")
      } catch {
        #expect(error.reason == .busy && error.isRetryable && !error.isOutage && error.condition == .unmet, "\(error)")
      }
      #expect(ours.conditions.areTaken)
      guard case .newerThere = try await put(ours, version: 1) else {
        Issue.record("the next attempt does not see it")
        return
      }
      #expect(try await rig.get(settings, bucket, "k").body == bytes[2])
      let listed = try await rig.client(settings).versions(of: bucket)
      #expect(listed.versions.count == (replacing ? 2 : 1))
    }
  }

  @Test func anUploadInPartsIsCompletedOnlyIfNobodyWasFaster() async throws {
    let begun = Array("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>".utf8)
    let server = try ScriptedServer { request in
      switch (request.method, request.target.contains("uploadId=")) {
      case ("HEAD", _): [.send(ScriptedServer.ok([], ["ETag: \"theirs\""]))]
      case ("POST", false): [.send(ScriptedServer.ok(begun))]
      case ("PUT", _): [.send(ScriptedServer.ok([], ["ETag: \"\(md5Hex(request.body))\""]))]
      case ("POST", true): [.send(ScriptedServer.ok([], status: "412 Precondition Failed"))]
      default: [.send(ScriptedServer.ok([], status: "204 No Content"))]
      }
    }
    let settings = MotoServer.settings([server.origin])
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      var placement = S3Placement(bucket: "t")
      placement.multipartBytesMin = 1
      let destination = S3Destination(client: rig.client(settings), placement: placement)
      let bytes = patternBytes(BlockPool.blockBytes + 1)
      do throws(StoreError) {
        _ = try await destination.put(Self.request("k", version: 0, bytes), MemoryBody(bytes), nil)
        Issue.record("completed")
      } catch {
        #expect(error.reason == .busy && error.isRetryable, "\(error)")
      }
      // It says that what was found is still there: a service that cannot compare.
      #expect(!destination.conditions.areTaken)
    }
    let complete = server.requests.filter { $0.method == "POST" && $0.target.contains("uploadId=") }
    #expect(complete.map { $0.head.lowercased().contains("if-match: \"theirs\"") } == [true])
    #expect(server.requests.contains { $0.method == "DELETE" }, "the parts are left behind")
  }

  /// How a service refuses conditions.
  enum Refusal: String, CaseIterable, Sendable {
    case notImplemented = "501 Not Implemented"
    case badRequest = "400 Bad Request"
    case unmet = "412 Precondition Failed"
  }

  @Test(arguments: Refusal.allCases) func aServiceThatRefusesConditionsGetsNone(_ refusal: Refusal) async throws {
    let server = try ScriptedServer { request in
      if request.method == "HEAD" { return [.send(ScriptedServer.ok([], status: "404 Not Found"))] }
      if request.head.lowercased().contains("if-none-match:") { return [.send(ScriptedServer.ok([], status: refusal.rawValue))] }
      return [.send(ScriptedServer.ok([], ["ETag: \"\(md5Hex(request.body))\""]))]
    }
    let settings = MotoServer.settings([server.origin])
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let destination = S3Destination(client: rig.client(settings), placement: S3Placement(bucket: "t"))
      let bytes = patternBytes(100)
      func put(_ key: String) async throws(StoreError) -> PutOutcome {
        try await destination.put(Self.request(key, version: 0, bytes), MemoryBody(bytes), nil)
      }
      do throws(StoreError) {
        _ = try await put("first")
        Issue.record("the condition was not sent")
      } catch {
        #expect(error.isRetryable && !error.isOutage, "\(error)")
      }
      for key in ["first", "second"] {
        guard case .written = try await put(key) else {
          Issue.record("\(key) was not written")
          return
        }
      }
      #expect(!destination.conditions.areTaken)
    }
    let puts = server.requests.filter { $0.method == "PUT" }
    #expect(puts.map { $0.head.lowercased().contains("if-none-match:") } == [true, false, false])
  }

  /// A bad request for another reason is one without a condition as well, and tells nothing of conditions.
  @Test func aBadRequestStaysOne() async throws {
    let server = try ScriptedServer { request in
      if request.method == "HEAD" { return [.send(ScriptedServer.ok([], status: "404 Not Found"))] }
      if request.target.hasSuffix("bad") { return [.send(ScriptedServer.ok([], status: "400 Bad Request"))] }
      return [.send(ScriptedServer.ok([], ["ETag: \"\(md5Hex(request.body))\""]))]
    }
    let settings = MotoServer.settings([server.origin])
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let destination = S3Destination(client: rig.client(settings), placement: S3Placement(bucket: "t"))
      let bytes = patternBytes(100)
      for isRetryable in [true, false, true, false] {
        do throws(StoreError) {
          _ = try await destination.put(Self.request("bad", version: 0, bytes), MemoryBody(bytes), nil)
          Issue.record("written")
        } catch {
          #expect(error.reason == .targetRefused && error.isRetryable == isRetryable, "\(error)")
        }
      }
      #expect(destination.conditions.areTaken)
    }
  }
}
