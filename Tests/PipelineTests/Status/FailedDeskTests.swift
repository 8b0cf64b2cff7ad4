// The failed list in a real Redis: what the failed topic brings, pages, retries. `DOWNBEAT_TEST_REDIS=host:port` points at
// another server than the one the tests start; every test has sites of its own.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

final class DeskBench {
  static let partitions = 8
  let broker: EmbeddedBroker
  let source = TemporaryDirectory()
  let redis: RedisServer?
  let endpoint: RedisEndpoint
  let site = "site:\(UInt64.random(in: 0...UInt64.max))"
  let other = "other:\(UInt64.random(in: 0...UInt64.max))"
  let desk: FailedDesk
  let properties: KafkaProperties

  init(
    consumes: Bool = true, makeCatalog: (@Sendable (WorkerContext) throws(StoreError) -> any SourceCatalog)? = nil
  ) throws {
    broker = try EmbeddedBroker(topics: ["status", "entries", "failed", "metrics"].map { .init($0, partitions: Self.partitions) })
    properties = try KafkaProperties(bootstrapServers: broker.bootstrapServers)
    if let text = getenv("DOWNBEAT_TEST_REDIS").map({ String(cString: $0) }), let colon = text.lastIndex(of: ":") {
      redis = nil
      endpoint = RedisEndpoint(host: String(text[..<colon]), port: Int(text[text.index(after: colon)...])!)
    } else {
      let server = try RedisServer()
      redis = server
      endpoint = server.endpoint
    }
    _ = mkdir(source.path + "/photos", 0o755)
    var settings = FailedDesk.Settings(
      redis: RedisSettings(place: .server(endpoint)), expiry: .seconds(86_400), properties: properties, statusTopic: "status",
      replicationTopic: "entries", sites: [site, other])
    if consumes {
      settings.failedTopic = .init(topic: "failed", group: "retry")
      settings.metricsTopic = .init(topic: "metrics", group: "metrics")
      settings.ingestionMetricsTopic = .init(topic: "metrics", group: "metrics-ingestion")
    }
    let path = source.path
    settings.makeCatalog = { _ throws(StoreError) in
      let location = try FileLocation.openSource(path, layout: .source, note: { _ in })
      return FileSourceCatalog(
        path: path, statuses: FileSourceStatus(location: location, fallbackDirectory: path + "-fallback", note: { _ in }))
    }
    if let makeCatalog { settings.makeCatalog = makeCatalog }
    desk = try FailedDesk.start(settings, log: StatusBench.silent)
  }

  func end() async {
    await desk.close()
    desk.stop()
    redis?.stop()
  }

  func cli(_ arguments: String...) throws -> String {
    let output = "\(source.path)-cli-\(UInt64.random(in: 0...UInt64.max))"
    let process = try ChildProcess("redis-cli", ["-h", endpoint.host, "-p", "\(endpoint.port)"] + arguments, outputPath: output)
    _ = process.wait()
    defer { unlink(output) }
    return process.output
  }

  /// The last line of what redis-cli prints.
  func number(_ arguments: String...) throws -> Int? {
    let output = "\(source.path)-cli-\(UInt64.random(in: 0...UInt64.max))"
    let process = try ChildProcess("redis-cli", ["-h", endpoint.host, "-p", "\(endpoint.port)"] + arguments, outputPath: output)
    _ = process.wait()
    defer { unlink(output) }
    return Int(process.output.split(separator: "\n").last ?? "")
  }

  func version(_ key: String) -> FailedVersion { FailedVersion(bucket: "photos", key: key, versionId: "") }

  func message(_ key: String, atMs: Int64) -> FailedMessage {
    FailedMessage(
      site: site,
      record: FailedRecord(
        bucket: "photos", key: key, size: 4, lastModified: "2031-02-03T04:05:06.789Z", reason: "TargetFull", message: "no room",
        attempts: 6, failedAtMs: atMs))
  }

  /// Puts messages on a topic and waits until the broker has them.
  func produce(_ topic: String, _ values: [[UInt8]]) throws {
    let reactor = try Reactor()
    let owner = try ProducerOwner(ProducerConfiguration(properties: properties), reactor)
    for (index, value) in values.enumerated() {
      try owner.producer.produce(
        topic: topic, key: [], value: value, partition: Partition(Int32(index % Self.partitions)), token: UInt64(index))
    }
    #expect(reactor.runUntil(within: .seconds(60)) { owner.deliveries.count == values.count })
    owner.producer.close()
    #expect(reactor.runUntil(within: .seconds(60)) { owner.isClosed })
  }

