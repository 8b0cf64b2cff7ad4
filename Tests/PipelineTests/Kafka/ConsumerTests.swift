// Consuming against a broker over TCP. Standalone consumers where the group does not matter: the embedded broker takes
// three seconds to form one.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct ConsumerTests {
  @Test func tenThousandMessagesArriveInOrderOnceEach() throws {
    let fixture = try KafkaFixture([.init("t")])
    try fixture.fill(10_000)
    let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
    try owner.consumer.subscribe()
    #expect(fixture.wait { owner.taken.count >= 10_000 })
    fixture.spin(50)
    #expect(owner.numbers == Array(0..<10_000))
    #expect(owner.consumer.statistics.jumps == 0 && owner.consumer.statistics.repeats == 0)
    #expect(owner.close(fixture))
    #expect(owner.errors == [])
  }

  @Test func aGroupMemberStartsAtTheBeginningCommitsAndGoesOnFromThere() throws {
    let fixture = try KafkaFixture([.init("t")])
    try fixture.fill(100)
    let first = try ConsumerOwner(fixture.configuration(), fixture.reactor)
    try first.consumer.subscribe()
    try #require(fixture.wait { first.taken.count == 100 }, "\(first.taken.count) \(first.assigned) \(first.errors) \(first.lines.map(\.text))")
    try #require(first.assigned.map(\.generation) == [1] && first.assigned[0].partitions == [Partition(0)])
    #expect(try first.commitAll(fixture))
    #expect(first.consumer.committed(Partition(0)) == Offset(100))
    #expect(first.close(fixture))
    try fixture.fill(50, from: 100)

    let second = try ConsumerOwner(fixture.configuration(), fixture.reactor)
    try second.consumer.subscribe()
    #expect(fixture.wait { second.taken.count == 50 })
    #expect(second.numbers == Array(100..<150))
    #expect(second.close(fixture))
    #expect(first.errors + second.errors == [])
  }
}
