// Consuming against a broker over TCP, by standalone consumers: same code, same events, no group to wait for.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension KafkaTests {
  @Suite struct ConsumerTests {
    @Test func tenThousandMessagesArriveInOrderOnceEach() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(10_000)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count >= 10_000 })
      fixture.spin(50)
      #expect(owner.numbers == Array(0..<10_000))
      #expect(owner.consumer.statistics.jumps == 0 && owner.consumer.statistics.repeats == 0)
      #expect(owner.consumer.position(of: Partition(0)) == Offset(10_000))
      #expect(owner.close(fixture))
      #expect(owner.errors == [])
    }

    @Test func exactlyTheCreditIsTakenAndNothingWithoutIt() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(1_000)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      owner.credit = 0
      try owner.consumer.subscribe()
      fixture.spin(300)
      #expect(owner.taken == [])
      for credit in [1, 7, 64, 65, 500] {
        let before = owner.taken.count
        owner.credit = credit
        owner.consumer.creditAvailable()
        #expect(fixture.wait { owner.taken.count == before + credit })
        fixture.spin(30)
        #expect(owner.taken.count == before + credit)
      }
      owner.credit = .max
      owner.consumer.creditAvailable()
      #expect(fixture.wait { owner.taken.count == 1_000 })
      #expect(owner.numbers == Array(0..<1_000))
      #expect(owner.close(fixture))
    }

    /// Of a partition that is being set right everything fetched is dropped: in turns as bounded as those that take.
    @Test func whatIsThrownAwayCountsAsPolled() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(1_000)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      owner.credit = 1
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 1 && owner.consumer.queuedMessageCount >= 500 }, "\(owner.consumer.queuedMessageCount)")
      let before = owner.consumer.queuedMessageCount
      owner.consumer.slots[0].isFailed = true
      owner.credit = 1
      #expect(owner.consumer.runTurn(fixture.reactor) == .again)
      #expect(owner.consumer.queuedMessageCount >= before - Consumer.messagesPerTurnMax && owner.taken.count == 1)
      #expect(owner.consumer.runTurn(fixture.reactor) == .again)
      #expect(owner.consumer.queuedMessageCount >= before - 2 * Consumer.messagesPerTurnMax)
      #expect(owner.close(fixture))
    }

    @Test func aRebalanceThatFailsWhileItLeavesEndsInHavingLeft() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(20)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 20 })
      try owner.consumer.unsubscribe()
      owner.consumer.rebalanceFailed(KafkaError(.timedOut, call: "rebalance"))
      #expect(owner.leftCount == 1 && owner.revoked.map(\.isLost) == [true] && owner.errors.count == 1)
      // The revocation that was on its way finds nothing any more.
      fixture.spin(50)
      #expect(owner.leftCount == 1 && owner.revoked.count == 1)
      // While it stays, it joins again.
      owner.taken = []
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 20 })
      owner.consumer.rebalanceFailed(KafkaError(.timedOut, call: "rebalance"))
      #expect(fixture.wait { owner.assigned.count == 3 && owner.taken.count == 40 })
      #expect(owner.leftCount == 1 && owner.revoked.count == 2)
      #expect(owner.close(fixture))
    }

    @Test func pausedPartitionsStandStillAndGoOnWhereTheyWere() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 2)])
      try fixture.fill(5_000, partition: 0)
      try fixture.fill(5_000, partition: 1)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 2), fixture.reactor)
      owner.credit = 3_000
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.credit == 0 })
      owner.consumer.pause([Partition(0)])
      owner.consumer.pause([Partition(0), Partition(1)])
      #expect(owner.consumer.isPaused(Partition(0)) && owner.consumer.isPaused(Partition(1)))
      owner.credit = .max
      owner.consumer.creditAvailable()
      fixture.spin(300)
      #expect(owner.taken.count == 3_000)

      owner.consumer.resume([Partition(1)])
      #expect(fixture.wait { owner.taken.filter { $0.partition == 1 }.count == 5_000 })
      fixture.spin(50)
      let first = owner.taken.filter { $0.partition == 0 }
      #expect(first.map(\.number) == Array(0..<first.count) && first.count <= 3_000)

      owner.consumer.resume([Partition(0), Partition(1)])
      #expect(fixture.wait { owner.taken.count == 10_000 })
      for partition in Int32(0)...1 {
        #expect(owner.taken.filter { $0.partition == partition }.map(\.number) == Array(0..<5_000))
      }
      #expect(owner.consumer.statistics.jumps == 0 && owner.consumer.statistics.repeats == 0)
      #expect(owner.close(fixture))
      #expect(owner.errors == [])
    }

    /// The position is still librdkafka's alone then: what it has prefetched must come again, not be skipped.
    @Test func pausingBeforeAnythingWasTakenSkipsNothing() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(500)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      owner.credit = 0
      try owner.consumer.subscribe()
      fixture.spin(200)
      for _ in 0..<3 {
        owner.consumer.pause([Partition(0)])
        fixture.spin(20)
        owner.consumer.resume([Partition(0)])
        fixture.spin(20)
      }
      owner.credit = .max
      owner.consumer.creditAvailable()
      #expect(fixture.wait { owner.taken.count == 500 })
      #expect(owner.numbers == Array(0..<500))
      #expect(owner.close(fixture))
    }

    @Test func aHundredPausesInMidStreamNeitherSkipNorRepeat() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(20_000)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      var generator = SeededGenerator(seed: testSeed)
      owner.credit = 0
      try owner.consumer.subscribe()
      for _ in 0..<100 where owner.taken.count < 20_000 {
        owner.credit = Int.random(in: 0...300, using: &generator)
        owner.consumer.creditAvailable()
        fixture.spin(Int.random(in: 0...4, using: &generator))
        owner.consumer.pause([Partition(0)])
        if Bool.random(using: &generator) { fixture.spin(2) }
        owner.consumer.resume([Partition(0)])
      }
      owner.credit = .max
      owner.consumer.creditAvailable()
      #expect(fixture.wait { owner.taken.count >= 20_000 })
      #expect(owner.numbers == Array(0..<20_000), "seed \(testSeed)")
      #expect(owner.consumer.statistics.jumps == 0 && owner.consumer.statistics.repeats == 0)
      #expect(owner.close(fixture))
    }

    @Test func partitionsPausedAtAssignAreNotFetchedUntilResumed() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 2)])
      try fixture.fill(10, partition: 0)
      try fixture.fill(10, partition: 1)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 2), fixture.reactor)
      owner.pausedAtAssign = [Partition(1)]
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 10 })
      fixture.spin(200)
      #expect(owner.taken.allSatisfy { $0.partition == 0 } && owner.taken.count == 10)
      owner.consumer.resume([Partition(1)])
      #expect(fixture.wait { owner.taken.count == 20 })

      // A pause ends with its assignment.
      owner.consumer.pause([Partition(0)])
      owner.pausedAtAssign = []
      try owner.consumer.unsubscribe()
      #expect(fixture.wait { owner.leftCount == 1 })
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 40 })
      #expect(owner.close(fixture))
    }

    @Test func resubscribingGoesOnFromTheCommittedOffset() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(300)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      owner.credit = 100
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 100 })
      #expect(try owner.commitAll(fixture))
      #expect(owner.consumer.committed(Partition(0)) == Offset(100))
      owner.credit = 50  // taken and not committed: these come again
      owner.consumer.creditAvailable()
      #expect(fixture.wait { owner.taken.count == 150 })
      owner.answersRevoked = false
      try owner.consumer.unsubscribe()
      #expect(fixture.wait { owner.revoked.count == 1 })
      owner.credit = .max
      owner.consumer.creditAvailable()
      fixture.spin(100)
      #expect(owner.taken.count == 150 && owner.leftCount == 0)
      #expect(owner.consumer.unassign(owner.revoked[0].generation))
      #expect(owner.leftCount == 1)

      owner.answersRevoked = true
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count >= 350 })
      #expect(owner.numbers == Array(0..<150) + Array(100..<300))
      #expect(owner.assigned.map(\.generation) == [1, 2])
      #expect(owner.close(fixture))
      #expect(owner.errors == [])
    }

    @Test func answersToAnOldGenerationDoNothing() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(10)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      owner.answersAssigned = false
      owner.answersRevoked = false
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.assigned.count == 1 })
      #expect(!owner.consumer.assign(0) && !owner.consumer.assign(2) && !owner.consumer.unassign(1))
      #expect(owner.consumer.assign(1))
      #expect(!owner.consumer.assign(1))
      #expect(fixture.wait { owner.taken.count == 10 })
      try owner.consumer.unsubscribe()
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.revoked.count == 1 })
      #expect(!owner.consumer.unassign(2) && owner.consumer.unassign(1) && !owner.consumer.unassign(1))
      #expect(fixture.wait { owner.assigned.count == 2 })
      #expect(!owner.consumer.assign(1) && owner.consumer.assign(2))
      #expect(fixture.wait { owner.taken.count == 20 })
      #expect(owner.close(fixture))
    }

    @Test func theOwnerMayEndATurnEarly() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(100)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      owner.endsTurnAfter = 5
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 5 })
      fixture.spin(50)
      #expect(owner.taken.count == 5)
      owner.endsTurnAfter = nil
      owner.credit = .max
      owner.consumer.creditAvailable()
      #expect(fixture.wait { owner.taken.count == 100 })
      #expect(owner.close(fixture))
    }

    @Test func aConsumerWhoseReactorIsGoneWritesToNobodysDescriptor() throws {
      let fixture = try KafkaFixture([.init("t")])
      var id: UInt64 = 0
      do {
        let reactor = try Reactor(name: "short")
        let owner = try ConsumerOwner(fixture.configuration(standalone: 1), reactor)
        id = owner.consumer.handle.id
        owner.forget()
        reactor.runOnce(waitMax: .zero)
        #expect(KafkaHandle.isLiving(id))
      }
      #expect(eventually { !KafkaHandle.isLiving(id) })
      fixture.reactor.runOnce(waitMax: .zero)
    }

    @Test func aMessageOutlivesItsConsumerAndMayEndOnAnotherThread() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(200)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      owner.holdsMessages = true
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.held.count == 200 })
      let id = owner.consumer.handle.id
      #expect(owner.close(fixture))
      owner.forget()
      let last = MessageHolder(owner.held[150])
      owner.held = []
      do {
        let box = try #require(last.held)
        #expect(box.message.withPayload { $0.count } == 3 && box.message.offset == Offset(150))
        #expect(box.message.withKey { $0[0] } == UInt8(ascii: "k"))
        #expect(box.message.topic == "t" && box.message.timestampMs != nil && box.message.header("none") == nil)
      }
      fixture.spin(100)
      #expect(KafkaHandle.isLiving(id))
      let thread = try ReactorThread.start(name: "elsewhere") { _ in last.drop() }
      thread.handle.stop()
      thread.join()
    }

    @Test func aBrokerThatWasAwayIsFoundAgain() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(100)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 100 })
      for round in 1...2 {
        try fixture.broker.setDown()
        fixture.spin(300)
        try fixture.broker.setUp()
        try fixture.fill(100, from: round * 100)
        #expect(fixture.wait { owner.taken.count == 100 + round * 100 })
        #expect(try owner.commitAll(fixture))
      }
      #expect(owner.numbers == Array(0..<300))
      #expect(owner.errors.contains { $0.isRetriable } && !owner.errors.contains { $0.isFatal })
      #expect(owner.close(fixture))
    }

    @Test func aLeaderThatMovesLosesNothing() throws {
      let fixture = try KafkaFixture([.init("t")], brokers: 3)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      try owner.consumer.subscribe()
      for round in 0..<6 {
        try fixture.broker.setLeader(topic: "t", partition: 0, broker: round % 3 + 1)
        try fixture.fill(100, from: round * 100)
      }
      #expect(fixture.wait { owner.taken.count >= 600 })
      #expect(owner.numbers == Array(0..<600))
      #expect(owner.close(fixture))
    }

    @Test func fetchErrorsAreRetried() throws {
      let fixture = try KafkaFixture([.init("t")])
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      try owner.consumer.subscribe()
      for round in 0..<4 {
        fixture.broker.failNext(.fetch, with: [.notLeader, .transport, .requestTimedOut, .leaderNotAvailable])
        try fixture.fill(100, from: round * 100)
      }
      #expect(fixture.wait { owner.taken.count >= 400 })
      #expect(owner.numbers == Array(0..<400))
      #expect(owner.close(fixture))
    }

    @Test func logLinesAndStatisticsArriveOnTheReactor() throws {
      let fixture = try KafkaFixture([.init("t")], user: ["debug": "broker"])
      var configuration = fixture.configuration(standalone: 1)
      configuration.statisticsInterval = .seconds(1)
      let owner = try ConsumerOwner(configuration, fixture.reactor)
      try owner.consumer.subscribe()
      #expect(fixture.wait { !owner.statistics.isEmpty && !owner.lines.isEmpty })
      #expect(owner.statistics[0].hasPrefix("{") && owner.lines.contains { $0.level == 7 && !$0.facility.isEmpty })
      #expect(owner.close(fixture))
    }
  }
}

private final class MessageHolder: Sendable {
  private let box: Lock<MessageBox?>
  init(_ box: MessageBox) { self.box = Lock(box) }
  var held: MessageBox? { box.withLock { $0 } }
  func drop() { box.withLock { $0 = nil } }
}