  /// Until the desk answers, then until `isEnough` of what it answers.
  func page(until isEnough: (FailedListPage) -> Bool) async throws -> FailedListPage {
    var last: FailedListPage?
    for _ in 0..<3_000 {
      do {
        let page = try await desk.page(of: site, markerMs: nil)
        if isEnough(page) { return page }
        last = page
      } catch {
        // Not connected yet.
      }
      briefly()
    }
    return try #require(last)
  }

  func all() async throws -> [FailedRecord] {
    var records: [FailedRecord] = []
    var marker: Int64?
    repeat {
      let page = try await desk.page(of: site, markerMs: marker)
      #expect(page.records.count >= FailedLog.pageCount || page.nextMarkerMs == nil)
      records += page.records
      marker = page.nextMarkerMs
    } while marker != nil
    return records
  }
}

/// Between two looks at what another thread is doing.
func briefly() { _ = eventually(within: .milliseconds(20)) { false } }

@Suite(.serialized) struct FailedDeskTests {
  /// 1. Ten thousand failures come by the failed topic, over twenty hours, many at the same moment. 2. Pages give each once.
  /// 3. All are retried in one call. 4. The list is empty, the counters say ten thousand, the topics have an entry for each.
  @Test func tenThousandFailuresAreListedInPagesAndRetriedInOneCall() async throws {
    let bench = try DeskBench()
    let count = 10_000
    let now = WallClock.nowMs()
    var messages: [[UInt8]] = []
    for index in 0..<count {
      let key = index % 3 == 0 ? "k:\(index)" : "k\(index)"
      try writeFile("\(bench.source.path)/photos/\(key)", "meow")
      // Runs of seven share their moment, and one run of three hundred does.
      let moment = (1_000..<1_300).contains(index) ? 1_000 : index / 7
      messages.append(bench.message(key, atMs: now - Int64(moment) * 50_000).json)
    }
    try bench.produce("failed", messages)
    var listed: [FailedRecord] = []
    for _ in 0..<600 where listed.count < count {
      _ = try await bench.page { !$0.records.isEmpty }
      listed = try await bench.all()
      briefly()
    }
    #expect(listed.count == count)
    #expect(Set(listed.map(\.key)).count == count, "a page repeats an object")
    #expect(zip(listed, listed.dropFirst()).allSatisfy { $0.failedAtMs >= $1.failedAtMs }, "newest first")
    #expect(listed.allSatisfy { $0.reason == "TargetFull" && $0.attempts == 6 && $0.size == 4 })

    let retried = try await bench.desk.retry(
      listed.map { FailedDesk.Retry(version: $0.version, site: bench.site, isForced: false) })
    #expect(retried.count == count)
    #expect(Set(retried.map(\.version)).count == count)
    let after = try await bench.desk.page(of: bench.site, markerMs: nil)
    #expect(after.records.isEmpty && after.nextMarkerMs == nil)
    let figures = try await bench.desk.figures(of: [bench.site])
    #expect(figures.pendingOps == Int64(count))
    #expect(figures.pendingBytes == Int64(count) * 4)
    #expect(figures.failures == 0)
    #expect(try bench.cli("--scan", "--pattern", "*\(bench.site):processingFailures").isEmpty, "a lock was left")
    await bench.end()
  }

  @Test func whatBackbeatWroteIsListedAndRetriedEvenWithColons() async throws {
    let bench = try DeskBench(consumes: false)
    let now = WallClock.nowMs()
    try writeFile("\(bench.source.path)/photos/a:b", "meow")
    let hour = { (ms: Int64) in FailedKeys.set(bench.site, hourMs: FailedKeys.hour(ms)) }
    _ = try bench.cli("ZADD", hour(now), "\(now)", "photos:a:b:")
    // The same object failed three hours before as well.
    _ = try bench.cli("ZADD", hour(now - 10_800_000), "\(now - 10_800_000)", "photos:a:b:")
    try writeFile("\(bench.source.path)/photos/x", "purr")
    _ = try bench.cli("ZADD", hour(now - 10_800_000), "\(now - 10_800_001)", "photos:x:")
    let page = try await bench.page { $0.records.count == 2 }
    #expect(page.records.map(\.key) == ["a:b", "x"])
    #expect(page.records.map(\.versionId) == ["", ""])
    #expect(page.records[0].failedAtMs == now)
    let found = try await bench.desk.failures(of: bench.version("a:b"))
    #expect(found.map(\.site) == [bench.site])
    let retried = try await bench.desk.retry([.init(version: bench.version("a:b"), site: bench.site, isForced: false)])
    #expect(retried.map(\.version.key) == ["a:b"])
    #expect(try await bench.desk.page(of: bench.site, markerMs: nil).records.map(\.key) == ["x"])
    await bench.end()
  }

