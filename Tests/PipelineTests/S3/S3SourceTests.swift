// A bucket as the source of a status processor and of a resync: statuses as tags, versions as a list.
import PipelineCore
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite(.serialized) struct S3SourceTests {
  private func withBucket(
    isVersioned: Bool = true, _ body: @escaping @Sendable (S3Rig, S3Settings, String) async throws -> Void
  ) async throws {
    let server = try MotoServer()
    let settings = server.settings
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      try await body(rig, settings, try await rig.makeBucket(settings, isVersioned: isVersioned))
    }
    withExtendedLifetime(server) {}
  }

  private static func version(_ bucket: String, _ key: String, _ id: String?) -> SourceVersion {
    SourceVersion(bucket: bucket, key: key, versionId: id)
  }

  @Test func statusesAreTagsBesideTheUsersOwn() async throws {
    try await withBucket { rig, settings, bucket in
      let client = rig.client(settings, .source)
      let store = S3StatusStore(client: client, note: { _ in })
      let id = try await rig.put(settings, bucket, "k", Array("1".utf8), headers: [HTTPHeader("x-amz-tagging", "colour=red")])
      let version = Self.version(bucket, "k", id)
      #expect(try await store.status(of: version, site: "east") == .unknown)
      #expect(try await store.set(.completed, of: version, site: "east", sites: ["east", "west"], targetVersionId: "") == .processing)
      #expect(try await store.set(.failed, of: version, site: "west", sites: ["east", "west"], targetVersionId: "") == .failed)
      #expect(try await store.set(.failed, of: version, site: "east", sites: [], targetVersionId: "") == .failed, "COMPLETED is final")
      #expect(try await store.status(of: version, site: "east") == .known(.completed))
      #expect(try await store.set(.completed, of: version, site: "west", sites: [], targetVersionId: "") == .completed)
      let tags = try await client.tags(bucket, "k", version: S3Client.versionQuery(id))
      #expect(
        Set(tags) == [.init("colour", "red"), .init("east-replication-status", "COMPLETED"), .init("west-replication-status", "COMPLETED")])
    }
  }

  @Test func noTagOfTheUsersMakesRoomForAStatus() async throws {
    let notes = Lock<[String]>([])
    try await withBucket { rig, settings, bucket in
      let client = rig.client(settings, .source)
      let store = S3StatusStore(client: client, note: { note in notes.withLock { $0.append(note) } })
      for key in ["a", "b"] {
        let id = try await rig.put(settings, bucket, key, Array("1".utf8))
        let ten = (0..<10).map { ObjectAttributes.Pair("t\($0)", "v") }
        try await client.setTags(ten, bucket, key)
        #expect(
          try await store.set(.completed, of: Self.version(bucket, key, id), site: "east", sites: ["east"], targetVersionId: "") == .completed)
        #expect(Set(try await client.tags(bucket, key)) == Set(ten))
      }
    }
    #expect(notes.withLock { $0.count } == 1, "said once")
  }

  @Test func aVersionThatIsGoneHasNoStatus() async throws {
    try await withBucket { rig, settings, bucket in
      let store = S3StatusStore(client: rig.client(settings, .source), note: { _ in })
      let id = try await rig.put(settings, bucket, "k", Array("1".utf8))
      try await rig.client(settings).remove(bucket, "k", version: S3Client.versionQuery(id))
      for version in [Self.version(bucket, "k", id), Self.version(bucket, "never", nil)] {
        #expect(try await store.status(of: version, site: "east") == .gone)
        #expect(try await store.set(.completed, of: version, site: "east", sites: [], targetVersionId: "") == nil)
      }
    }
  }

  @Test func versionsAreListedOldestFirstWithTheirStatuses() async throws {
    try await withBucket { rig, settings, bucket in
      let client = rig.client(settings, .source)
      let store = S3StatusStore(client: client, note: { _ in })
      var ids: [String: [String]] = [:]
      for round in 0..<3 {
        for key in OddKeys.all where round == 0 || key.utf8.count < 20 {
          ids[key, default: []].append(try #require(try await rig.put(settings, bucket, key, Array("\(round) \(key)".utf8))))
        }
      }
      try await client.remove(bucket, "plain")
      _ = try await store.set(.completed, of: Self.version(bucket, "a+b", ids["a+b"]?[1]), site: "east", sites: [], targetVersionId: "")

      let catalog = S3SourceCatalog(client: client)
      let listed = try await Self.all(catalog.list(bucket: bucket, prefix: "", sites: ["east"]))
      #expect(Set(listed.map(\.record.key)) == Set(OddKeys.all))
      for (key, expected) in ids {
        let found = listed.filter { $0.record.key == key && !$0.record.isDeleteMarker }
        #expect(found.map(\.record.versionId) == expected, "\(key.debugDescription)")
      }
      #expect(listed.filter { $0.record.key == "plain" }.map(\.record.isDeleteMarker) == [false, false, false, true])
      #expect(listed.filter { $0.statuses["east"] == .completed }.map(\.record.key) == ["a+b"])
      let some = try await Self.all(catalog.list(bucket: nil, prefix: "prefix", sites: ["east"]))
      #expect(Set(some.map(\.record.key)) == ["prefix", "prefix/more"], "of all buckets")

      let one = try #require(try await catalog.object(bucket: bucket, key: "a+b", versionId: ids["a+b"]?[1], sites: ["east"]))
      #expect(one.statuses == ["east": .completed] && one.record.contentLength == 5)
      #expect(try await catalog.object(bucket: bucket, key: "a+b", versionId: nil, sites: [])?.record.versionId == ids["a+b"]?[2])
      #expect(try await catalog.object(bucket: bucket, key: "pref", versionId: nil, sites: []) == nil)
      // An entry made of it names no metadata, so the copy takes them from the source.
      guard case .replicate(let entry) = EntryDecoder.decode(EntryEncoder.populated(one.record).span, site: nil) else {
        Issue.record("our own entries decode")
        return
      }
      #expect(ObjectRequest(entry, site: "east").attributes.isEmpty)
    }
  }

  private static func all(_ listing: any SourceListing) async throws -> [SourceObject] {
    var objects: [SourceObject] = []
    while true {
      let page = try await listing.nextPage()
      objects += page.objects
      if page.isLast { return objects }
    }
  }
}
