// Producing: every accepted message is reported once, in order, whatever the broker does.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension KafkaTests {
  @Suite struct ProducerTests {
    private func send(_ owner: ProducerOwner, _ numbers: Range<Int>) throws {
      for number in numbers {
        try owner.producer.produce(
          topic: "t", key: nil, value: Array(String(number).utf8), partition: Partition(0), token: UInt64(number))
      }
    }

    private func readBack(_ fixture: KafkaFixture, _ count: Int, partitions: Int = 1) throws -> ConsumerOwner {
      let owner = try ConsumerOwner(fixture.configuration(standalone: partitions), fixture.reactor)
      owner.holdsMessages = true
      try owner.consumer.subscribe()
      #expect(fixture.wait(30) { owner.taken.count >= count })
      #expect(owner.close(fixture))
      return owner
    }

    @Test func everyMessageIsAcknowledgedOnceWithItsOffset() throws {
      let fixture = try KafkaFixture([.init("t")])
      let owner = try ProducerOwner(ProducerConfiguration(properties: fixture.properties), fixture.reactor)
      try send(owner, 0..<10_000)
      #expect(owner.producer.outstandingCount == 10_000)
      #expect(fixture.wait { owner.deliveries.count == 10_000 })
      #expect(owner.deliveries.map(\.token) == (0..<10_000).map { UInt64($0) })
      #expect(owner.deliveries.map(\.offset.value) == Array(0..<10_000))
      #expect(owner.deliveries.allSatisfy { $0.error == nil && $0.partition == Partition(0) })
      #expect(owner.producer.outstandingCount == 0 && owner.producer.statistics.delivered == 10_000)
      owner.producer.close()
      #expect(fixture.wait { owner.isClosed })
      #expect(try readBack(fixture, 10_000).numbers == Array(0..<10_000))
    }

    @Test func whatDoesNotFitIsRefusedAndRoomIsAnnounced() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.broker.setDown()
      var configuration = ProducerConfiguration(properties: fixture.properties)
      configuration.countMax = 100
      let owner = try ProducerOwner(configuration, fixture.reactor)
      try send(owner, 0..<100)
      var refusal: KafkaError?
      do throws(KafkaError) {
        try owner.producer.produce(topic: "t", key: nil, value: [1], partition: Partition(0), token: 100)
      } catch { refusal = error }
      #expect(refusal?.code == .queueFull && refusal?.isRetriable == true)
      #expect(owner.producer.statistics.refused == 1 && owner.roomCount == 0)
      try fixture.broker.setUp()
      #expect(fixture.wait { owner.roomCount == 1 })
      try send(owner, 100..<150)
      #expect(fixture.wait { owner.deliveries.count == 150 })
      owner.producer.close()
      #expect(fixture.wait { owner.isClosed })
    }

    @Test func keysValuesAndHeadersArriveAsTheyWere() throws {
      let fixture = try KafkaFixture([.init("t")])
      let owner = try ProducerOwner(ProducerConfiguration(properties: fixture.properties), fixture.reactor)
      let bytes = (0...255).map { UInt8($0) }
      let headers: [(name: String, value: [UInt8])] = [("reason", Array("cut".utf8)), ("empty", []), ("n", bytes)]
      try owner.producer.produce(topic: "t", key: bytes, value: bytes, headers: headers, token: 0)
      try owner.producer.produce(topic: "t", key: [UInt8](), value: [UInt8](), token: 1)
      try owner.producer.produce(topic: "t", key: bytes.span, value: nil, token: 2)
      try owner.producer.produce(topic: "t", key: nil, value: bytes.span, headers: [("h", [7])], token: 3)
      owner.producer.close()
      #expect(fixture.wait { owner.isClosed })
      #expect(owner.deliveries.allSatisfy { $0.error == nil } && owner.deliveries.count == 4)
      let held = try readBack(fixture, 4).held
      func array(_ span: Span<UInt8>) -> [UInt8] { (0..<span.count).map { span[$0] } }
      #expect(held[0].message.withKey(array) == bytes && held[0].message.withPayload(array) == bytes)
      #expect(held[0].message.header("reason") == Array("cut".utf8) && held[0].message.header("n") == bytes)
      #expect(held[1].message.hasKey && held[1].message.hasPayload && held[1].message.payloadCount == 0)
      #expect(held[2].message.hasKey && !held[2].message.hasPayload)
      #expect(!held[3].message.hasKey && held[3].message.header("h") == [7])
    }

    @Test func theKeyDecidesThePartition() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 8)])
      let owner = try ProducerOwner(ProducerConfiguration(properties: fixture.properties), fixture.reactor)
      for token in 0..<400 {
        try owner.producer.produce(topic: "t", key: Array("key\(token % 40)".utf8), value: [1], token: UInt64(token))
      }
      owner.producer.close()
      #expect(fixture.wait { owner.isClosed })
      var partitions: [UInt64: Set<Partition>] = [:]
      for delivery in owner.deliveries { partitions[delivery.token % 40, default: []].insert(delivery.partition) }
      #expect(partitions.count == 40 && partitions.values.allSatisfy { $0.count == 1 })
      #expect(Set(partitions.values.flatMap { $0 }).count == 8)
    }

    @Test func anOutageAndRefusalsAreRetriedInOrder() throws {
      let fixture = try KafkaFixture([.init("t")])
      let owner = try ProducerOwner(ProducerConfiguration(properties: fixture.properties), fixture.reactor)
      for round in 0..<10 {
        switch round % 3 {
        case 0: fixture.broker.failNext(.produce, with: [.notEnoughReplicas, .notLeader, .requestTimedOut])
        case 1: try fixture.broker.setDown()
        default: break
        }
        try send(owner, round * 100..<(round + 1) * 100)
        fixture.spin(20)
        if round % 3 == 1 { try fixture.broker.setUp() }
      }
      #expect(fixture.wait(30) { owner.deliveries.count == 1_000 })
      #expect(owner.deliveries.allSatisfy { $0.error == nil })
      owner.producer.close()
      #expect(fixture.wait { owner.isClosed })
      var seen: Set<Int> = []
      let firsts = try readBack(fixture, 1_000).numbers.filter { seen.insert($0).inserted }
      #expect(firsts == Array(0..<1_000))  // a retry may repeat, never overtake
    }

    @Test func closingWithoutABrokerReportsEverythingAsFailedInBoundedTime() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.broker.setDown()
      let owner = try ProducerOwner(ProducerConfiguration(properties: fixture.properties), fixture.reactor)
      try send(owner, 0..<50)
      owner.producer.close()
      #expect(throws: KafkaError.self) { try send(owner, 50..<51) }
      #expect(fixture.wait(8) { owner.isClosed })
      #expect(owner.deliveries.count == 50 && owner.deliveries.allSatisfy { $0.error?.code == .purged })
    }

    @Test func aMessageNobodyTakesIsReportedAfterItsTime() throws {
      let fixture = try KafkaFixture([.init("t")])
      var configuration = ProducerConfiguration(properties: fixture.properties)
      configuration.messageTimeoutMs = 1_000
      let owner = try ProducerOwner(configuration, fixture.reactor)
      try fixture.broker.setDown()
      try send(owner, 0..<3)
      #expect(fixture.wait { owner.deliveries.count == 3 })
      #expect(owner.deliveries.allSatisfy { $0.error?.code == .messageTimedOut })
      try fixture.broker.setUp()
      // Reconnecting may take longer than a message lives here: send until one gets through.
      for number in 3..<40 where owner.deliveries.last?.error != nil {
        try send(owner, number..<number + 1)
        #expect(fixture.wait { owner.deliveries.count == number + 1 })
      }
      #expect(owner.deliveries.last?.error == nil)
      owner.producer.close()
      #expect(fixture.wait { owner.isClosed })
    }

    @Test func whatCannotBeSentIsRefusedAtOnce() throws {
      let fixture = try KafkaFixture([.init("t")], user: ["message.max.bytes": "2000"])
      let owner = try ProducerOwner(ProducerConfiguration(properties: fixture.properties), fixture.reactor)
      var refusal: KafkaError?
      do throws(KafkaError) {
        try owner.producer.produce(topic: "t", key: nil, value: [UInt8](repeating: 1, count: 3_000), token: 1)
      } catch { refusal = error }
      #expect(refusal?.code == .messageTooLarge && refusal?.isRetriable == false)
      #expect(refusal?.description.contains("t") == true)
      #expect(throws: KafkaError.self) {
        try owner.producer.produce(
          topic: "t", key: nil, value: [UInt8](repeating: 1, count: 3_000), headers: [("h", [1])], token: 2)
      }
      owner.producer.close()
      #expect(fixture.wait { owner.isClosed })
      #expect(owner.deliveries.isEmpty)
    }
  }
}
