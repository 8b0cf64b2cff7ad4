// A prefetch queue far smaller than the backlog, on the wire: librdkafka 2.0.2 alone fills it about once a second.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension KafkaTests {
  @Suite(.serialized) struct RefillTests {
    /// 24 MB through a queue of half a megabyte. Left to the library that takes the better part of a minute.
    @Test func aSmallPrefetchQueueDoesNotStarveTheConsumer() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 8)])
      let each = 1_750
      for partition in Int32(0)..<8 { try fixture.fill(each, partition: partition, bytes: 1_700) }
      var configuration = fixture.configuration(standalone: 8)
      configuration.queuedKiBMax = 512
      let owner = try ConsumerOwner(configuration, fixture.reactor)
      let start = Instant.nowUncached()
      try owner.consumer.subscribe()
      #expect(fixture.wait(60) { owner.taken.count == 8 * each })
      let seconds = Double((Instant.nowUncached() - start) / .milliseconds(1)) / 1_000
      let boundsFilled = 8 * each * 1_700 / (512 * 1_024)
      #expect(owner.consumer.statistics.refills > 0)
      #expect(seconds < Double(boundsFilled) / 3, "\(seconds) s for \(boundsFilled) times the bound")
      for partition in Int32(0)..<8 {
        #expect(owner.taken.filter { $0.partition == partition }.map(\.number) == Array(0..<each))
      }
      #expect(owner.consumer.statistics.jumps == 0 && owner.consumer.statistics.repeats == 0)
      #expect(owner.close(fixture))
    }
  }
}
