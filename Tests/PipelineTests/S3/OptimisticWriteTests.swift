// Copies written without a look at the target: only where that covers nothing, brings nothing back, and writes nothing twice.
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

// MARK: The rule

private let start = Instant(ns: 1_000_000_000)

/// The rule, for expectations that change it.
private final class Rule {
  var writes = OptimisticWrites()

  func looks(_ count: Int = OptimisticWrites.absentMin, foundNothing: Bool = true) {
    for _ in 0..<count { writes.looked(foundNothing: foundNothing) }
  }

  func tries(bytes: Int64 = 10, endpoint: Int = 0, at now: Instant = start) -> Bool {
    writes.beginTrial(bytes: bytes, endpoint: endpoint, now: now)
  }

  func may(endpoint: Int = 0, at now: Instant = start) -> Bool { writes.mayWrite(endpoint: endpoint, now: now) }

  static func proved(endpoint: Int = 0, at now: Instant = start) -> Rule {
    let rule = Rule()
    rule.looks()
    #expect(rule.tries(endpoint: endpoint, at: now))
    rule.writes.endTrial(.refused(endpoint: endpoint), now: now)
    return rule
  }
}

@Test func nothingIsTriedBeforeManyLooksInARowFoundNothing() {
  let rule = Rule()
  rule.looks(OptimisticWrites.absentMin - 1)
  #expect(!rule.tries())
  rule.looks(1, foundNothing: false)
  rule.looks(OptimisticWrites.absentMin - 1)
  #expect(!rule.tries())
  rule.looks(1)
  #expect(!rule.tries(bytes: OptimisticWrites.trialBytesMax + 1))
  #expect(rule.tries(bytes: OptimisticWrites.trialBytesMax))
  #expect(!rule.tries(), "one at a time")
  #expect(!rule.may())
}

@Test func whatWasSeenHoldsForAMinuteAndForItsEndpoint() {
  let rule = Rule.proved(endpoint: 1)
  #expect(rule.may(endpoint: 1) && !rule.may(endpoint: 0))
  let late = start + OptimisticWrites.proofLasts
  #expect(!rule.may(endpoint: 1, at: late))
  #expect(!rule.tries(endpoint: 1), "known already")
  #expect(rule.tries(endpoint: 1, at: late))
}

@Test func whatStandsThereBringsTheLooksBack() {
  let rule = Rule.proved()
  rule.writes.wasRefused()
  #expect(!rule.may())
  rule.looks()
  #expect(rule.may(), "a refusal is no reason to doubt refusals")
}

@Test(arguments: [false, true]) func aBucketWithVersionsOrAServiceThatCoversIsNeverTrusted(hasVersions: Bool) {
  let rule = Rule.proved()
  if hasVersions {
    rule.writes.sawVersion()
  } else {
    #expect(rule.tries(at: start + OptimisticWrites.proofLasts))
    rule.writes.endTrial(.covered, now: start)
  }
  rule.looks()
  #expect(!rule.may() && !rule.tries(at: start + .seconds(3_600)))
}

@Test func aTrialThatFailedSaysNothing() {
  let rule = Rule()
  rule.looks()
  #expect(rule.tries())
  rule.writes.endTrial(.undecided, now: start)
  #expect(!rule.may() && !rule.tries())
  rule.looks()
  #expect(rule.tries())
  // A version seen meanwhile outweighs what the trial saw.
  rule.writes.sawVersion()
  rule.writes.endTrial(.refused(endpoint: 0), now: start)
  #expect(!rule.may())
}

// MARK: With services

/// Objects out of memory, all of them small.
private final class BytesSource: ObjectSource {
  static func bytes(_ request: ObjectRequest) -> [UInt8] {
    patternBytes(300, seed: UInt64(request.key.utf8.count) + UInt64(request.versionId?.utf8.last ?? 0))
  }

  func open(_ request: ObjectRequest) async throws(StoreError) -> any ObjectBody { MemoryBody(Self.bytes(request)) }
  func isPresent(_ request: ObjectRequest) async throws(StoreError) -> Bool { true }
}

// The later, the smaller.
private let versions = ["98999999999999999999RG001  1", "98999999999999999998RG001  2", "98999999999999999997RG001  3"]

