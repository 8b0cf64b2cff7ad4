// A location whose target is ill, beside one that is well, on the same workers: whatever the fault, the other keeps its rate,
// nothing wrong is ever at the target, and all is well again when the fault has gone.
import PipelineCore
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite(.serialized) struct FaultNeighbourTests {
  private static let faults: [(name: String, fault: FaultProxy.Fault, method: String?)] = [
    ("500", .answer(500, code: "InternalError"), nil),
    ("503 SlowDown", .answer(503, code: "SlowDown", headers: ["Retry-After: 1"]), nil),
    ("403", .answer(403, code: "AccessDenied"), nil),
    ("404", .answer(404, code: "NoSuchBucket"), "PUT"),
    ("reset in the middle", .resetRequest(after: 10_000), "PUT"),
    ("no answer", .noAnswer, nil),
    ("stalled", .stall, nil),
    ("short answer", .shortAnswer(after: 0), nil),
    ("wrong ETag", .wrongETag, "PUT"),
    ("error in a 200", .errorInsideSuccess, "PUT"),
    ("redirect loop", .redirect, nil),
  ]
  /// Of the well location: ten at a time, ten milliseconds each, so its rate is a matter of time and not of the machine.
  private static let entriesPerRound = 300
  /// One entry in so many is for the ill one as well.
  private static let share = 30
  private static let attemptsMax = 6

  @Test func aTargetThatIsIllCostsTheOthersNothing() async throws {
    let server = try MotoServer()
    let proxy = try FaultProxy(upstream: server.port)
    let settings = server.settings
    let bucket = try await onS3Worker { reactor in
      let rig = S3Rig(reactor)
      return try await rig.makeBucket(settings)
    }
    let bench = try NeighbourBench(proxy.endpoint, bucket)
    _ = try bench.round(entries: 50, share: Self.share)  // connections, first use
    for (name, fault, method) in Self.faults {
      var best = 0.0
      var attempts = 0
      repeat {
        proxy.heal()
        let calm = try bench.round(entries: Self.entriesPerRound, share: Self.share)
        proxy.set(fault, on: method)
        best = max(best, calm / (try bench.round(entries: Self.entriesPerRound, share: Self.share)))
        attempts += 1
      } while best < 0.95 && attempts < Self.attemptsMax
      #expect(best >= 0.95, "\(name): \(best) of its rate")
      proxy.heal()
      #expect(bench.isIllAtRest(), "\(name): \(bench.breaker.view)")
      let (before, failedBefore) = (bench.ill.counters.done, bench.ill.counters.failed)
      _ = try bench.round(entries: Self.share, share: 1)
      #expect(bench.isIllAtRest())
      #expect(bench.ill.counters.failed == failedBefore && bench.ill.counters.done == before + UInt64(Self.share), "\(name): well again")
    }
    let (wanted, done) = (bench.digests, Int(bench.ill.counters.done))
    bench.end()
    try await onS3Worker { reactor in
      var listed = 0
      var marker: S3ListMarker?
      let rig = S3Rig(reactor)
      let client = rig.client(settings)
      repeat {
        let page = try await client.versions(of: bucket, after: marker)
        for version in page.versions { #expect(version.etag == wanted[version.key], "\(version.key)") }
        listed += page.versions.count
        marker = page.next
      } while marker != nil
      // What failed for its reason may be there whole: the answer was wrong, not the copy.
      #expect(listed >= done)
    }
    withExtendedLifetime(server) {}
  }
}

/// Two locations on one topic.
private final class NeighbourBench {
  private let bench: StatusBench
  /// MD5 by key of the copies.
  private(set) var digests: [String: String] = [:]
  let breaker: LocationBreaker
  private var rounds = 0
  private var expected: UInt64 = 0

  private var well: LocationController { bench.controllers[0] }
  var ill: LocationController { bench.controllers[1] }

  init(_ endpoint: String, _ bucket: String) throws {
    bench = try StatusBench()
    var breakerSettings = CircuitBreaker.Settings(concurrency: 10)
    (breakerSettings.openMinMs, breakerSettings.openMaxMs) = (50, 200)
    breaker = LocationBreaker(breakerSettings)
    let drill = DrillSettings(taskTime: .milliseconds(10))
    try bench.start(
      "well", topic: StatusBench.topics.entries,
      WorkerLocation(
        site: Site("well"),
        kind: .replicator { (_) throws(WorkerLocationError) -> any EntryReplicator in try DrillReplicator(drill) }))
    let source = try FileLocation.openSource(bench.source.path, layout: .source, note: { _ in })
    let work = WorkerLocation(
      site: Site("ill"),
      kind: .replicator { [breaker] context in
        var limits = TransportLimits()
        limits.stalledSecondsMax = 2
        let transport = TransportChoice(reactor: context.reactor, pool: context.blocks, limits: limits)
        let client = S3Client(settings: MotoServer.settings([endpoint]), side: .target, transport: transport)
        return StoreReplicator(
          site: "ill",
          replicator: Replicator(
            source: FileSource(location: source, files: context.files, pool: context.blocks),
            destination: S3Destination(client: client, placement: S3Placement(bucket: bucket, bucketMatch: true))),
          policy: RetryPolicy(retriesMax: 2, timeout: .seconds(60), delayMin: .milliseconds(5), delayMax: .milliseconds(20)), breaker: breaker)
      })
    try bench.start("ill", topic: StatusBench.topics.entries, work)
  }

  /// Gives both their entries while both are paused, then lets both go.
  /// - Returns: seconds until the well location had finished its own.
  func round(entries count: Int, share: Int) throws -> Double {
    rounds += 1
    for controller in bench.controllers { controller.desiredChanged(paused: true, version: StateVersion(epoch: 1, number: Int64(2 * rounds))) }
    #expect(bench.runUntil { well.report.state == .disabled })
    for index in 0..<count {
      let key = "\(rounds)-\(index)"
      if index % share == 0 {
        let bytes = patternBytes(20_000 + index, seed: UInt64(rounds * 10_000 + index))
        try bench.write(key, bytes)
        digests[key] = md5Hex(bytes)
      }
      bench.enqueue(bench.entry(key, sites: index % share == 0 ? ["well", "ill"] : ["well"]))
    }
    #expect(bench.runUntil { bench.isDelivered })
    expected += UInt64(count)
    for controller in bench.controllers { controller.desiredChanged(paused: false, version: StateVersion(epoch: 1, number: Int64(2 * rounds + 1))) }
    // From the first task on: how soon a resumed consumer fetches is not what is asked.
    #expect(bench.runUntil { well.counters.finished > expected - UInt64(count) })
    let began = Instant.nowUncached()
    let until = expected
    while well.counters.finished < until { bench.reactor.runOnce(waitMax: .milliseconds(5)) }
    return Double((Instant.nowUncached() - began).nanoseconds) / 1e9
  }

  /// Waits until the ill location has nothing left to do.
  func isIllAtRest() -> Bool { bench.runUntil { ill.counters.finished == expected } }

  func end() { bench.end() }
}
