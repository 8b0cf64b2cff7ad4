// How far single copies are: kept on the board of a node without Redis, told to the metrics topic beside one.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite struct ObjectProgressTests {
  private func request(_ key: String, site: String = "east") -> ObjectRequest { ObjectRequest(site: site, bucket: "photos", key: key) }
  private func version(_ key: String) -> FailedVersion { FailedVersion(bucket: "photos", key: key) }

  @Test func theBoardKnowsWhatRunsAndWhatHasEndedAndForgetsTheOldest() {
    let board = TransferBoard()
    #expect(board.figures(of: version("a"), at: "east") == nil)
    let first = board.begin(request("a"))
    #expect(board.figures(of: version("a"), at: "east") == nil, "nothing is known before the source was opened")
    first.opened(bytes: 1_000)
    first.moved(bytes: 300)
    let running = board.figures(of: version("a"), at: "east")
    #expect(running?.bytesTotal == 1_000 && running?.bytesDone == 300 && abs((running?.bytesRate ?? 0) - 300.0 / 900) < 1e-9)
    #expect(board.figures(of: version("a"), at: "west") == nil)
    // The source changed: another attempt, and parts that are read again count no further than the whole.
    first.opened(bytes: 500)
    #expect(board.figures(of: version("a"), at: "east")?.bytesDone == 0)
    first.moved(bytes: 400)
    first.moved(bytes: 400)
    #expect(board.figures(of: version("a"), at: "east")?.bytesDone == 500)
    first.ended(isCopied: true)
    #expect(board.figures(of: version("a"), at: "east")?.bytesDone == 500)

    let failing = board.begin(request("b"))
    failing.opened(bytes: 10)
    failing.moved(bytes: 10)
    failing.ended(isCopied: false)
    #expect(board.figures(of: version("b"), at: "east") == nil, "what was not copied is not there")

    // A second copy of one object takes the first one's place, whichever ends first.
    let (old, new) = (board.begin(request("c")), board.begin(request("c")))
    new.opened(bytes: 20)
    old.opened(bytes: 10)
    old.ended(isCopied: false)
    #expect(board.figures(of: version("c"), at: "east")?.bytesTotal == 20)
    for index in 0..<(TransferBoard.endedMax + 50) {
      let transfer = board.begin(request("k\(index)"))
      transfer.opened(bytes: 1)
      transfer.ended(isCopied: true)
    }
    #expect(board.count == TransferBoard.endedMax + 1, "those that have ended, and the one that runs")
    #expect(board.figures(of: version("a"), at: "east") == nil && board.figures(of: version("c"), at: "east") != nil)
    #expect(board.figures(of: version("k60"), at: "east")?.bytesDone == 1)
  }

  @Test func aRateIsThatOfFifteenMinutes() {
    var recent = RecentBytes()
    let (interval, start): (Int64, Int64) = (300_000, 1_900_000_200_000)
    recent.add(900, atMs: start)
    #expect(recent.rate(nowMs: start) == 1)
    recent.add(1_800, atMs: start + 3 * interval)
    // Half of the newest interval gone: half of the fourth counts.
    #expect(recent.rate(nowMs: start + 3 * interval + interval / 2) == 2.5)
    #expect(recent.rate(nowMs: start + 4 * interval) == 2)
    #expect(recent.rate(nowMs: start + 7 * interval) == 0)
    recent.add(9, atMs: start)
    #expect(abs(recent.rate(nowMs: start + 3 * interval) - 3.01) < 1e-9, "a clock that went back")
  }

  /// A body that waits before its second block: what is known of the copy then, and at its end.
  @Test func aRunningCopyShowsHowFarItIs() async throws {
    let trees = Trees()
    let worker = try ReactorWorker()
    defer { worker.end() }
    try await worker.run { _ in
      let source = MemorySource()
      let (board, blocks) = (TransferBoard(), 3)
      source.objects["k"] = (ObjectInfo(size: Int64(blocks * BlockPool.blockBytes)), [UInt8](repeating: 7, count: blocks * BlockPool.blockBytes))
      var seen: [Int64] = []
      source.beforeBlock = { seen.append(board.figures(of: FailedVersion(bucket: "bkt", key: "k"), at: "b")?.bytesDone ?? -1) }
      let rig = try StorageRig(from: source, trees.source.path, to: trees.target.path, files: FaultyFileOperations())
      let request = rig.request("k")
      let progress = board.begin(request)
      #expect(await rig.replicator.replicate(request, progress: progress).isCopied)
      progress.ended(isCopied: true)
      #expect(seen == (0..<blocks).map { Int64($0 * BlockPool.blockBytes) })
      let end = board.figures(of: FailedVersion(bucket: "bkt", key: "k"), at: "b")
      #expect(end?.bytesDone == Int64(blocks * BlockPool.blockBytes) && (end?.bytesRate ?? 0) > 0)
    }
  }

  /// Through the pipeline: one large object, a small one, one that fails, and a redelivery. The topic has what Backbeat's consumer adds
  /// up to the object's bytes, and nothing of what was not copied.
  @Test func copiesAreToldToTheMetricsTopicObjectByObject() throws {
    let bench = try StatusBench()
    let metrics = try bench.read(StatusBench.topics.metrics)
    let (source, target) = (
      try FileLocation.openSource(bench.source.path, layout: .source, note: { _ in }),
      try FileLocation.openTarget(bench.target.path, layout: .bucketThenKey, note: { _ in })
    )
    let reports = TransferReports(topic: StatusBench.topics.metrics)
    let hook = reports.attach(to: bench.outbox, on: bench.reactor)
    let work = WorkerLocation(
      site: "east",
      kind: .replicator { context in
        StoreReplicator(
          site: "east",
          replicator: Replicator(
            source: FileSource(location: source, files: context.files, pool: context.blocks),
            destination: FileDestination(location: target, files: context.files, pool: context.blocks)),
          policy: RetryPolicy(retriesMax: 0), transfers: reports)
      }, statusTopic: StatusBench.topics.status)
    try bench.start("east", topic: StatusBench.topics.entries, work)
    let largeBytes = 40 << 20
    try bench.write("large", [UInt8](repeating: 3, count: largeBytes))
    try bench.write("small", "meow")
    #expect(mkdir("\(bench.source.path)/photos/a-directory", 0o755) == 0)
    for key in ["large", "small", "a-directory", "small"] { try bench.produce(StatusBench.topics.entries, [], bench.entry(key, size: 4).payload) }
    let told = { (key: String) in
      metrics.messages.compactMap { MetricsMessage($0.value, of: .crr) }.filter {
        $0.object == FailedVersion(bucket: "photos", key: key, versionId: "null")
      }
    }
    let done = { (key: String) in told(key).filter { $0.type == "completed" }.reduce(0) { $0 + $1.bytes } }
    #expect(bench.runUntil { done("large") == largeBytes && done("small") == 4 })
    #expect(bench.runUntil { bench.controllers[0].inFlightCount == 0 })
    #expect(told("large").filter { $0.type == "queued" }.map(\.bytes) == [Int64(largeBytes)])
    #expect(told("large").map(\.type) == ["queued", "completed", "completed", "completed"], "a step of 16 MiB each, and the rest")
    #expect(told("small").map(\.type) == ["queued", "completed"], "a redelivery copies nothing")
    #expect(told("a-directory").isEmpty)
    bench.reactor.removeBeforeSleep(hook)
    bench.end()
  }

  @Test func whatIsWrittenOnceForAllIsWhatEachMessageSays() {
    for version in [FailedVersion(bucket: "b", key: "k\"\\ü\n", versionId: "v"), FailedVersion(bucket: "photos", key: "2031/a.png")] {
      let messages = ObjectMetricsMessages(site: "east\"", object: version)
      for bytes: Int64 in [0, 5, .max] {
        let whole = MetricsMessage(type: "queued", site: "east\"", object: version, bytes: bytes, timestampMs: 1_900_000_000_123)
        #expect(messages.json(type: "queued", bytes: bytes, timestampMs: 1_900_000_000_123) == whole.json)
      }
    }
  }

  /// Nobody sends what is handed over: there is an end to it, and an object whose beginning had no room stays untold.
  @Test func reportsThatNobodySendsAreBounded() {
    let reports = TransferReports(topic: "metrics")
    for index in 0..<(TransferReports.openMax * 2) {
      let transfer = reports.begin(request("k\(index)"))
      transfer.opened(bytes: 4)
      transfer.moved(bytes: 4)
      transfer.ended(isCopied: true)
    }
    #expect(reports.openNow == TransferReports.openMax)
  }
}
