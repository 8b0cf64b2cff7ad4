// What the embedded broker is and is not: the facts its file head states, and embedded mode relies on.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension KafkaTests {
  @Suite struct EmbeddedBrokerTests {
    private func survey(_ fixture: KafkaFixture, topic: String = "t") throws -> [PartitionSurvey] {
      let owner = try ConsumerOwner(fixture.configuration(topic: topic, standalone: 1), fixture.reactor)
      var found: [PartitionSurvey]?
      owner.consumer.survey { result in if case .success(let surveys) = result { found = surveys } }
      #expect(fixture.wait { found != nil })
      #expect(owner.close(fixture))
      return found ?? []
    }

    @Test func topicsAreThereFromTheStartAndCanBeAdded() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 3), .init("u")])
      try fixture.broker.createTopic(.init("v", partitions: 7))
      #expect(fixture.broker.bootstrapServers.hasPrefix("127.0.0.1:"))
      #expect(try survey(fixture).count == 3)
      #expect(try survey(fixture, topic: "u").count == 1)
      #expect(try survey(fixture, topic: "v").count == 7)
      #expect(throws: KafkaError.self) { try fixture.broker.createTopic(.init("t", partitions: 2)) }
    }

    @Test func aPartitionKeepsFiveMebibytesAndDropsItsOldest() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 2)], user: ["batch.num.messages": "1"])
      try fixture.fill(200, bytes: 50_000)
      try fixture.fill(10, partition: 1, bytes: 50_000)
      let found = try survey(fixture)
      let kept = Int(found[0].high.value - found[0].low.value)
      #expect(found[0].high == Offset(200))
      // Each batch is a value of 50,000 bytes and 70 to 80 of framing.
      #expect(kept * 50_000 <= EmbeddedBroker.partitionBytesMax)
      #expect(kept * 50_100 > EmbeddedBroker.partitionBytesMax - 2 * 50_100)
      #expect(found[1].low == Offset(0) && found[1].high == Offset(10))
    }

    /// It trims the old one, and takes the log for empty: what it has just stored cannot be reached.
    @Test func ofTwoBatchesTooBigTogetherTheNewerIsLostToo() throws {
      let fixture = try KafkaFixture(
        [.init("t")], user: ["message.max.bytes": "4000000", "fetch.message.max.bytes": "4000000", "batch.num.messages": "1"])
      try fixture.fill(2, bytes: 3_000_000)
      let found = try survey(fixture)
      #expect(found[0].low == Offset(2) && found[0].high == Offset(2))
    }

    @Test func aRoundTripCanBeMadeLong() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.broker.setRoundTrip(milliseconds: 400)
      let start = Instant.nowUncached()
      try fixture.fill(1)
      #expect(Instant.nowUncached() - start > .milliseconds(400))
    }

    @Test func anErrorOfATopicIsSeenByItsReaders() throws {
      let fixture = try KafkaFixture([.init("t")])
      fixture.broker.setTopicError("t", .topicAuthorizationFailed)
      let owner = try ConsumerOwner(fixture.configuration(), fixture.reactor)
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.errors.contains { $0.code == .topicAuthorizationFailed } })
      fixture.broker.setTopicError("t", nil)
      #expect(owner.close(fixture))
    }
  }
}
