// Closing ends, from every state, and leaves no thread, instance or descriptor behind.
internal import CLinux
internal import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension KafkaTests {
  @Suite struct CloseTests {
    @Test func closingEndsFromEveryState() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(100)
      // Never subscribed; joining; fetching; without room.
      let states: [(ConsumerOwner) throws -> Bool] = [
        { _ in true },
        { owner in
          try owner.consumer.subscribe()
          fixture.spin(50)
          return owner.assigned.isEmpty
        },
        { owner in
          try owner.consumer.subscribe()
          return fixture.wait { owner.taken.count == 100 }
        },
        { owner in
          owner.credit = 3
          try owner.consumer.subscribe()
          return fixture.wait { owner.taken.count == 3 }
        },
        { owner in  // offered
          owner.answersAssigned = false
          try owner.consumer.subscribe()
          return fixture.wait { owner.assigned.count == 1 }
        },
        { owner in  // revoking
          owner.answersRevoked = false
          try owner.consumer.subscribe()
          guard fixture.wait(for: { owner.taken.count == 100 }) else { return false }
          try owner.consumer.unsubscribe()
          return fixture.wait { owner.revoked.count == 1 }
        },
      ]
      for (index, reach) in states.enumerated() {
        var configuration = fixture.configuration(group: "g\(index)")
        let isAlone = index == 3
        if isAlone { configuration.membership = .standalone(partitions: 1) }
        let owner = try ConsumerOwner(configuration, fixture.reactor)
        #expect(try reach(owner), "state \(index)")
        let start = Instant.nowUncached()
        owner.consumer.close()
        owner.consumer.close()
        #expect(fixture.wait { owner.isClosed }, "state \(index)")
        #expect(Instant.nowUncached() - start < .seconds(3), "state \(index)")
        #expect(!owner.errors.contains { $0.call == "close" }, "state \(index): \(owner.errors)")
      }
    }

    @Test func closingIsBoundedWhenTheBrokerIsAway() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(10)
      let owner = try ConsumerOwner(fixture.configuration(), fixture.reactor)
      try owner.consumer.subscribe()
      try #require(fixture.wait { owner.taken.count == 10 })
      try fixture.broker.setDown()
      fixture.spin(50)
      owner.consumer.close()
      #expect(fixture.wait(12) { owner.isClosed })
    }

    @Test func aMemberThatClosedIsNotWaitedForByTheNext() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(10)
      for round in 1...2 {
        let owner = try ConsumerOwner(fixture.configuration(), fixture.reactor)
        try owner.consumer.subscribe()
        try #require(fixture.wait { owner.taken.count == 10 }, "round \(round)")
        #expect(owner.assigned[0].partitions == [Partition(0)])
        #expect(owner.close(fixture))
      }
    }

    /// Other tests of this process need memory meanwhile, and give it back; a leak grows every time.
    @Test func manyLivesLeaveNothingBehind() throws {
      let fixture = try KafkaFixture([.init("t")])
      try fixture.fill(1_000, bytes: 1_000)
      try live(5, fixture)  // warm-up
      var growths: [Int] = []
      repeat {
        let before = residentKiB()
        try live(15, fixture)
        growths.append(residentKiB() - before)
      } while growths[growths.count - 1] >= Self.growthMaxKiB && growths.count < 6
      #expect(growths[growths.count - 1] < Self.growthMaxKiB, "\(growths) KiB")
      #expect(threadNames().allSatisfy { !$0.contains("dispatch") && !$0.contains("Dispatch") })
    }

    /// Of 15 lives that read up to 15,000 messages of 1,000 bytes.
    private static let growthMaxKiB = 8_192

    private func live(_ count: Int, _ fixture: KafkaFixture) throws {
      for round in 0..<count {
        let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
        owner.credit = round.isMultiple(of: 2) ? .max : 500
        try owner.consumer.subscribe()
        #expect(fixture.wait { owner.taken.count >= 500 })
        let id = owner.consumer.handle.id
        #expect(KafkaHandle.isLiving(id))
        #expect(owner.close(fixture))
        owner.forget()
        #expect(eventually { !KafkaHandle.isLiving(id) }, "round \(round)")
      }
    }

    private func residentKiB() -> Int {
      guard let file = fopen("/proc/self/statm", "r") else { return 0 }
      defer { fclose(file) }
      var line = [CChar](repeating: 0, count: 128)
      guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
      return (Int(String(nulTerminated: line).split(separator: " ")[1]) ?? 0) * 4
    }

    private func threadNames() -> [String] {
      guard let directory = opendir("/proc/self/task") else { return [] }
      defer { closedir(directory) }
      var names: [String] = []
      while let entry = readdir(directory) {
        let id = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        guard Int(id) != nil, let file = fopen("/proc/self/task/\(id)/comm", "r") else { continue }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 64)
        if fgets(&line, Int32(line.count), file) != nil { names.append(String(nulTerminated: line)) }
      }
      return names
    }
  }
}
