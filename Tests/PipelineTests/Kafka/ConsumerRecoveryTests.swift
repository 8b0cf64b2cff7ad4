// Offsets that are not there: none committed, below the log, beyond it.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension KafkaTests {
  @Suite struct ConsumerRecoveryTests {
    /// Fills a partition beyond what the mock keeps; - Returns: its first retained offset.
    private func trim(
      _ fixture: KafkaFixture, from first: Int = 0, partition: Int32 = 0, _ owner: ConsumerOwner
    ) throws -> Int64 {
      try fixture.fill(120, from: first, partition: partition, bytes: 100_000)
      var low: Int64 = -1
      owner.consumer.survey { result in
        if case .success(let surveys) = result { low = surveys[Int(partition)].low.value } else { low = 0 }
      }
      guard fixture.wait(for: { low >= 0 }), low > 0 else { throw KafkaError(.timedOut, call: "trim") }
      return low
    }

    @Test func withoutACommittedOffsetReadingBeginsAtTheStartOfTheLog() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 3)])
      let owner = try ConsumerOwner(fixture.configuration(standalone: 3), fixture.reactor)
      let low = try trim(fixture, owner)
      try fixture.fill(10, partition: 1)
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == Int(120 - low) + 10 })
      #expect(owner.taken.first { $0.partition == 0 }?.offset == low)
      #expect(owner.gaps == [])  // nothing of ours was lost
      #expect(owner.consumer.statistics.recoveries == 1)
      try fixture.fill(10, partition: 2)  // empty until now
      #expect(fixture.wait { owner.taken.filter { $0.partition == 2 }.count == 10 })
      #expect(owner.close(fixture))
    }

    @Test func aCommittedOffsetBelowTheLogIsReportedAndReadingGoesOnAtItsStart() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 2)])
      try fixture.fill(40)
      try fixture.fill(40, partition: 1)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 2), fixture.reactor)
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 80 })
      _ = try owner.consumer.commit([(Partition(0), Offset(30)), (Partition(1), Offset(35))])
      #expect(fixture.wait { owner.commits.count == 1 })
      try owner.consumer.unsubscribe()
      #expect(fixture.wait { owner.leftCount == 1 })
      let low = try trim(fixture, from: 40, owner)
      #expect(low > 30)

      owner.taken = []
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == Int(160 - low) + 5 })
      #expect(
        owner.gaps == [
          OffsetGap(partition: Partition(0), start: Offset(30), end: Offset(low), cause: .belowLogStart)
        ])
      #expect(owner.taken.filter { $0.partition == 0 }.map(\.offset) == Array(low..<160))
      #expect(owner.taken.filter { $0.partition == 1 }.map(\.offset) == Array(35..<40))
      #expect(owner.consumer.statistics.gaps == 1)
      #expect(owner.close(fixture))
    }

    @Test func aPositionTrimmedWhilePausedIsReportedWithoutARestart() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 2)])
      try fixture.fill(40)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 2), fixture.reactor)
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 40 })
      owner.consumer.pause([Partition(0)])
      let low = try trim(fixture, from: 40, owner)
      try fixture.fill(20, partition: 1)
      #expect(fixture.wait { owner.taken.count == 60 })
      owner.consumer.resume([Partition(0)])
      #expect(fixture.wait { owner.taken.count == 60 + Int(160 - low) })
      #expect(owner.gaps.map(\.start) == [Offset(40)] && owner.gaps.map(\.end) == [Offset(low)])
      // Everything goes on after it, the partition that never failed as well.
      try fixture.fill(20, from: 20, partition: 1)
      try fixture.fill(5, from: 160, partition: 0)
      #expect(fixture.wait { owner.taken.count == 60 + Int(160 - low) + 25 })
      #expect(owner.taken.filter { $0.partition == 1 }.map(\.offset) == Array(0..<40))
      #expect(owner.close(fixture))
    }

    @Test func aCommittedOffsetBeyondTheLogIsReportedAndNothingIsSkipped() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(20)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      _ = try owner.consumer.commit([(Partition(0), Offset(1_000))])
      #expect(fixture.wait { owner.commits.count == 1 })
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 20 })
      #expect(
        owner.gaps == [
          OffsetGap(partition: Partition(0), start: Offset(1_000), end: Offset(0), cause: .beyondLogEnd)
        ])
      #expect(owner.close(fixture))
    }

    @Test func recoveryWaitsForABrokerThatIsAway() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(20)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      _ = try owner.consumer.commit([(Partition(0), Offset(500))])
      #expect(fixture.wait { owner.commits.count == 1 })
      fixture.broker.failNext(.listOffsets, with: [.transport, .transport, .transport])
      try owner.consumer.subscribe()
      #expect(fixture.wait(30) { owner.taken.count == 20 })
      #expect(owner.gaps.count == 1)
      #expect(owner.close(fixture))
    }

    /// Both ends are asked for one after the other: of a topic made anew between them, the log begins behind its end.
    @Test func endsThatContradictEachOtherAreAskedForAgain() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(20)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 20 })
      let consumer = owner.consumer!
      consumer.recover(Partition(0), .offsetReset, at: 20)
      consumer.recovery.step = .asking
      let contradiction = PartitionSurvey(partition: Partition(0), committed: nil, low: Offset(1_000), high: Offset(0))
      consumer.didSurvey(.success([contradiction]), askedIn: consumer.generation)
      try fixture.fill(20, from: 20)
      #expect(fixture.wait { owner.taken.count == 40 })
      #expect(owner.numbers == Array(0..<40) && owner.gaps == [] && owner.errors == [])
      #expect(owner.close(fixture))
    }

    @Test func pausesSurviveARecoveryOfAnotherPartition() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 2)])
      try fixture.fill(20)
      try fixture.fill(20, partition: 1)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 2), fixture.reactor)
      _ = try owner.consumer.commit([(Partition(0), Offset(500)), (Partition(1), Offset(5))])
      #expect(fixture.wait { owner.commits.count == 1 })
      owner.pausedAtAssign = [Partition(1)]
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count == 20 })
      fixture.spin(200)
      #expect(owner.taken.allSatisfy { $0.partition == 0 } && owner.consumer.isPaused(Partition(1)))
      owner.consumer.resume([Partition(1)])
      #expect(fixture.wait { owner.taken.count == 35 })
      #expect(owner.taken.filter { $0.partition == 1 }.map(\.offset) == Array(5..<20))
      #expect(owner.close(fixture))
    }

    @Test func aBatchThatFailsItsChecksumIsReadAgainThenSkippedByName() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 2)])
      try fixture.fill(10)
      #expect(RawProducer.sendBrokenBatch(to: fixture.broker.bootstrapServers, topic: "t", records: 7))
      try fixture.fill(10, from: 17)
      try fixture.fill(10, partition: 1)
      let owner = try ConsumerOwner(fixture.configuration(standalone: 2), fixture.reactor)
      try owner.consumer.subscribe()
      #expect(fixture.wait { owner.taken.count >= 30 })
      fixture.spin(100)
      #expect(owner.taken.filter { $0.partition == 0 }.map(\.offset) == Array(0..<10) + Array(17..<27))
      #expect(owner.taken.filter { $0.partition == 1 }.map(\.offset) == Array(0..<10))
      #expect(
        owner.gaps == [
          OffsetGap(partition: Partition(0), start: Offset(10), end: Offset(17), cause: .unreadable)
        ])
      #expect(owner.consumer.statistics.jumps == 0 && owner.consumer.statistics.repeats == 0)
      #expect(owner.close(fixture))
    }
  }
}
