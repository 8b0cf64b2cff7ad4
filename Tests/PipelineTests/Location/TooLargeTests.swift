// Messages the broker says are too large: said of a batch, it is true of none of them for certain; said of one alone, the message is
// shortened where that leaves it true, and else given up by name, so that nothing waits for it for ever.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

/// Of an object in so many parts.
private func entry(_ key: String, parts: Int) -> String {
  let part = #"{\"key\":\"0123456789abcdef\",\"size\":5242880,\"start\":0,\"dataStoreName\":\"us-east-1\",\"dataStoreETag\":\"1:0cc1\"}"#
  let list = Array(repeating: part, count: parts).joined(separator: ",")
  return entryText(key, version: "v-\(key)").replacing(#"\"content-length\""#, with: #"\"location\":[\#(list)],\"content-length\""#)
}

@Suite(.serialized) struct TooLargeTests {
  private func bench(linger: Int) throws -> LocationBench {
    let work = WorkerLocation(site: "east", kind: Gate().work.kind, statusTopic: "status")
    return try LocationBench(limits: .init(concurrency: 20, waitingMax: 20), user: ["linger.ms": "\(linger)"], work: work)
  }

  private func statuses(_ bench: LocationBench, _ count: Int) throws -> [ReplicationEntry] {
    let reader = try LetterReader(bench, topic: "status", partitions: LocationBench.statusPartitions)
    #expect(bench.runUntil { reader.letters.count >= count })
    bench.spin(100)
    #expect(reader.letters.count == count)
    reader.close()
    #expect(bench.runUntil { reader.isClosed })
    return reader.letters.compactMap { letter in
      guard let value = letter.value, case .replicate(let entry) = EntryDecoder.decode(value.span, site: nil) else { return nil }
      return entry
    }
  }

  @Test func whatIsSaidOfABatchIsNotHeldAgainstAnyOfIt() throws {
    let bench = try bench(linger: 300)
    try bench.produce((0..<20).map { entry("k\($0)", parts: 3) })
    // One for each partition's batch, and some over.
    bench.broker.failNext(.produce, with: Array(repeating: .messageTooLarge, count: LocationBench.statusPartitions))
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 20 && bench.isAllCommitted() }, "\(bench.lines.all)")
    let told = try statuses(bench, 20)
    #expect(Set(told.map(\.key)).count == 20 && bench.outbox.undeliverableCount == 0)
    bench.end()
  }

  @Test func aStatusThatIsTooLargeIsToldWithoutTheListOfParts() throws {
    let bench = try bench(linger: 0)
    try bench.produce([entry("big", parts: 2_000)])
    bench.broker.failNext(.produce, with: [.messageTooLarge, .messageTooLarge])
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done == 1 && bench.isAllCommitted() }, "\(bench.lines.all)")
    let told = try #require(try statuses(bench, 1).first)
    #expect(told.bucket == "photos" && told.key == "big" && told.versionId == "v-big" && told.envelopeSite == "east")
    #expect(told.contentLength == 10 && told.contentMD5 == "0cc175b9c0f1b6a831c399e269772661" && told.content == [.data])
    #expect(told.backends.map(\.status) == [.completed] && told.sites == ["east"])
    #expect(told.payload.count < 2_000 && bench.outbox.undeliverableCount == 0)
    bench.end()
  }

  @Test(arguments: [KafkaError.Code.messageTooLarge, .batchTooLarge]) func whatCanNeverBeWrittenIsNamedAndHoldsNothingUp(
    _ code: KafkaError.Code
  ) throws {
    let bench = try bench(linger: 0)
    try bench.produce([entryText("doomed", version: "v1")])
    bench.broker.failNext(.produce, with: [code, code])
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.outbox.undeliverableCount == 1 }, "\(bench.lines.all)")
    let isNamed = bench.lines.contain("larger than the broker takes", "photos", "doomed", VersionId.encode("v1"), "max.message.bytes")
    #expect(isNamed, "\(bench.lines.all)")
    // Committed, and the pause ends.
    #expect(bench.runUntil { bench.isAllCommitted() })
    bench.paused(true, version: 1)
    #expect(bench.runUntil { bench.location.effective == .disabled })
    // What follows is told as ever.
    bench.paused(false, version: 2)
    try bench.produce([entryText("next", version: "v2")])
    #expect(bench.runUntil { bench.location.counters.done == 2 && bench.isAllCommitted() })
    #expect(try statuses(bench, 1).map(\.key) == ["next"])
    bench.end()
  }

  /// The library's own limit is asked before there is a batch.
  @Test func whatTheLibraryRefusesIsShortenedOrNamedAsWell() throws {
    let work = WorkerLocation(site: "east", kind: Gate().work.kind, statusTopic: "status")
    let bench = try LocationBench(user: ["compression.codec": "none"], work: work)
    var delivered: [Bool] = []
    let large = [UInt8](repeating: 120, count: 6_000_000)
    bench.outbox.send(topic: "status", key: nil, value: large) { delivered.append($0) }
    bench.outbox.send(topic: "status", key: nil, value: Array("small".utf8)) { delivered.append($0) }
    #expect(bench.runUntil { delivered.count == 2 })
    #expect(delivered.filter { $0 }.count == 1 && bench.outbox.undeliverableCount == 1 && bench.outbox.count == 0 && bench.outbox.hasRoom)
    var isClosed = false
    bench.outbox.close { isClosed = true }
    #expect(bench.runUntil { isClosed })
    bench.end()
  }
}