  @Test func aLockedObjectIsLeftToWhoeverLockedIt() async throws {
    let bench = try DeskBench(consumes: false)
    let now = WallClock.nowMs()
    try writeFile("\(bench.source.path)/photos/a", "meow")
    _ = try bench.cli("ZADD", FailedKeys.set(bench.site, hourMs: FailedKeys.hour(now)), "\(now)", "photos:a:")
    _ = try await bench.page { $0.records.count == 1 }
    let lock = FailedKeys.lock(bench.version("a"), site: bench.site)
    _ = try bench.cli("SET", lock, "somebody", "EX", "100")
    let retry = FailedDesk.Retry(version: bench.version("a"), site: bench.site, isForced: false)
    #expect(try await bench.desk.retry([retry]).isEmpty)
    #expect(try await bench.desk.page(of: bench.site, markerMs: nil).records.count == 1)
    #expect(try bench.cli("GET", lock).contains("somebody"), "somebody else's lock was taken away")
    _ = try bench.cli("DEL", lock)
    #expect(try await bench.desk.retry([retry]).count == 1)
    #expect(try bench.number("EXISTS", lock) == 0)
    await bench.end()
  }

  @Test func forcedRetriesNeedNoFailureAndWhatIsGoneLeavesTheList() async throws {
    let bench = try DeskBench(consumes: false)
    let now = WallClock.nowMs()
    try writeFile("\(bench.source.path)/photos/here", "meow")
    _ = try bench.cli("ZADD", FailedKeys.set(bench.site, hourMs: FailedKeys.hour(now)), "\(now)", "photos:gone:")
    _ = try await bench.page { $0.records.count == 1 }
    let retried = try await bench.desk.retry([
      .init(version: bench.version("here"), site: bench.site, isForced: true),
      .init(version: bench.version("gone"), site: bench.site, isForced: false),
      .init(version: bench.version("not-listed"), site: bench.site, isForced: false),
      .init(version: bench.version("here"), site: "no such site", isForced: true),
    ])
    #expect(retried.map(\.version.key) == ["here"])
    #expect(retried.first?.size == 4)
    #expect(try await bench.desk.page(of: bench.site, markerMs: nil).records.isEmpty)
    #expect(try await bench.desk.figures(of: [bench.site]).pendingOps == 1)
    await bench.end()
  }

  @Test func failuresExpireAndCountersAreThoseOfTheMetricsTopic() async throws {
    let bench = try DeskBench()
    let now = WallClock.nowMs()
    try bench.produce("failed", [bench.message("old", atMs: now - 90_000_000).json, bench.message("new", atMs: now).json, Array("x".utf8)])
    let site = bench.site
    let metric = { (type: String, ops: Int64, bytes: Int64) in
      MetricsMessage(type: type, site: site, ops: ops, bytes: bytes, timestampMs: now).json
    }
    try bench.produce("metrics", [metric("queued", 5, 50), metric("completed", 2, 20), metric("failed", 1, 0), Array("{}".utf8)])
    #expect(try await bench.page { $0.records.count == 1 }.records.map(\.key) == ["new"])
    var figures = SiteFigures()
    for _ in 0..<1_500 where figures.doneOps != 2 || figures.pendingOps != 2 {
      figures = try await bench.desk.figures(of: [bench.site, bench.other])
      briefly()
    }
    #expect(figures.pendingOps == 2 && figures.pendingBytes == 30 && figures.doneOps == 2 && figures.doneBytes == 20, "\(figures)")
    #expect(figures.failures == 1)
    #expect(figures.opsRate > 0)
    let key = FailedKeys.set(bench.site, hourMs: FailedKeys.hour(now))
    #expect(try #require(try bench.number("TTL", key)) > 86_000)
    await bench.end()
  }

  @Test func withoutRedisTheDeskSaysSo() async throws {
    let bench = try DeskBench(consumes: false)
    _ = try await bench.page { _ in true }
    guard let redis = bench.redis else { return await bench.end() }
    redis.stop()
    var failure: FailedDesk.Unavailable?
    for _ in 0..<500 where failure == nil {
      do { _ = try await bench.desk.page(of: bench.site, markerMs: nil) } catch { failure = error }
      briefly()
    }
    #expect(failure?.description.hasPrefix("Redis") == true)
    await bench.end()
  }
}