private func request(_ key: String, version: Int = 0) -> ObjectRequest {
  var request = ObjectRequest(site: "s", bucket: "bkt", key: key)
  request.versionId = versions[version]
  let bytes = BytesSource.bytes(request)
  request.size = Int64(bytes.count)
  request.md5 = MD5Digest(hex: md5Hex(bytes))
  return request
}

/// Copies enough that the last of them is written twice where the service is to be tried.
private func warmUp(_ replicator: Replicator) async {
  for index in 0...OptimisticWrites.absentMin {
    let outcome = await replicator.replicate(request("warm-\(index)"))
    guard case .copied = outcome else {
      Issue.record("warm-\(index): \(outcome)")
      return
    }
  }
}

@Suite(.serialized) struct OptimisticWriteTests {
  /// Of the requests about one object.
  private static func methods(_ server: ScriptedServer, key: String) -> [String] {
    server.requests.filter { $0.target == "/t/\(key)" }.map(\.method)
  }

  private static func destination(_ rig: S3Rig, _ server: ScriptedServer) -> S3Destination {
    S3Destination(client: rig.client(MotoServer.settings([server.origin])), placement: S3Placement(bucket: "t", bucketMatch: true))
  }

  @Test func aThirdOfTheRequestsIsSavedAndNothingIsCovered() async throws {
    let shelf = Shelf()
    let server = try shelf.serve()
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let destination = Self.destination(rig, server)
      let replicator = Replicator(source: BytesSource(), destination: destination)
      await warmUp(replicator)
      #expect(Self.methods(server, key: "warm-0") == ["HEAD", "PUT"])
      #expect(Self.methods(server, key: "warm-\(OptimisticWrites.absentMin - 1)") == ["HEAD", "PUT", "PUT"], "the trial")
      #expect(Self.methods(server, key: "warm-\(OptimisticWrites.absentMin)") == ["PUT"])

      guard case .copied = await replicator.replicate(request("k", version: 1)) else {
        Issue.record("not copied")
        return
      }
      #expect(Self.methods(server, key: "k") == ["PUT"])
      // A redelivery, an older version and a newer one, each met without a look.
      for (version, expected) in [(1, "skippedAlreadyThere"), (0, "skippedNewerThere"), (2, "copied")] {
        destination.optimism = Rule.proved(at: Instant.nowUncached()).writes
        let before = Self.methods(server, key: "k").count
        let outcome = await replicator.replicate(request("k", version: version))
        #expect("\(outcome)".hasPrefix(expected), "\(outcome)")
        let after = version == 2 ? ["PUT", "HEAD", "PUT"] : ["PUT", "HEAD"]
        #expect(Array(Self.methods(server, key: "k")[before...]) == after)
        #expect(shelf.object("k") == BytesSource.bytes(request("k", version: max(version, 1))))
      }
      #expect(shelf.writes("k") == 2)
    }
  }

  /// It answers the second write of the trial with success.
  @Test func aServiceThatCoversWhatStandsThereIsAlwaysLookedAt() async throws {
    let shelf = Shelf(heedsConditions: false)
    let server = try shelf.serve()
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let replicator = Replicator(source: BytesSource(), destination: Self.destination(rig, server))
      for _ in 0..<3 { await warmUp(replicator); shelf.clear() }
      _ = await replicator.replicate(request("k", version: 1))
      guard case .skippedNewerThere = await replicator.replicate(request("k", version: 0)) else {
        Issue.record("an older version covered a newer one")
        return
      }
    }
    let heads = server.requests.count { $0.method == "HEAD" }
    let puts = server.requests.count { $0.method == "PUT" }
    #expect(heads == 3 * (OptimisticWrites.absentMin + 1) + 2 && puts == heads, "\(heads) looks, \(puts) writes: one was not needed, one tried")
  }

  @Test func aBucketWithVersionsIsAlwaysLookedAt() async throws {
    let shelf = Shelf(namesVersions: true)
    let server = try shelf.serve()
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      await warmUp(Replicator(source: BytesSource(), destination: Self.destination(rig, server)))
    }
    let heads = server.requests.count { $0.method == "HEAD" }
    #expect(heads == OptimisticWrites.absentMin + 1 && server.requests.count == 2 * heads)
  }

  /// The trial's second write is answered with an ETag of other bytes.
  @Test func aTrialThatSpoilsTheCopyIsNoSuccess() async throws {
    let shelf = Shelf(heedsConditions: false, spoilsSecond: true)
    let server = try shelf.serve()
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let replicator = Replicator(source: BytesSource(), destination: Self.destination(rig, server))
      for index in 1..<OptimisticWrites.absentMin { _ = await replicator.replicate(request("warm-\(index)")) }
      guard case .failed(let error) = await replicator.replicate(request("k")) else {
        Issue.record("believed")
        return
      }
      #expect(error.reason == .checksumMismatch && error.isRetryable)
    }
  }

  /// A real service, a bucket without versions and one with: every object is there once, and what was deleted stays deleted.
  @Test(arguments: [false, true]) func aRealServiceHasEachObjectOnce(isVersioned: Bool) async throws {
    let server = try MotoServer()
    let settings = server.settings
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let bucket = try await rig.makeBucket(settings, isVersioned: isVersioned)
      let destination = S3Destination(client: rig.client(settings), placement: S3Placement(bucket: bucket, bucketMatch: true))
      let replicator = Replicator(source: BytesSource(), destination: destination)
      await warmUp(replicator)
      #expect(destination.optimism.mayWrite(endpoint: 0, now: Instant.nowUncached()) == !isVersioned)
      guard case .copied = await replicator.replicate(request("k", version: 1)),
        case .skippedAlreadyThere = await replicator.replicate(request("k", version: 1)),
        case .skippedNewerThere = await replicator.replicate(request("k", version: 0))
      else {
        Issue.record("not as it should be")
        return
      }
      let lines = try await rig.client(settings).versions(of: bucket).versions
      #expect(lines.count == OptimisticWrites.absentMin + 2 && Set(lines.map(\.key)).count == lines.count)
      guard isVersioned else { return }
      try await rig.client(settings).remove(bucket, "k")
      guard case .skippedAlreadyThere = await replicator.replicate(request("k", version: 1)) else {
        Issue.record("brought back")
        return
      }
      #expect(try await rig.client(settings).head(bucket, "k") == nil)
    }
  }
}

