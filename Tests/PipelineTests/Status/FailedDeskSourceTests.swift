// What the failed list says of objects whose failure Backbeat wrote down, which names them and nothing more: the source is asked, some
// objects at a time and not for long (backbeat-behaviour 1.7, test 84). And how far objects are, as Redis and the source tell it.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

/// A source that answers as a test says, and counts how many wait for it.
private final class ScriptedCatalog: SourceCatalog {
  struct Script: Sendable {
    var isAway = false
    /// Never answers, until it is cancelled.
    var hangs = false
    var asked = 0
    var open = 0
    var openMax = 0
    /// Of the questions that hang: when the first was asked, and when the last was given up.
    var hangsFrom: Instant?
    var hangsUntil: Instant?
  }

  private let script: Shared
  init(_ script: Shared) { self.script = script }

  final class Shared: Sendable {
    let value = Lock(Script())
    var now: Script { value.withLock { $0 } }
  }

  func object(bucket: String, key: String, versionId: String?, sites: [String]) async throws(StoreError) -> SourceObject? {
    script.value.withLock { script in
      script.asked += 1
      script.open += 1
      script.openMax = max(script.openMax, script.open)
      if script.hangs, script.hangsFrom == nil { script.hangsFrom = Instant.nowUncached() }
    }
    defer {
      script.value.withLock { script in
        script.open -= 1
        if script.hangs { script.hangsUntil = Instant.nowUncached() }
      }
    }
    let now = script.now
    await Reactor.current?.pause(for: now.hangs ? .seconds(3_600) : .milliseconds(2))
    if now.isAway || now.hangs { throw StoreError(.busy, isRetryable: true, "away") }
    if key.hasPrefix("gone") { return nil }
    var record = ObjectRecord(bucket: bucket, key: key, versionId: versionId, lastModified: "2031-02-03T04:05:06.789Z", sites: [])
    record.contentLength = 2_048
    return SourceObject(record: record)
  }

  func list(bucket: String?, prefix: String, sites: [String]) throws(StoreError) -> any SourceListing {
    throw StoreError(.busy, isRetryable: true, "not listed here")
  }
}

@Suite(.serialized) struct FailedDeskSourceTests {
  private func scripted() throws -> (DeskBench, ScriptedCatalog.Shared) {
    let script = ScriptedCatalog.Shared()
    return (try DeskBench(consumes: false, makeCatalog: { _ in ScriptedCatalog(script) }), script)
  }

  @Test func whatBackbeatWroteIsShownWithSizeAndTimeOfTheSource() async throws {
    let (bench, script) = try scripted()
    let now = WallClock.nowMs()
    let hour = FailedKeys.set(bench.site, hourMs: FailedKeys.hour(now))
    for index in 0..<60 { _ = try bench.cli("ZADD", hour, "\(now - Int64(index))", "photos:k\(index):3937383530") }
    _ = try bench.cli("ZADD", hour, "\(now - 100)", "photos:gone1:3937383530")
    _ = try bench.cli("ZADD", hour, "\(now - 101)", "photos:no-version:zz")
    let page = try await bench.page { $0.records.count == 60 }
    #expect(page.records.map(\.key) == (0..<60).map { "k\($0)" }, "what the source does not have is left out, as by Backbeat")
    #expect(page.records.allSatisfy { $0.size == 2_048 && $0.lastModified == "2031-02-03T04:05:06.789Z" })
    let most = script.now.openMax
    #expect(most > 1 && most <= FailedDesk.looksMax, "\(most)")
    let one = try await bench.desk.failures(of: FailedVersion(bucket: "photos", key: "k7", versionId: "3937383530"))
    #expect(one.map(\.record.size) == [2_048])
    #expect(try await bench.desk.failures(of: FailedVersion(bucket: "photos", key: "gone1", versionId: "3937383530")).isEmpty)
    await bench.end()
  }

