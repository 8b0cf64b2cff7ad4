// Results of copies on their way back: published by the locations, read by the status processor, shown at the source.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct StatusProcessorTests {
  @Test func theStatusOfTheWholeFollowsItsSites() throws {
    let bench = try StatusBench()
    try bench.startStatusProcessor()
    try bench.write("cat.png", "meow")
    let entry = bench.entry("cat.png", size: 4)
    try bench.report(entry, "east", .completed)
    #expect(bench.runUntil { bench.attribute("cat.png", "replication-status") == "PROCESSING" })
    #expect(bench.attribute("cat.png", "east-replication-status") == "COMPLETED")
    #expect(bench.attribute("cat.png", "west-replication-status") == "PENDING")
    try bench.report(entry, "west", .failed)
    #expect(bench.runUntil { bench.attribute("cat.png", "replication-status") == "FAILED" })
    // A retry's entry names one site only; the other one still counts.
    let retry = bench.entry("cat.png", sites: ["west"], size: 4)
    try bench.report(retry, "west", .pending)
    #expect(bench.runUntil { bench.attribute("cat.png", "replication-status") == "PROCESSING" })
    try bench.report(retry, "west", .completed)
    #expect(bench.runUntil { bench.attribute("cat.png", "replication-status") == "COMPLETED" })
    bench.end()
  }

  @Test func completedIsFinalAndWhatIsGoneIsLeftAlone() throws {
    let bench = try StatusBench()
    try bench.startStatusProcessor()
    let failed = try bench.read(StatusBench.topics.failed)
    try bench.write("a", "1234")
    let entry = bench.entry("a", size: 4)
    try bench.report(entry, "east", .completed)
    try bench.report(entry, "east", .failed)
    try bench.report(entry, "east", .pending)
    try bench.report(bench.entry("never-there", size: 4), "east", .failed)
    try bench.report(bench.entry("a", size: 99), "west", .completed)  // another state of the file
    #expect(bench.runUntil { bench.controllers[0].counters.finished == 5 })
    #expect(bench.attribute("a", "east-replication-status") == "COMPLETED")
    #expect(bench.attribute("a", "west-replication-status") == "PENDING")
    #expect(bench.counters.figures.kinds[.unchanged] == 2)
    #expect(bench.counters.figures.kinds[.gone] == 2)
    #expect(failed.messages.isEmpty)
    bench.end()
  }

  @Test func aFailureGoesThroughItsReplayTopicsAndThenToTheFailedTopic() throws {
    let bench = try StatusBench()
    try bench.startStatusProcessor(replay: [(StatusBench.topics.replay, 2)])
    let (replay, failed, metrics) = (
      try bench.read(StatusBench.topics.replay), try bench.read(StatusBench.topics.failed), try bench.read(StatusBench.topics.metrics)
    )
    try bench.write("with:colon", "1234")
    var entry = bench.entry("with:colon", size: 4)
    let headers = [("downbeat-reason", Array("TargetFull".utf8)), ("downbeat-attempts", Array("6".utf8))]
    for turn in 1...3 {
      try bench.report(entry, "east", .failed, headers: headers.map { (name: $0.0, value: $0.1) })
      if turn == 3 { break }
      #expect(bench.runUntil { replay.messages.count == turn })
      let value = replay.messages[turn - 1].value
      guard case .replicate(let again) = EntryDecoder.decode(value.span, site: "east") else {
        Issue.record("\(String(decoding: value, as: UTF8.self))")
        return
      }
      #expect(again.replayCount == Int64(2 - turn))
      #expect(again.siteStatus == .pending)
      #expect(again.envelopeSite == nil)
      #expect(bench.attribute("with:colon", "east-replication-status") == nil, "nothing is written while it is replayed")
      entry = again
    }
    #expect(bench.runUntil { failed.messages.count == 1 && metrics.messages.count == 1 })
    #expect(bench.attribute("with:colon", "east-replication-status") == "FAILED")
    let message = try #require(FailedMessage(failed.messages[0].value))
    #expect(message.site == "east")
    #expect(message.record.key == "with:colon")
    #expect(message.record.reason == "TargetFull")
    #expect(message.record.attempts == 6)
    #expect(failed.messages[0].text.hasPrefix(#"{"key":"bb:crr:failed:east:"#))
    #expect(metrics.messages[0].text.contains(#""type":"failed","site":"east""#))
    bench.end()
  }

  @Test func noReportAtAllIsADeadLetter() throws {
    let bench = try StatusBench()
    try bench.startStatusProcessor()
    let dead = try bench.read(StatusBench.topics.dead)
    let entry = bench.entry("a")
    try bench.produce(StatusBench.topics.status, [], entry.payload)  // no site
    try bench.produce(StatusBench.topics.status, [], Array("garbage".utf8))
    try bench.produce(StatusBench.topics.status, [], EntryEncoder.canary)
    #expect(bench.runUntil { bench.controllers[0].counters.finished == 3 })
    #expect(bench.runUntil { dead.messages.count == 2 })
    bench.end()
  }

  /// A location that copies publishes what Backbeat would, and its offset waits for the broker.
  @Test func aCopyIsPublishedAsBackbeatPublishesIt() throws {
    let bench = try StatusBench()
    let status = try bench.read(StatusBench.topics.status)
    let (source, target) = (
      try FileLocation.openSource(bench.source.path, layout: .source, note: { _ in }),
      try FileLocation.openTarget(bench.target.path, layout: .bucketThenKey, note: { _ in })
    )
    let work = WorkerLocation(
      site: "east",
      kind: .replicator { context in
        StoreReplicator(
          site: "east",
          replicator: Replicator(
            source: FileSource(location: source, files: context.files, pool: context.blocks),
            destination: FileDestination(location: target, files: context.files, pool: context.blocks)),
          policy: RetryPolicy(retriesMax: 0))
      }, statusTopic: StatusBench.topics.status)
    try bench.start("east", topic: StatusBench.topics.entries, work)
    try bench.write("cat.png", "meow")
    let entry = bench.entry("cat.png", size: 4)
    try bench.produce(StatusBench.topics.entries, Array("photos%2Fcat.png".utf8), entry.payload)
    #expect(bench.runUntil { status.messages.count == 1 })
    #expect(status.messages[0].key == "photos%2Fcat.png")
    #expect(status.messages[0].value == EntryEncoder.republished(entry, as: .status(site: "east", .completed, versionId: nil)))
    // One that cannot be copied, and one that was deleted meanwhile, of which nothing is told.
    try bench.produce(StatusBench.topics.entries, [], bench.entry("gone", size: 4).payload)
    #expect(mkdir("\(bench.source.path)/photos/a-directory", 0o755) == 0)
    try bench.produce(StatusBench.topics.entries, [], bench.entry("a-directory", size: 4).payload)
    #expect(bench.runUntil { status.messages.count == 2 })
    #expect(status.messages[1].key == "photos%2Fa-directory")
    #expect(status.messages[1].reason == "SourceNotAFile")
    #expect(status.messages[1].attempts == "1")
    #expect(bench.runUntil { bench.controllers[0].inFlightCount == 0 && bench.controllers[0].counters.skipped == 1 })
    // Both ends together: the processor makes of them what the source shows.
    try bench.startStatusProcessor()
    #expect(bench.runUntil { bench.attribute("cat.png", "replication-status") == "PROCESSING" })
    bench.end()
  }

  /// While the broker refuses the status, the entry stays unfinished.
  @Test func nothingIsCommittedBeforeItsStatusIsOnTheBroker() throws {
    let bench = try StatusBench()
    let status = try bench.read(StatusBench.topics.status)
    let gate = Lock(false)
    final class Gated: EntryReplicator {
      let isOpen: () -> Bool
      init(_ isOpen: @escaping () -> Bool) { self.isOpen = isOpen }
      func replicate(_ entry: ReplicationEntry) async -> WorkResult {
        while !isOpen() { await Reactor.current?.pause(for: .milliseconds(5)) }
        return WorkResult(.done(bytes: 0))
      }
    }
    let isOpen = { @Sendable in gate.withLock { $0 } }
    try bench.start(
      "east", topic: StatusBench.topics.entries,
      WorkerLocation(site: "east", kind: .replicator { _ in Gated(isOpen) }, statusTopic: StatusBench.topics.status))
    try bench.produce(StatusBench.topics.entries, [], bench.entry("a").payload)
    #expect(bench.runUntil { bench.controllers[0].inFlightCount == 1 })
    bench.broker.failNext(.produce, with: Array(repeating: .topicAuthorizationFailed, count: 3))
    gate.withLock { $0 = true }
    #expect(bench.runUntil { bench.outbox.count == 1 })
    #expect(bench.runUntil { bench.consumed.last?.offset == 1 && status.messages.count == 1 })
    for (offset, unacknowledged) in bench.consumed where unacknowledged > 0 { #expect(offset == 0) }
    bench.end()
  }
}
