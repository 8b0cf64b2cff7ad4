// Everything that can go wrong between a store and its service, made to go wrong by a proxy: never a wrong copy that counts as
// one, the right reason, and all well again when the fault has gone.
import TestSupport
import Testing

@testable import Pipeline
@testable import PipelineCore
@testable import Reactor

@Suite(.serialized) struct FaultTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var fault: FaultProxy.Fault
    var method: String?
    var part = ""
    var size = 100_000
    /// The proxy stands before the source instead.
    var isAtSource = false
    var reason: StoreError.Reason
    var isRetryable = true
    var isOutage = true
    var testDescription: String { name }
  }

  private static let slow = ["Retry-After: 1"]
  private static let cases = [
    Case(name: "500 on PUT", fault: .answer(500, code: "InternalError"), method: "PUT", reason: .targetUnavailable),
    Case(name: "500 on HEAD", fault: .answer(500, code: ""), method: "HEAD", reason: .targetUnavailable),
    Case(name: "503 SlowDown", fault: .answer(503, code: "SlowDown", headers: slow), method: "PUT", reason: .throttled),
    Case(name: "429", fault: .answer(429, code: ""), method: "PUT", reason: .throttled),
    Case(name: "403", fault: .answer(403, code: "AccessDenied"), method: "PUT", reason: .targetDenied, isRetryable: false, isOutage: false),
    Case(name: "404", fault: .answer(404, code: "NoSuchBucket"), method: "PUT", reason: .targetMissing, isRetryable: false, isOutage: false),
    Case(name: "400", fault: .answer(400, code: "InvalidArgument"), method: "PUT", reason: .targetRefused, isRetryable: false, isOutage: false),
    Case(name: "bad digest", fault: .answer(400, code: "BadDigest"), method: "PUT", reason: .checksumMismatch, isOutage: false),
    Case(name: "reset in the request", fault: .resetRequest(after: 30_000), method: "PUT", reason: .targetUnavailable),
    Case(name: "reset of the answer", fault: .noAnswer, method: "PUT", reason: .targetUnavailable),
    Case(name: "stalled", fault: .stall, method: "PUT", reason: .timedOut),
    Case(name: "wrong ETag", fault: .wrongETag, method: "PUT", reason: .checksumMismatch, isOutage: false),
    Case(name: "error in a 200", fault: .errorInsideSuccess, method: "PUT", reason: .targetUnavailable, isOutage: true),
    Case(name: "redirect loop", fault: .redirect, method: "PUT", reason: .redirected),
    Case(name: "parts: 500", fault: .answer(500, code: ""), method: "PUT", part: "partNumber=2", size: 20_000_000, reason: .targetUnavailable),
    Case(
      name: "parts: reset", fault: .resetRequest(after: 1_000_000), method: "PUT", part: "partNumber=2", size: 20_000_000, reason: .targetUnavailable),
    Case(
      name: "parts: wrong ETag", fault: .wrongETag, method: "PUT", part: "partNumber=1", size: 20_000_000, reason: .checksumMismatch, isOutage: false),
    Case(
      name: "completion: error in a 200", fault: .errorInsideSuccess, method: "POST", part: "?uploadId=", size: 20_000_000,
      reason: .targetUnavailable),
    Case(name: "source: 500", fault: .answer(500, code: ""), method: "GET", isAtSource: true, reason: .sourceUnavailable),
    Case(
      name: "source: 403", fault: .answer(403, code: "AccessDenied"), method: "GET", isAtSource: true, reason: .sourceUnreadable, isRetryable: false,
      isOutage: false),
    Case(
      name: "source: 404", fault: .answer(404, code: "NoSuchKey"), method: "GET", isAtSource: true, reason: .sourceNotFound, isRetryable: false,
      isOutage: false),
    Case(name: "source: reset", fault: .resetAnswer(after: 50_000), method: "GET", isAtSource: true, reason: .sourceUnavailable),
    Case(name: "source: short", fault: .shortAnswer(after: 50_000), method: "GET", isAtSource: true, reason: .sourceUnavailable),
    Case(name: "source: flipped byte", fault: .flip(at: 77_777), method: "GET", isAtSource: true, reason: .checksumMismatch, isOutage: false),
    Case(
      name: "source: flipped byte, longer", fault: .flip(at: 777_777), method: "GET", size: 1_000_000, isAtSource: true, reason: .checksumMismatch,
      isOutage: false),
    Case(
      name: "source: flipped byte, parts", fault: .flip(at: 7_777_777), method: "GET", size: 20_000_000, isAtSource: true, reason: .checksumMismatch,
      isOutage: false),
    Case(name: "source: stalled", fault: .stall, method: "GET", isAtSource: true, reason: .timedOut),
  ]

  /// One pair of servers for the whole table: starting them takes longer than all of it.
  @Test(arguments: TransportKind.allCases) func noFaultMakesAWrongCopyAndEachIsNamed(_ kind: TransportKind) async throws {
    let (from, to) = (try MotoServer(), try MotoServer())
    let (sourceProxy, targetProxy) = (try FaultProxy(upstream: from.port), try FaultProxy(upstream: to.port))
    let (source, target) = (from.settings, to.settings)
    try await onS3Worker { reactor in
      var limits = TransportLimits()
      limits.stalledSecondsMax = 2
      let rig = S3Rig(reactor, limits: limits, kind: kind)
      let (sourceBucket, targetBucket) = (try await rig.makeBucket(source), try await rig.makeBucket(target))
      for (index, row) in Self.cases.enumerated() {
        let key = "k\(index)"
        let bytes = patternBytes(row.size, seed: UInt64(index))
        try await rig.put(source, sourceBucket, key, bytes)
        let replicator = Replicator(
          source: S3Source(client: rig.client(MotoServer.settings([sourceProxy.endpoint]), .source)),
          destination: S3Destination(
            client: rig.client(MotoServer.settings([targetProxy.endpoint])), placement: S3Placement(bucket: targetBucket, bucketMatch: true)))
        (row.isAtSource ? sourceProxy : targetProxy).set(row.fault, on: row.method, row.part)
        let request = ObjectRequest(site: "s", bucket: sourceBucket, key: key)
        let outcome = await replicator.replicate(request)
        guard case .failed(let error) = outcome else {
          Issue.record("\(row.name): \(outcome)")
          continue
        }
        #expect(error.reason == row.reason && error.isRetryable == row.isRetryable, "\(row.name): \(error)")
        #expect(error.isOutage == row.isOutage, "\(row.name): \(error)")
        if row.reason == .throttled, row.name.contains("Slow") { #expect(error.retryAfter == .seconds(1)) }
        sourceProxy.heal()
        targetProxy.heal()
        // Whatever stands there now is whole, or gone, or not trusted by the next attempt.
        let after = await replicator.replicate(request)
        #expect(after.isCopied || after.isSkipped, "\(row.name) afterwards: \(after)")
        #expect(try await rig.get(target, targetBucket, key).body == bytes, "\(row.name)")
      }
      let list = S3Request("GET", targetBucket, query: [("uploads", "")])
      let client = rig.client(target)
      #expect(try client.document(try await client.perform(list), list).all("Upload").isEmpty, "every failed upload was aborted")
      #expect(rig.pool.freeCount == rig.pool.blocksMax, "no block is lost")
    }
    withExtendedLifetime((from, to)) {}
  }

  @Test(arguments: TransportKind.allCases) func anotherEndpointTakesOver(_ kind: TransportKind) async throws {
    let server = try MotoServer()
    let dead = try freeLoopbackPort()
    let endpoint = server.endpoint
    let settings = server.settings
    try await onS3Worker { reactor in
      let rig = S3Rig(reactor, kind: kind)
      let bucket = try await rig.makeBucket(settings)
      let client = rig.client(MotoServer.settings(["http://127.0.0.1:\(dead)", endpoint]))
      await #expect(throws: StoreError.self) { _ = try await client.head(bucket, "k") }
      #expect(try await client.head(bucket, "k") == nil)
    }
    withExtendedLifetime(server) {}
  }

  @Test(arguments: TransportKind.allCases) func aCancelledTaskEndsItsRequestAtOnce(_ kind: TransportKind) async throws {
    let server = try MotoServer()
    let proxy = try FaultProxy(upstream: server.port)
    proxy.set(.stall)
    let worker = try ReactorWorker()
    defer { worker.end() }
    let executor = worker.handle.executor
    let task = Task.detached(executorPreference: executor) {
      let rig = S3Rig(Reactor.current!, kind: kind)
      do throws(StoreError) {
        _ = try await rig.client(MotoServer.settings([proxy.endpoint])).head("b", "k")
        return nil as StoreError?
      } catch {
        return error
      }
    }
    #expect(eventually { !proxy.requests.isEmpty })
    task.cancel()
    // Long before the stall of a minute would end it.
    let error = await task.value
    #expect(error?.reason == .busy && error?.isOutage == false, "\(error?.description ?? "answered")")
    withExtendedLifetime(server) {}
  }
}

