// Messages that the outbox keeps only when they fail.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite struct TellerTests {
  @Test func whatDoesNotArriveIsKeptAndSentAgain() throws {
    let bench = try LocationBench(partitions: 1)
    let reader = try LetterReader(bench, topic: "status", partitions: LocationBench.statusPartitions)
    var ended = 0
    let teller = bench.outbox.addTeller(topic: "status") { ended += 1 }
    let values = (0..<5).map { Array("message \($0)".utf8) }
    func arrived() -> Set<[UInt8]> { Set(reader.letters.compactMap(\.value)) }
    for value in values.prefix(2) { bench.outbox.tell(teller, value) }
    #expect(bench.outbox.count == 0, "not kept")
    #expect(bench.runUntil { ended == 2 && arrived().count == 2 })
    // Final for librdkafka, so it says so at once; some batches fail several times.
    bench.broker.failNext(.produce, with: Array(repeating: .topicAuthorizationFailed, count: 6))
    for value in values.dropFirst(2) { bench.outbox.tell(teller, value) }
    #expect(bench.runUntil { bench.outbox.count > 0 })
    #expect(bench.runUntil { ended == 5 && arrived() == Set(values) }, "\(ended) \(arrived().count)")
    #expect(bench.outbox.count == 0 && bench.outbox.hasRoom)
    reader.close()
    #expect(bench.runUntil { reader.isClosed })
    bench.end()
  }
}
