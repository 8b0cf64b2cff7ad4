// The window against the broker it protects: what a partition really keeps per entry, and that a full window of a
// location that consumes nothing loses nothing.
import PipelineCore
import Reactor
import Testing

@testable import Pipeline

private func ends(_ fixture: KafkaFixture) throws -> (low: Int64, high: Int64) {
  let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
  var answer: Result<[PartitionSurvey], KafkaError>?
  owner.consumer.survey { answer = $0 }
  check(fixture.wait { answer != nil })
  owner.consumer.close()
  check(fixture.wait { owner.isClosed })
  let survey = try #require(try answer?.get().first)
  return (survey.low.value, survey.high.value)
}

@Test func aWholeWindowOfTheSmallestEntriesStaysFarBelowWhatThePartitionKeeps() throws {
  // Every entry alone in its batch: the dearest way to store it.
  let fixture = try KafkaFixture([.init("t", partitions: 1)], user: ["batch.num.messages": "1"])
  let (key, value) = EntryForm(site: "b").encode(
    ObjectName(bucket: "a", key: "f"), WalkedFile(path: "f", size: 0, modifiedNs: 0))
  let owner = try ProducerOwner(ProducerConfiguration(properties: fixture.properties), fixture.reactor)
  let payload = key.count + value.count
  let count = EmbeddedBroker.partitionBytesMax * 3 / 2 / payload
  for number in 0..<count {
    try owner.producer.produce(topic: "t", key: key, value: value, partition: Partition(0), token: UInt64(number))
  }
  owner.producer.close()
  check(fixture.wait(60) { owner.isClosed })
  #expect(owner.deliveries.allSatisfy { $0.error == nil })
  let (low, high) = try ends(fixture)
  #expect(high == Int64(count))
  #expect(low > 0, "the test has to reach the bound")
  let overhead = EmbeddedBroker.partitionBytesMax / Int(high - low) - payload
  #expect(overhead <= EnqueueWindow.messageOverheadBytes, "measured \(overhead)")
  #expect(overhead > EnqueueWindow.messageOverheadBytes / 2, "measured \(overhead): the reserve is needlessly large")
}

@Test func aLocationThatConsumesNothingLosesNothing() throws {
  let source = TempTree("source")
  for index in 0..<4_000 { source.file("directory\(index % 9)/a file with quite a usual name \(index).txt", "x") }
  let fixture = try KafkaFixture([.init("t", partitions: 1)], user: ["batch.num.messages": "1"])
  let target = TempTree("b").path
  let populator = try EmbeddedPopulator(
    .init(
      sourcePath: source.path, naming: .oneBucket("a"),
      locations: [PopulatedLocation(site: "b", partitionCount: 1, makeProbe: { NothingThere(target) })]))
  defer { populator.stop() }
  let owner = try PortOwner(fixture)
  owner.port = EnqueuePort(populator: populator, partitionCounts: [1]) { item, token in owner.produce(item, token) }
  owner.port.start(on: fixture.reactor) { _, _ in }
  // Full: what is handed out stands still below the bound, and everything of it is in the topic.
  check(fixture.wait { owner.acknowledged > 1_500 && owner.acknowledged == populator.statuses[0].enqueuedObjects })
  #expect(owner.bytes <= EnqueueWindow.bytesMax)
  #expect(populator.statuses[0].enqueuedObjects < 4_000)
  // A last entry may still be on its way while the ends are asked for.
  let before = owner.acknowledged
  let (low, high) = try ends(fixture)
  #expect(low == 0, "dropped before anybody consumed it")
  #expect((before...owner.acknowledged).contains(high), "\(before) \(high) \(owner.acknowledged)")
  owner.producer.close()
  check(fixture.wait { owner.isClosed })
}

private final class NothingThere: CopyProbe {
  init(_ target: String) {}
  func isUpToDate(bucket: String, key: String, file: WalkedFile) -> Bool { false }
  func hasCopy(of object: ObjectName) -> Bool { false }
  func path(ofCopyOf object: ObjectName) -> String? { nil }
  func object(ofCopyAt path: String) -> ObjectName? { nil }
}

/// How the reactor's side is wired: the port produces, delivery reports go back to it.
private final class PortOwner: ProducerDelegate {
  private(set) var producer: Producer!
  var port: EnqueuePort!
  var acknowledged: Int64 = 0
  var bytes = 0
  var isClosed = false

  init(_ fixture: KafkaFixture) throws {
    producer = try Producer(ProducerConfiguration(properties: fixture.properties), on: fixture.reactor, delegate: self)
  }

  func produce(_ item: EnqueueItem, _ token: UInt64) -> Bool {
    do throws(KafkaError) {
      try producer.produce(topic: "t", key: item.key, value: item.value, partition: Partition(item.partition), token: token)
      bytes += item.cost
      return true
    } catch {
      return false
    }
  }

  func producer(_ producer: Producer, delivered delivery: Delivery) {
    acknowledged += 1
    port.delivered(token: delivery.token, offset: delivery.error == nil ? delivery.offset.value : nil)
  }

  func producerHasRoom(_ producer: Producer) { port.pump() }
  func producer(_ producer: Producer, failed error: KafkaError) { Issue.record("\(error)") }
  func producerDidClose(_ producer: Producer) { isClosed = true }
}
