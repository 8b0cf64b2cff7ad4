// Members of one group, rebalances and commits. The embedded broker takes 3 s for the first join of a group and about
// a session time-out (4 s here) for later ones.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension KafkaTests {
  @Suite struct ConsumerGroupTests {
    @Test func aMemberStartsAtTheBeginningCommitsAndItsSuccessorGoesOnFromThere() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(100)
      let first = try ConsumerOwner(fixture.configuration(), fixture.reactor)
      try first.consumer.subscribe()
      try #require(fixture.wait { first.taken.count == 100 })
      #expect(first.assigned.map(\.generation) == [1] && first.assigned[0].partitions == [Partition(0)])
      #expect(try first.commitAll(fixture))
      #expect(first.close(fixture))
      try fixture.fill(50, from: 100)

      let second = try ConsumerOwner(fixture.configuration(), fixture.reactor)
      try second.consumer.subscribe()
      #expect(fixture.wait { second.taken.count == 50 })
      #expect(second.numbers == Array(100..<150))
      #expect(second.close(fixture))
      #expect(first.errors + second.errors == [])
    }

    /// 1 one member owns all; 2 a second joins; 3 the first drains before it answers, and commits; 4 they share; 5 the
    /// second leaves; 6 the first owns all again. Every message is seen, repeats are only those not committed.
    @Test func twoMembersShareThePartitionsAndOneTakesThemBack() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 4)])
      for partition in Int32(0)..<4 { try fixture.fill(100, partition: partition) }
      let first = try ConsumerOwner(fixture.configuration(), fixture.reactor)
      try first.consumer.subscribe()
      try #require(fixture.wait { first.taken.count == 400 })
      first.answersRevoked = false
      // From here the first has messages waiting and no room for them: it must see the rebalance all the same.
      first.credit = 0
      for partition in Int32(0)..<4 { try fixture.fill(100, from: 100, partition: partition) }

      let second = try ConsumerOwner(fixture.configuration(), fixture.reactor)
      try second.consumer.subscribe()
      try #require(fixture.wait { first.revoked.count == 1 })
      #expect(first.revoked[0].partitions.count == 4 && !first.revoked[0].isLost)
      first.credit = .max
      first.consumer.creditAvailable()
      fixture.spin(300)  // the drain: nothing may come in it
      #expect(first.taken.count == 400 && second.taken == [])
      #expect(first.consumer.unassign(first.revoked[0].generation))
      first.answersRevoked = true

      func shareIsEven() -> Bool {
        first.consumer.partitions.count == 2 && second.consumer.partitions.count == 2
          && Set(first.consumer.partitions + second.consumer.partitions).count == 4
      }
      // The mock may need more than one round to agree.
      try #require(fixture.wait(40, for: shareIsEven))
      #expect(fixture.wait { seen(first, second).allSatisfy { $0 == Set(0..<200) } })
      #expect(
        fixture.wait(40) {
          shareIsEven() && second.commitSucceeds(fixture) && first.commitSucceeds(fixture)
        })  // refused while members join

      #expect(second.close(fixture))
      try #require(fixture.wait(40) { first.consumer.partitions.count == 4 })
      for partition in Int32(0)..<4 { try fixture.fill(10, from: 200, partition: partition) }
      #expect(fixture.wait { seen(first, second).allSatisfy { $0 == Set(0..<210) } })
      #expect(first.consumer.statistics.repeats + first.consumer.statistics.jumps == 0)
      #expect(first.close(fixture))
    }

    /// What the two have taken, by partition.
    private func seen(_ first: ConsumerOwner, _ second: ConsumerOwner) -> [Set<Int>] {
      (0..<4).map { partition in
        Set((first.taken + second.taken).filter { $0.partition == partition }.map(\.number))
      }
    }

    /// Neither an idle consumer nor one without room makes librdkafka's queue move: only the timer polls.
    @Test func withoutRoomAndIdleForThreePollIntervalsTheGroupIsNotLeft() throws {
      let fixture = try KafkaFixture([.init("t")], user: ["max.poll.interval.ms": "4000"])
      try fixture.fill(200)
      let owner = try ConsumerOwner(fixture.configuration(), fixture.reactor)
      owner.credit = 50
      try owner.consumer.subscribe()
      try #require(fixture.wait { owner.taken.count == 50 })
      fixture.spin(12_500)
      #expect(owner.taken.count == 50 && owner.revoked.isEmpty)
      owner.credit = .max
      owner.consumer.creditAvailable()
      #expect(fixture.wait { owner.taken.count == 200 })
      #expect(owner.numbers == Array(0..<200) && owner.assigned.count == 1)
      #expect(owner.errors == [])
      #expect(owner.close(fixture))
    }

    @Test func unsubscribingAtAnyMomentLeavesTheGroupAndCanBeTakenBack() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(10)
      let owner = try ConsumerOwner(fixture.configuration(), fixture.reactor)
      // While joining.
      try owner.consumer.subscribe()
      fixture.spin(100)
      try owner.consumer.unsubscribe()
      #expect(owner.leftCount == 1)
      fixture.spin(200)
      #expect(owner.assigned.isEmpty && owner.revoked.isEmpty)
      // While an assignment is offered and not answered.
      owner.answersAssigned = false
      try owner.consumer.subscribe()
      try #require(fixture.wait { owner.assigned.count == 1 })
      try owner.consumer.unsubscribe()
      #expect(!owner.consumer.assign(owner.assigned[0].generation))
      #expect(fixture.wait { owner.revoked.count == 1 && owner.leftCount == 2 })
      #expect(owner.taken == [])
      // Back again.
      owner.answersAssigned = true
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 10 })
      #expect(owner.close(fixture))
    }

    @Test func aMemberTheBrokerForgotRejoinsAndMissesNothing() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(100)
      let owner = try ConsumerOwner(fixture.configuration(), fixture.reactor)
      try owner.consumer.subscribe()
      try #require(fixture.wait { owner.taken.count == 100 })
      #expect(try owner.commitAll(fixture))
      fixture.broker.failNext(.heartbeat, with: [.unknownMember])
      try #require(fixture.wait { owner.revoked.count == 1 })
      #expect(owner.revoked[0].isLost)
      try #require(fixture.wait(30) { owner.assigned.count == 2 })
      try fixture.fill(100, from: 100)
      #expect(fixture.wait { owner.taken.count >= 200 })
      #expect(owner.numbers == Array(0..<200))
      #expect(owner.close(fixture))
    }

    @Test func aCoordinatorThatMovesIsFollowed() throws {
      let fixture = try KafkaFixture([.init("t")], brokers: 2)
      try fixture.broker.setCoordinator(group: "g", broker: 1)
      try fixture.fill(100)
      let owner = try ConsumerOwner(fixture.configuration(), fixture.reactor)
      try owner.consumer.subscribe()
      try #require(fixture.wait { owner.taken.count == 100 })
      try fixture.broker.setCoordinator(group: "g", broker: 2)
      try fixture.fill(100, from: 100)
      #expect(fixture.wait { owner.taken.count == 200 })
      #expect(fixture.wait(30) { owner.commitSucceeds(fixture) })  // refused until the new one is known
      #expect(owner.numbers == Array(0..<200))
      #expect(owner.close(fixture))
    }
  }
}
