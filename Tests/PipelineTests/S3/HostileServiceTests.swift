// A service that answers what none should, and entries that name what none can have.
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite(.serialized) struct HostileServiceTests {
  /// From a service to a directory.
  private static func replicator(
    _ rig: S3Rig, _ files: any FileOperations, from settings: S3Settings, to trees: Trees
  ) throws -> Replicator {
    let location = try FileLocation.openTarget(trees.target.path, layout: .keyOnly)
    let destination = FileDestination(location: location, files: files, pool: rig.pool)
    return Replicator(source: S3Source(client: rig.client(settings, .source)), destination: destination)
  }

  @Test func aDateFarAwayIsADateLikeAnyOther() async throws {
    let dates = [
      "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 12 Apr 2262 00:00:00 GMT", "Mon, 01 Jan 1677 00:00:00 GMT", "Sat, 01 Jan 0000 00:00:00 GMT",
      "Fri, 11 Apr 2262 23:47:16 GMT", "Tue, 21 Sep 1677 00:12:44 GMT",
    ]
    let server = try ScriptedServer { request in
      let index = request.target.split(separator: "/").last.flatMap { Int($0) } ?? 0
      return [.send(ScriptedServer.ok(Array("contents".utf8), ["Last-Modified: \(dates[index])"]))]
    }
    let settings = MotoServer.settings([server.origin])
    let trees = Trees()
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let files = reactor.makeFileOperations(mode: .automatic)
      defer { files.close() }
      let replicator = try Self.replicator(rig, files, from: settings, to: trees)
      for index in dates.indices {
        let request = ObjectRequest(site: "b", bucket: "bkt", key: "\(index)")
        let outcome = await replicator.replicate(request)
        #expect(outcome.isCopied, "\(dates[index]): \(outcome)")
        #expect(await replicator.replicate(request).isSkipped, "\(dates[index])")
      }
    }
    #expect(trees.copies.count == dates.count)
  }

  /// Of an entry that names neither MD5 nor metadata.
  @Test func whatTheSourceSaysOfAnObjectIsCheckedAndKept() async throws {
    let turn = Lock(0)
    let server = try ScriptedServer { request in
      let (body, etag) =
        switch turn.withLock({ $0 }) {
        case 0: ("contents", "contents")
        case 1: ("CONTENTS", "CONTENTS")
        default: ("con\u{1}ents", "contents")
        }
      let headers = ["Last-Modified: Fri, 01 Jan 2027 00:00:00 GMT", "Content-Type: text/plain", "x-amz-meta-a: 1", "x-amz-meta-downbeat: theirs"]
      return [.send(ScriptedServer.ok(Array(body.utf8), headers + ["ETag: \"\(md5Hex(Array(etag.utf8)))\""]))]
    }
    let settings = MotoServer.settings([server.origin])
    let trees = Trees()
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      let files = reactor.makeFileOperations(mode: .automatic)
      defer { files.close() }
      let replicator = try Self.replicator(rig, files, from: settings, to: trees)
      let request = ObjectRequest(site: "b", bucket: "bkt", key: "k")
      #expect(await replicator.replicate(request).isCopied)
      #expect(
        attribute("\(trees.target.path)/k", "user.downbeat.object") == #"{"system":{"content-type":"text/plain"},"user":{"x-amz-meta-a":"1"}}"#)
      #expect(await replicator.replicate(request).isSkipped)
      // As long and of the same second, but something else.
      turn.withLock { $0 = 1 }
      #expect(await replicator.replicate(request).isCopied)
      #expect(trees.target.read("k") == Array("CONTENTS".utf8))
      // A byte changed on the way.
      turn.withLock { $0 = 2 }
      #expect(await replicator.replicate(request).reason == .checksumMismatch)
      #expect(trees.target.read("k") == Array("CONTENTS".utf8) && trees.temporaries == [])
    }
  }

  @Test(arguments: TransportKind.allCases) func whatNoServiceCanHaveIsRefusedWithoutARequest(_ kind: TransportKind) async throws {
    let server = try ScriptedServer { _ in [.send(ScriptedServer.ok(Array("contents".utf8)))] }
    let settings = MotoServer.settings([server.origin])
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor, kind: kind)
      let source = S3Source(client: rig.client(settings, .source))
      let long = String(repeating: "ü", count: 1_350_000)
      for request in [ObjectRequest(site: "b", bucket: "bkt", key: long), ObjectRequest(site: "b", bucket: "bkt", key: "k", versionId: long)] {
        for call in ["open", "isPresent"] where call == "open" || request.versionId == nil {
          do throws(StoreError) {
            if call == "open" { try await source.open(request).close() } else { _ = try await source.isPresent(request) }
            Issue.record("\(call) of \(request.key.utf8.count) bytes")
          } catch {
            #expect(error.reason == .keyNotMappable && !error.isRetryable && !error.isOutage, "\(error.code)")
            #expect(error.message.utf8.count < 1_000, "\(error.message.utf8.count) bytes of message")
          }
        }
      }
      try await source.open(ObjectRequest(site: "b", bucket: "bkt", key: String(repeating: "ü", count: 512))).close()
    }
    #expect(server.requests.count == 1)
  }
}
