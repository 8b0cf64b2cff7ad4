// The whole no-op pipeline against the embedded broker: consume, decode, schedule, worker, complete, commit.
import Glibc
import Logging
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

/// One location over a broker of its own, driven on the test's thread.
private final class Bench: LocationObserver, ProducerDelegate {
  let reactor: Reactor
  let broker: EmbeddedBroker
  let pool: WorkerPool
  let outbox: Outbox
  var location: LocationController!
  var isStopped = false
  private var producer: Producer!
  private var delivered = 0

  init(mode: PauseMode = .hold, partitions: Int = 3, limits: KeyedScheduler.Limits = .init()) throws {
    reactor = try Reactor()
    broker = try EmbeddedBroker(topics: [.init("entries", partitions: partitions), .init("dead")])
    pool = try WorkerPool(reactor: reactor, workers: 2)
    let properties = try KafkaProperties(bootstrapServers: broker.bootstrapServers)
    outbox = try Outbox(reactor: reactor, configuration: ProducerConfiguration(properties: properties), log: Self.silent)
    producer = try Producer(ProducerConfiguration(properties: properties), on: reactor, delegate: self)
    location = try makeLocation(mode, partitions, limits, properties)
    location.observer = self
  }

  private static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

  private func makeLocation(
    _ mode: PauseMode, _ partitions: Int, _ limits: KeyedScheduler.Limits, _ properties: KafkaProperties
  ) throws -> LocationController {
    var consumer = ConsumerConfiguration(properties: properties, groupId: "group", topic: "entries")
    consumer.membership = .standalone(partitions: partitions)
    consumer.fetchWaitMs = EmbeddedBroker.fetchWaitMsMax
    var options = LocationOptions(
      site: "east", limits: limits, pauseMode: mode, consumer: consumer,
      work: WorkerLocation(site: "east", kind: .noop), deadLetterTopic: "dead")
    options.commitInterval = .milliseconds(20)
    return try LocationController(reactor: reactor, pool: pool, outbox: outbox, options: options, log: Self.silent)
  }

  func produce(_ values: [String]) throws {
    let before = delivered
    for (index, value) in values.enumerated() {
      try producer.produce(topic: "entries", key: Array("k\(index)".utf8), value: Array(value.utf8), token: UInt64(index))
    }
    #expect(reactor.runUntil { delivered == before + values.count })
  }

  func paused(_ isPaused: Bool, version: Int64) {
    location.desiredChanged(paused: isPaused, version: StateVersion(epoch: 1, number: version))
  }

  func runUntil(_ condition: () -> Bool) -> Bool { reactor.runUntil(within: .seconds(30), condition) }

  func end() {
    location.stop()
    #expect(runUntil { isStopped })
    pool.stop()
  }

  func locationReports(_ location: LocationController) {}
  func location(_ location: LocationController, finished outcome: WorkOutcome) {}
  func location(_ location: LocationController, consumedUpTo offset: Offset, of partition: Partition) {}
  func locationDidStop(_ location: LocationController) { isStopped = true }
  func producer(_ producer: Producer, delivered delivery: Delivery) { delivered += delivery.error == nil ? 1 : 0 }
  func producer(_ producer: Producer, failed error: KafkaError) { Issue.record("\(error)") }
  func producerDidClose(_ producer: Producer) {}
}

private func entry(_ key: String, site: String = "east") -> String {
  let value =
    #"{\"content-length\":10,\"content-md5\":\"0cc175b9c0f1b6a831c399e269772661\",\"last-modified\":\"2031-02-03T04:05:06.789Z\","#
    + #"\"replicationInfo\":{\"status\":\"PENDING\",\"backends\":[{\"site\":\"\#(site)\",\"status\":\"PENDING\",\"dataStoreVersionId\":\"\"}],"#
    + #"\"content\":[\"DATA\"],\"destination\":\"arn:aws:s3:::b\",\"storageClass\":\"\#(site)\"}}"#
  return #"{"type":"put","bucket":"photos","key":"\#(key)","value":"\#(value)"}"#
}

@Suite struct LocationControllerTests {
  @Test func everyEntryEndsAndEveryOffsetIsCommitted() throws {
    let bench = try Bench()
    let values = (0..<3_000).map { entry("key\($0)") } + ["garbage", #"{"canary":true}"#, entry("other", site: "west")]
    try bench.produce(values)
    #expect(bench.location.counters.taken == 0, "nothing is taken before the desired state is known")
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.finished == UInt64(values.count) }, "\(bench.location.counters)")
    #expect(bench.location.counters.done == 3_000)
    #expect(bench.location.counters.deadLettered == 1)
    #expect(bench.location.counters.skipped == 2)
    var survey: [PartitionSurvey] = []
    #expect(
      bench.runUntil {
        bench.location.consumer.survey { if case .success(let found) = $0 { survey = found } }
        bench.reactor.runOnce(waitMax: .milliseconds(20))
        return !survey.isEmpty && survey.allSatisfy { $0.lag == 0 }
      })
    bench.end()
  }

  @Test(arguments: PauseMode.allCases) func aPausedLocationTakesNothingAndResumesWithoutRepeating(mode: PauseMode) throws {
    let bench = try Bench(mode: mode)
    try bench.produce((0..<500).map { entry("a\($0)") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.done >= 200 })
    bench.paused(true, version: 1)
    #expect(bench.runUntil { bench.location.effective == .disabled })
    #expect(bench.location.inFlightCount == 0)
    let taken = bench.location.counters.taken
    try bench.produce((0..<500).map { entry("b\($0)") })
    for _ in 0..<20 { bench.reactor.runOnce(waitMax: .milliseconds(10)) }
    #expect(bench.location.counters.taken == taken)
    bench.paused(false, version: 2)
    #expect(bench.runUntil { bench.location.counters.done >= 1_000 })
    for _ in 0..<20 { bench.reactor.runOnce(waitMax: .milliseconds(10)) }
    #expect(bench.location.counters.done == 1_000, "an entry was repeated")
    bench.end()
  }

  @Test func aHotKeyHoldsItsPartitionBackAndStillFinishes() throws {
    let bench = try Bench(partitions: 1, limits: .init(concurrency: 4, waitingMax: 4, keyWaitingMax: 1))
    try bench.produce((0..<400).map { entry($0 % 4 == 0 ? "cold\($0)" : "hot") })
    bench.paused(false, version: 0)
    #expect(bench.runUntil { bench.location.counters.finished == 400 }, "\(bench.location.counters)")
    bench.end()
  }

  @Test func aLocationThatStartsPausedNeverTakesAnything() throws {
    let bench = try Bench(mode: .unsubscribe)
    try bench.produce([entry("a")])
    bench.paused(true, version: 0)
    for _ in 0..<20 { bench.reactor.runOnce(waitMax: .milliseconds(10)) }
    #expect(bench.location.effective == .disabled)
    #expect(bench.location.counters.taken == 0)
    bench.end()
  }
}