  @Test func aSourceThatIsAwayOrSilentDoesNotHideTheList() async throws {
    let (bench, script) = try scripted()
    script.value.withLock { $0.isAway = true }
    let now = WallClock.nowMs()
    let hour = FailedKeys.set(bench.site, hourMs: FailedKeys.hour(now))
    for index in 0..<30 { _ = try bench.cli("ZADD", hour, "\(now - Int64(index))", "photos:k\(index):3937383530") }
    let away = try await bench.page { $0.records.count == 30 }
    #expect(away.records.allSatisfy { $0.size == 0 && $0.lastModified.isEmpty })
    script.value.withLock { $0.hangs = true }
    let silent = try await bench.desk.page(of: bench.site, markerMs: nil)
    // By the desk's own thread: when this test's goes on is a matter of the tests beside it.
    let hung = script.now
    let (from, until) = (try #require(hung.hangsFrom), try #require(hung.hangsUntil))
    #expect(until - from < FailedDesk.listLookTimeMax * 6, "\(until - from)")
    #expect(silent.records.count == 30)
    #expect(script.now.open == 0, "a question goes on after its answer has been given up")
    // What cannot be looked at is not retried, and stays.
    script.value.withLock { $0.hangs = false }
    let retries = (0..<30).map {
      FailedDesk.Retry(version: FailedVersion(bucket: "photos", key: "k\($0)", versionId: "3937383530"), site: bench.site, isForced: false)
    }
    #expect(try await bench.desk.retry(retries).isEmpty)
    #expect(try await bench.desk.page(of: bench.site, markerMs: nil).records.count == 30)
    await bench.end()
  }

  /// backbeat-behaviour 13, test 96, and what the topic brings.
  @Test func anObjectsProgressIsThatOfBackbeatsKeys() async throws {
    let bench = try DeskBench()
    let now = WallClock.nowMs()
    let version = FailedVersion(bucket: "photos", key: "2031/a:b.png", versionId: "3937383530")
    let subject = "\(bench.site):photos:2031/a:b.png:3937383530"
    let interval = now - now % 300_000
    _ = try await bench.page { _ in true }
    #expect(try await bench.desk.figures(of: version, at: bench.site) == ObjectFigures())
    _ = try bench.cli("INCRBY", "\(subject):bb:crr:object:bytes:requests:\(interval - 600_000)", "60")
    _ = try bench.cli("INCRBY", "\(subject):bb:crr:object:bytes:requests:\(interval)", "40")
    _ = try bench.cli("INCRBY", "\(subject):bb:crr:object:bytesdone:requests:\(interval)", "50")
    let seeded = try await bench.desk.figures(of: version, at: bench.site)
    #expect(seeded.bytesTotal == 100 && seeded.bytesDone == 50 && abs(seeded.bytesRate - 50.0 / 900) < 1e-9, "\(seeded)")

    let site = bench.site
    let message = { (type: String, bytes: Int64) in
      MetricsMessage(type: type, site: site, object: version, bytes: bytes, timestampMs: now).json
    }
    // Backbeat's own names no version where there is none; it is about the object all the same.
    let plain = #"{"timestamp":\#(now),"bytes":7,"extension":"crr","type":"queued","site":"\#(site)","bucketName":"photos","objectKey":"plain"}"#
    let lame = #"{"timestamp":\#(now),"bytes":7,"extension":"crr","type":"queued","site":"\#(site)","objectKey":"no bucket"}"#
    try bench.produce(
      "metrics",
      [message("queued", 900), message("completed", 200), message("completed", 250), message("failed", 9), Array(plain.utf8), Array(lame.utf8)])
    var figures = ObjectFigures()
    for _ in 0..<1_500 where figures.bytesDone != 500 || figures.bytesTotal != 1_000 {
      figures = try await bench.desk.figures(of: version, at: bench.site)
      briefly()
    }
    #expect(figures.bytesTotal == 1_000 && figures.bytesDone == 500, "\(figures)")
    let unversioned = FailedVersion(bucket: "photos", key: "plain")
    for _ in 0..<1_500 where figures.bytesTotal != 7 {
      figures = try await bench.desk.figures(of: unversioned, at: bench.site)
      briefly()
    }
    #expect(figures.bytesTotal == 7)
    #expect(try await bench.desk.figures(of: FailedVersion(bucket: "photos", key: "plain", versionId: "null"), at: bench.site) == figures)
    // A day, as Backbeat's; and a site's own figures do not hear of it.
    let life = try #require(try bench.number("TTL", "\(subject):bb:crr:object:bytesdone:requests:\(interval)"))
    #expect(life > 86_000 && life <= 86_400)
    let whole = try await bench.desk.figures(of: [bench.site])
    #expect(whole == SiteFigures(), "\(whole)")
    await bench.end()
  }

  @Test func whatRedisWasNotToldTheSourceShows() async throws {
    let bench = try DeskBench(consumes: false)
    try writeFile("\(bench.source.path)/photos/a", "meow")
    _ = try await bench.page { _ in true }
    let version = FailedVersion(bucket: "photos", key: "a", versionId: "null")
    #expect(try await bench.desk.figures(of: version, at: bench.site) == ObjectFigures(bytesTotal: 4))
    let location = try FileLocation.openSource(bench.source.path, layout: .source, note: { _ in })
    let statuses = FileSourceStatus(location: location, fallbackDirectory: bench.source.path + "-fallback", note: { _ in })
    let info = try #require(try statuses.file(bucket: "photos", key: "a"))
    _ = try statuses.set(.completed, site: bench.site, bucket: "photos", key: "a", sites: [bench.site], info: info)
    #expect(try await bench.desk.figures(of: version, at: bench.site) == ObjectFigures(bytesTotal: 4, bytesDone: 4))
    #expect(try await bench.desk.figures(of: bench.version("gone"), at: bench.site) == ObjectFigures())
    await bench.end()
  }

  /// backbeat-behaviour 13, test 95, and what the topic brings: each extension has its own counters and its own group.
  @Test func ingestionHasFiguresOfItsOwn() async throws {
    let bench = try DeskBench()
    let now = WallClock.nowMs()
    let interval = now - now % 300_000
    _ = try await bench.page { _ in true }
    for (site, done, pending) in [(bench.site, "100", "12"), (bench.other, "200", "30")] {
      _ = try bench.cli("INCRBY", "\(site):bb:ingestion:opsdone:requests:\(interval)", done)
      _ = try bench.cli("INCRBY", "\(site):bb:ingestion:opspending", pending)
    }
    let sites = [bench.site, bench.other]
    var figures = try await bench.desk.figures(of: sites, service: .ingestion)
    #expect(figures.doneOps == 300 && figures.pendingOps == 42 && abs(figures.opsRate - 300.0 / 900) < 1e-9, "\(figures)")
    let site = bench.site
    let messages = [("queued", 5), ("completed", 2), ("failed", 1)].map { type, ops in
      var message = MetricsMessage(type: type, site: site, ops: Int64(ops), bytes: 0, timestampMs: now)
      message.service = .ingestion
      return message.json
    }
    try bench.produce("metrics", messages + [MetricsMessage(type: "completed", site: site, ops: 9, bytes: 90, timestampMs: now).json])
    var crr = SiteFigures()
    for _ in 0..<1_500 where figures.doneOps != 302 || figures.pendingOps != 44 || crr.doneOps != 9 {
      figures = try await bench.desk.figures(of: sites, service: .ingestion)
      crr = try await bench.desk.figures(of: sites)
      briefly()
    }
    #expect(figures.doneOps == 302 && figures.pendingOps == 44 && figures.failures == 0, "\(figures)")
    #expect(crr.doneOps == 9 && crr.pendingOps == -9, "\(crr)")
    #expect(try bench.number("EXISTS", "\(site):bb:ingestion:ops:requests:\(interval)") == 0)
    await bench.end()
  }
}