@Suite(.serialized) struct BreakerTests {
  private static let policy = RetryPolicy(
    retriesMax: 2, timeout: .seconds(60), delayMin: .milliseconds(10), delayMax: .milliseconds(50))

  @Test func whileATargetIsAwayNothingFailsAndAllIsWellWhenItReturns() async throws {
    let server = try MotoServer()
    let proxy = try FaultProxy(upstream: server.port)
    let settings = server.settings
    var breakerSettings = CircuitBreaker.Settings(concurrency: 8)
    (breakerSettings.openMinMs, breakerSettings.openMaxMs) = (100, 400)
    let breaker = LocationBreaker(breakerSettings)
    let worker = try ReactorWorker()
    defer { worker.end() }
    let bucket = try await worker.run { try await S3Rig($0).makeBucket(settings) }
    let trees = Trees()
    for index in 0..<60 { trees.write("o\(index)", "object \(index)") }
    proxy.set(.answer(503, code: "ServiceUnavailable"))
    let finished = Lock<[String]>([])
    // On the worker at once: the pool's few threads may all be waiting in other tests, and this one waits itself.
    let work = Task.detached(executorPreference: worker.handle.executor) {
      try await worker.run { reactor in
        let rig = S3Rig(reactor)
        let files = reactor.makeFileOperations(mode: .plain)
        let source = FileSource(location: try FileLocation.openSource(trees.source.path, layout: .sameTree), files: files, pool: rig.pool)
        let target = S3Destination(client: rig.client(MotoServer.settings([proxy.endpoint])), placement: S3Placement(bucket: bucket))
        let replicator = StoreReplicator(
          site: "s", replicator: Replicator(source: source, destination: target), policy: Self.policy, breaker: breaker)
        let entries = (0..<60).map { EntrySample.file(bucket: "bkt", key: "o\($0)", site: "s") }
        for outcome in await EntryLanes.run(replicator, entries, atOnce: 12, handle: reactor.handle) {
          finished.withLock { $0.append(outcome) }
        }
      }
    }
    #expect(eventually(within: .seconds(30)) { breaker.view.state == .open })
    #expect(breaker.view.reason?.contains("503") == true, "\(breaker.view)")
    let atOpening = proxy.requests.count
    // A storm would be some hundred requests by then: twelve tasks, each asking again at once.
    #expect(eventually(within: .seconds(30)) { proxy.requests.count >= atOpening + 3 })
    #expect(proxy.requests.count < 60, "\(proxy.requests.count) requests to a target that is away")
    #expect(finished.withLock { $0 }.isEmpty)
    proxy.heal()
    try await work.value
    #expect(finished.withLock { $0 } == Array(repeating: "done", count: 60))
    #expect(breaker.view.state == .closed && breaker.view.reason == nil && breaker.view.limit > 1)
    withExtendedLifetime(server) {}
  }

  @Test func anObjectTheTargetRefusesOpensNothing() throws {
    let breaker = LocationBreaker(CircuitBreaker.Settings(concurrency: 4))
    var refused = StoreError(.targetDenied, isRetryable: false, "no")
    refused.side = .target
    var source = StoreError(.sourceUnavailable, isRetryable: true, "away")
    (source.side, source.isOutage) = (.source, true)
    for _ in 0..<20 {
      #expect(breaker.enter())
      breaker.leave(LocationBreaker.Verdict(.failed(refused)))
      #expect(breaker.enter())
      breaker.leave(LocationBreaker.Verdict(.failed(source)))
    }
    #expect(breaker.view.state == .closed)
  }

  @Test func retryAfterHoldsForEveryAttempt() throws {
    let breaker = LocationBreaker(CircuitBreaker.Settings(concurrency: 4))
    #expect(breaker.enter())
    breaker.leave(.outage(reason: "slow down", retryAfter: .seconds(600)))
    #expect(!breaker.enter())
    #expect(breaker.view.state == .closed && breaker.view.reason == "slow down")
  }
}
