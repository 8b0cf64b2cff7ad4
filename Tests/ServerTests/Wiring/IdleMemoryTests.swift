// When memory goes back to the system: once after each stretch of work, and at no other time.
import Reactor
import Testing

@testable import Server

@Suite struct IdleMemoryTests {
  /// What the node says it does, and how often memory was given back.
  private final class Bench {
    var work = IdleMemory.Work(taken: 0, isUnderWay: false)
    var looks = 0
    var given = 0
  }

  @Test func freeMemoryGoesBackOnceAfterWork() throws {
    let reactor = try Reactor()
    let bench = Bench()
    let idle = IdleMemory(
      reactor: reactor, period: .milliseconds(1),
      work: {
        bench.looks += 1
        return bench.work
      }, giveBack: { bench.given += 1 })
    let look = { (times: Int) in
      let end = bench.looks + times
      while bench.looks < end { reactor.runOnce(waitMax: .seconds(5)) }
    }
    look(5)
    #expect(bench.given == 0, "nothing was done yet")
    for taken: UInt64 in 1...5 {
      bench.work = IdleMemory.Work(taken: taken, isUnderWay: taken == 5)
      look(1)
    }
    look(5)
    #expect(bench.given == 0, "one is still under way")
    bench.work.isUnderWay = false
    look(5)
    #expect(bench.given == 1)
    bench.work.taken = 6
    look(5)
    #expect(bench.given == 2)
    withExtendedLifetime(idle) {}
  }

  @Test func heapsAreTrimmedWithoutHarm() {
    let blocks = (0..<8).map { [UInt8](repeating: UInt8($0), count: 4 << 20) }
    #expect(blocks.allSatisfy { $0.last == $0.first })
    HeapMemory.giveBack()
    #expect(blocks.enumerated().allSatisfy { $1.last == UInt8($0) })
  }
}
