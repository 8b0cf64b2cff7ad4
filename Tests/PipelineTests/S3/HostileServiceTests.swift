// A service that answers what none should, and entries that name what none can have.
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite(.serialized) struct HostileServiceTests {
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
      let location = try FileLocation.openTarget(trees.target.path, layout: .keyOnly)
      let destination = FileDestination(location: location, files: files, pool: rig.pool)
      let replicator = Replicator(source: S3Source(client: rig.client(settings, .source)), destination: destination)
      for index in dates.indices {
        let request = ObjectRequest(site: "b", bucket: "bkt", key: "\(index)")
        let outcome = await replicator.replicate(request)
        #expect(outcome.isCopied, "\(dates[index]): \(outcome)")
        #expect(await replicator.replicate(request).isSkipped, "\(dates[index])")
      }
    }
    #expect(trees.copies.count == dates.count)
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
