// Copies between real S3 servers (two processes), and between S3 and directories.
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite(.serialized) struct S3CopyTests {
  private static let mib = 1 << 20

  /// Source and target service, a bucket each.
  private func withTwo(
    isVersioned: Bool = true, _ body: @escaping @Sendable (S3Bench) async throws -> Void
  ) async throws {
    let from = try MotoServer()
    let to = try MotoServer()
    let (source, target) = (from.settings, to.settings)
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let bench = S3Bench(
        rig: rig, source: source, target: target, sourceBucket: try await rig.makeBucket(source, isVersioned: isVersioned),
        targetBucket: try await rig.makeBucket(target, isVersioned: isVersioned))
      try await body(bench)
    }
    withExtendedLifetime((from, to)) {}
  }

  @Test func everyOddKeyArrivesUnderItsName() async throws {
    try await withTwo { bench in
      for (index, key) in OddKeys.all.enumerated() {
        let bytes = Array("\(index) \(key)".utf8)
        try await bench.rig.put(bench.source, bench.sourceBucket, key, bytes)
        let outcome = await bench.replicate(key)
        #expect(outcome.isCopied, "\(key.debugDescription): \(outcome)")
        #expect(try await bench.rig.get(bench.target, bench.targetBucket, key).body == bytes, "\(key.debugDescription)")
      }
      let listed = try await bench.rig.client(bench.target).versions(of: bench.targetBucket)
      #expect(listed.versions.map(\.key).sorted() == OddKeys.all.sorted() && listed.next == nil)
    }
  }

  @Test func everyOddKeyHasAFileOfItsOwn() async throws {
    let server = try MotoServer()
    let settings = server.settings
    let target = TestTree()
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let files = reactor.makeFileOperations(mode: .automatic)
      defer { files.close() }
      let bucket = try await rig.makeBucket(settings)
      let location = try FileLocation.openTarget(target.path, layout: .keyOnly)
      let replicator = Replicator(
        source: S3Source(client: rig.client(settings, .source)),
        destination: FileDestination(location: location, files: files, pool: rig.pool))
      for key in OddKeys.all {
        try await rig.put(settings, bucket, key, Array("of \(key)".utf8))
        let outcome = await replicator.replicate(ObjectRequest(site: "f", bucket: bucket, key: key))
        #expect(outcome.isCopied, "\(key.debugDescription): \(outcome)")
      }
      for key in OddKeys.all {
        let own = try location.objectPath(bucket: bucket, key: key)
        let displaced = try location.objectPath(bucket: bucket, key: key, isDisplaced: true)
        // A directory by now, if another key goes on where this one ends.
        let found = (try? readFile("\(target.path)/\(own.text)")) ?? (try? readFile("\(target.path)/\(displaced.text)"))
        #expect(found == Array("of \(key)".utf8), "\(key.debugDescription)")
      }
    }
    withExtendedLifetime(server) {}
  }

  @Test func sizesAroundEveryBoundArriveWhole() async throws {
    try await withTwo { bench in
      let block = BlockPool.blockBytes
      bench.placement.multipartBytesMin = 3_000_000
      for size in [0, 1, block - 1, block, block + 1, 3 * block, 2_999_999, 3_000_000, 5 * Self.mib + 3] {
        let bytes = patternBytes(size, seed: UInt64(size))
        try await bench.rig.put(bench.source, bench.sourceBucket, "o", bytes)
        let plain = await bench.replicate("o-\(size)", from: "o")
        #expect(plain.isCopied, "\(size): \(plain)")
        let copy = try await bench.rig.get(bench.target, bench.targetBucket, "o-\(size)")
        #expect(copy.body == bytes, "\(size)")
      }
    }
  }

  @Test func objectsOfPartsAreCopiedInPartsBesideEachOther() async throws {
    try await withTwo { bench in
      let parts = [patternBytes(5 * Self.mib, seed: 1), patternBytes(17 * Self.mib, seed: 2), patternBytes(12 * Self.mib + 7, seed: 3)]
      let version = try await bench.putParts("big", parts)
      bench.placement.partsConcurrency = 3
      let outcome = await bench.replicate("big") { $0.versionId = version }
      #expect(outcome.isCopied, "\(outcome)")
      let copy = try await bench.rig.get(bench.target, bench.targetBucket, "big")
      #expect(copy.body == parts.flatMap { $0 })
      #expect(copy.head.etag?.hasSuffix("-3") == true, "parts of 16 MiB")
      #expect((await bench.replicate("big") { $0.versionId = version }).isSkipped)
      #expect(try await bench.openUploads() == 0)
    }
  }

  @Test func metadataAndTagsTravel() async throws {
    try await withTwo { bench in
      let version = try await bench.rig.put(
        bench.source, bench.sourceBucket, "m", Array("m".utf8),
        headers: [
          HTTPHeader("content-type", "text/x-note"), HTTPHeader("cache-control", "no-store"), HTTPHeader("content-disposition", "inline"),
          HTTPHeader("x-amz-meta-colour", "blue & green"), HTTPHeader("x-amz-tagging", "k%20ey=v%2Bal&b-replication-status=PENDING"),
        ])
      #expect((await bench.replicate("m") { $0.versionId = version }).isCopied)
      let head = try #require(try await bench.rig.client(bench.target).head(bench.targetBucket, "m")).head
      #expect(head["content-type"] == "text/x-note" && head["cache-control"] == "no-store" && head["content-disposition"] == "inline")
      #expect(head["x-amz-meta-colour"] == "blue & green")
      #expect(head["x-amz-meta-scal-replication-status"] == "REPLICA")
      #expect(try await bench.rig.client(bench.target).tags(bench.targetBucket, "m") == [.init("k ey", "v+al")])
    }
  }

  @Test func aRedeliveryWritesNothingAndAnOlderVersionReplacesNone() async throws {
    try await withTwo { bench in
      let old = try await bench.rig.put(bench.source, bench.sourceBucket, "k", Array("old".utf8))
      let new = try await bench.rig.put(bench.source, bench.sourceBucket, "k", Array("newer".utf8))
      func first(_ request: inout ObjectRequest) { (request.versionId, request.lastModified) = (old, "2031-01-01T00:00:00.000Z") }
      func second(_ request: inout ObjectRequest) { (request.versionId, request.lastModified) = (new, "2031-01-01T00:00:01.000Z") }
      #expect(await bench.replicate("k", change: first).isCopied)
      #expect(await bench.replicate("k", change: first).isSkipped)
      #expect(await bench.replicate("k", change: second).isCopied)
      #expect(await bench.replicate("k", change: first) == .skippedNewerThere)
      // Times in seconds, and ids that say nothing of their order.
      #expect(
        (await bench.replicate("k") {
          first(&$0)
          $0.lastModified = "2031-01-01T00:00:01.000Z"
        }).isSkipped)
      #expect(await bench.replicate("k", change: second).isSkipped)
      #expect(try await bench.rig.get(bench.target, bench.targetBucket, "k").body == Array("newer".utf8))
      #expect(try await bench.rig.client(bench.target).versions(of: bench.targetBucket).versions.count == 2)
    }
  }

  @Test func tagAndMetadataChangesMoveNoBytes() async throws {
    try await withTwo { bench in
      let version = try await bench.rig.put(bench.source, bench.sourceBucket, "t", Array("tagged".utf8))
      #expect((await bench.replicate("t") { $0.versionId = version }).isCopied)
      func tagged(_ request: inout ObjectRequest) {
        (request.versionId, request.extent) = (version, .tags)
        request.attributes.tags = [.init("a", "1"), .init("b", "c@d + e/f=g")]
      }
      let outcome = await bench.replicate("t", change: tagged)
      #expect(outcome.isCopied, "\(outcome)")
      #expect(await bench.replicate("t", change: tagged).isSkipped)
      #expect(Set(try await bench.rig.client(bench.target).tags(bench.targetBucket, "t")) == [.init("a", "1"), .init("b", "c@d + e/f=g")])
      #expect(
        (await bench.replicate("t") {
          $0.versionId = version
          $0.extent = .tags
        }).isCopied)
      #expect(try await bench.rig.client(bench.target).tags(bench.targetBucket, "t").isEmpty)
      #expect(try await bench.rig.client(bench.target).versions(of: bench.targetBucket).versions.count == 1, "tags make no version")

      func described(_ request: inout ObjectRequest) {
        (request.versionId, request.extent) = (version, .metadata)
        request.attributes.user = [.init("x-amz-meta-colour", "red")]
      }
      #expect(await bench.replicate("t", change: described).isCopied)
      #expect(await bench.replicate("t", change: described).isSkipped)
      let head = try #require(try await bench.rig.client(bench.target).head(bench.targetBucket, "t")).head
      #expect(head["x-amz-meta-colour"] == "red")
      #expect(try await bench.rig.get(bench.target, bench.targetBucket, "t").body == Array("tagged".utf8))
      // The copy lacks this version: all of it is copied.
      let other = try await bench.rig.put(bench.source, bench.sourceBucket, "u", Array("whole".utf8))
      #expect(
        (await bench.replicate("u") {
          $0.versionId = other
          $0.extent = .tags
        }).isCopied)
      #expect(try await bench.rig.get(bench.target, bench.targetBucket, "u").body == Array("whole".utf8))
    }
  }

  @Test func deleteMarkersRemoveOurCopiesOnly() async throws {
    try await withTwo { bench in
      let version = try await bench.rig.put(bench.source, bench.sourceBucket, "d", Array("d".utf8))
      #expect((await bench.replicate("d") { $0.versionId = version }).isCopied)
      func marker(_ request: inout ObjectRequest) { (request.isDeleteMarker, request.versionId, request.lastModified) = (true, "m", "2031") }
      #expect(await bench.replicate("d", change: marker) == .removed)
      #expect(await bench.replicate("d", change: marker) == .nothingToRemove)
      #expect(try await bench.rig.client(bench.target).head(bench.targetBucket, "d") == nil)
      try await bench.rig.put(bench.target, bench.targetBucket, "theirs", Array("x".utf8))
      #expect(await bench.replicate("theirs", change: marker) == .nothingToRemove)
      #expect(try await bench.rig.client(bench.target).head(bench.targetBucket, "theirs") != nil)
    }
  }

  @Test func aRedeliveryBringsNoDeletedVersionBack() async throws {
    try await withTwo { bench in
      let old = try await bench.rig.put(bench.source, bench.sourceBucket, "d", Array("d".utf8))
      func first(_ request: inout ObjectRequest) { (request.versionId, request.lastModified) = (old, "2031-01-01T00:00:00.000Z") }
      func marker(_ request: inout ObjectRequest) { (request.isDeleteMarker, request.versionId, request.lastModified) = (true, "m", "2031-02") }
      #expect(await bench.replicate("d", change: first).isCopied)
      #expect(await bench.replicate("d", change: marker) == .removed)
      #expect(await bench.replicate("d", change: first).isSkipped)
      #expect(try await bench.rig.client(bench.target).versions(of: bench.targetBucket).versions.count == 2)
      let new = try await bench.rig.put(bench.source, bench.sourceBucket, "d", Array("again".utf8))
      #expect(
        (await bench.replicate("d") {
          $0.versionId = new
          $0.lastModified = "2031-03"
        }).isCopied)
    }
  }

  @Test func theReasonOfARefusalIsNamed() async throws {
    try await withTwo { bench in
      #expect(await bench.replicate("missing").reason == .sourceNotFound)
      try await bench.rig.put(bench.source, bench.sourceBucket, "k", Array("k".utf8))
      bench.placement.bucket = "test-no-such-bucket"
      #expect(await bench.replicate("k").reason == .targetMissing)
      bench.placement.bucket = bench.targetBucket
      #expect((await bench.replicate("k") { $0.md5 = MD5Digest(hex: String(repeating: "0", count: 32)) }).reason == .sourceChanged)
    }
  }

  @Test func directoriesAndBucketsCopyToEachOther() async throws {
    let server = try MotoServer()
    let settings = server.settings
    let trees = Trees()
    let large = patternBytes(21 * Self.mib, seed: 9)
    trees.write("small", "small")
    trees.write("empty", "")
    trees.write("sub/large", large)
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let files = reactor.makeFileOperations(mode: .automatic)
      defer { files.close() }
      let bucket = try await rig.makeBucket(settings)
      let from = FileSource(location: try FileLocation.openSource(trees.source.path, layout: .sameTree), files: files, pool: rig.pool)
      let to = S3Destination(client: rig.client(settings), placement: S3Placement(bucket: bucket))
      let upload = Replicator(source: from, destination: to)
      for key in ["small", "empty", "sub/large"] {
        let request = ObjectRequest(site: "s", bucket: "bkt", key: key)
        let outcome = await upload.replicate(request)
        #expect(outcome.isCopied, "\(key): \(outcome)")
        #expect(await upload.replicate(request).isSkipped, "\(key)")
      }
      trees.write("small", "small, but different", aged: 1_700_000_005)
      #expect(await upload.replicate(ObjectRequest(site: "s", bucket: "bkt", key: "small")).isCopied)

      let back = S3Source(client: rig.client(settings, .source))
      let target = FileDestination(
        location: try FileLocation.openTarget(trees.target.path, layout: .keyOnly), files: files, pool: rig.pool)
      let download = Replicator(source: back, destination: target)
      for key in ["small", "empty", "sub/large"] {
        let outcome = await download.replicate(ObjectRequest(site: "s", bucket: bucket, key: "bkt/\(key)"))
        #expect(outcome.isCopied, "\(key): \(outcome)")
      }
    }
    #expect(try readFile("\(trees.target.path)/bkt/sub/large") == large)
    #expect(try readFile("\(trees.target.path)/bkt/small") == Array("small, but different".utf8))
    #expect(try readFile("\(trees.target.path)/bkt/empty").isEmpty)
    withExtendedLifetime(server) {}
  }
}