/// A bucket in memory.
private final class Shelf: Sendable {
  private struct Object {
    var body: [UInt8]
    /// Its metadata, as they came.
    var metadata: [String]
    var writes = 1
  }

  private let heedsConditions: Bool
  private let namesVersions: Bool
  private let spoilsSecond: Bool
  private let objects = Lock<[String: Object]>([:])

  init(heedsConditions: Bool = true, namesVersions: Bool = false, spoilsSecond: Bool = false) {
    self.heedsConditions = heedsConditions
    self.namesVersions = namesVersions
    self.spoilsSecond = spoilsSecond
  }

  func object(_ key: String) -> [UInt8]? { objects.withLock { $0["/t/\(key)"]?.body } }
  /// How often it was written.
  func writes(_ key: String) -> Int { objects.withLock { $0["/t/\(key)"]?.writes ?? 0 } }
  func clear() { objects.withLock { $0 = [:] } }

  func serve() throws -> ScriptedServer { try ScriptedServer { [self] request in [.send(answer(request))] } }

  private func answer(_ request: ScriptedServer.Request) -> [UInt8] {
    let lines = request.head.split(separator: "\r\n").map(String.init)
    return objects.withLock { objects in
      let there = objects[request.target]
      guard request.method == "PUT" else {
        guard let there else { return ScriptedServer.ok([], status: "404 Not Found") }
        let head = ["HTTP/1.1 200 OK", "Content-Length: \(there.body.count)", "ETag: \"\(md5Hex(there.body))\""] + there.metadata
        return Array((head.joined(separator: "\r\n") + "\r\n\r\n").utf8)
      }
      let isConditional = lines.contains { $0.lowercased() == "if-none-match: *" }
      if heedsConditions, isConditional, there != nil { return ScriptedServer.ok([], status: "412 Precondition Failed") }
      let metadata = lines.filter { $0.lowercased().hasPrefix("x-amz-meta-") }
      objects[request.target] = Object(body: request.body, metadata: metadata, writes: (there?.writes ?? 0) + 1)
      let etag = spoilsSecond && there != nil ? md5Hex([1]) : md5Hex(request.body)
      return ScriptedServer.ok([], ["ETag: \"\(etag)\""] + (namesVersions ? ["x-amz-version-id: v1"] : []))
    }
  }
}