/// Two services and what copies between them. On one worker.
final class S3Bench {
  let rig: S3Rig
  let source: S3Settings
  let target: S3Settings
  let sourceBucket: String
  let targetBucket: String
  var placement: S3Placement

  init(rig: S3Rig, source: S3Settings, target: S3Settings, sourceBucket: String, targetBucket: String) {
    self.rig = rig
    self.source = source
    self.target = target
    self.sourceBucket = sourceBucket
    self.targetBucket = targetBucket
    placement = S3Placement(bucket: targetBucket, bucketMatch: true)
  }

  /// - Parameter from: another key at the source.
  func replicate(_ key: String, from: String? = nil, change: (inout ObjectRequest) -> Void = { _ in }) async -> ReplicationOutcome {
    var request = ObjectRequest(site: "b", bucket: sourceBucket, key: key)
    change(&request)
    let real = S3Source(client: rig.client(source, .source))
    let renamed = RenamingSource(source: real, key: from ?? key)
    return await Replicator(source: renamed, destination: S3Destination(client: rig.client(target), placement: placement)).replicate(request)
  }

  /// An object uploaded in parts. - Returns: its version id.
  func putParts(_ key: String, _ parts: [[UInt8]]) async throws -> String? {
    let client = rig.client(source)
    let begun = S3Request("POST", sourceBucket, key, query: [("uploads", "")], body: .bytes([]))
    let id = try #require(try client.document(try await client.perform(begun), begun).text("UploadId"))
    var lines = ""
    for (index, part) in parts.enumerated() {
      let number = String(index + 1)
      let answer = try await client.perform(
        S3Request("PUT", sourceBucket, key, query: [("partNumber", number), ("uploadId", id)], body: .bytes(part)))
      lines += "<Part><PartNumber>\(number)</PartNumber><ETag>\"\(answer.head.etag ?? "")\"</ETag></Part>"
    }
    let xml = Array("<CompleteMultipartUpload>\(lines)</CompleteMultipartUpload>".utf8)
    return try await client.perform(S3Request("POST", sourceBucket, key, query: [("uploadId", id)], body: .bytes(xml))).head["x-amz-version-id"]
  }

  /// Uploads at the target that were neither completed nor aborted.
  func openUploads() async throws -> Int {
    let client = rig.client(target)
    let list = S3Request("GET", targetBucket, query: [("uploads", "")])
    return try client.document(try await client.perform(list), list).all("Upload").count
  }
}

private final class RenamingSource: ObjectSource {
  private let source: S3Source
  private let key: String

  init(source: S3Source, key: String) {
    self.source = source
    self.key = key
  }

  func open(_ request: ObjectRequest) async throws(StoreError) -> any ObjectBody {
    var renamed = request
    renamed.key = key
    return try await source.open(renamed)
  }

  func isPresent(_ request: ObjectRequest) async throws(StoreError) -> Bool { try await source.isPresent(request) }
}
