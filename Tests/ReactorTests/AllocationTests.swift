// The reactor's hot paths allocate nothing once warm: what runs for every event, entry and timer. True of optimised code, so
// this judges release builds only (`DOWNBEAT_TEST_RELEASE=1 scripts/test`); in a debug build it merely runs.
import TestSupport
import Testing

@testable import Reactor

@Suite struct ReactorAllocationTests {
  private static let repeats = 2_000

  private final class Target: TimerTarget {
    var fired = 0
    func timerFired(_ reactor: Reactor, payload: UInt64) { fired += 1 }
  }

  private final class Turns: EventSource {
    var turns = 0
    func runTurn(_ reactor: Reactor) -> Turn {
      turns += 1
      return .idle
    }
  }

  @Test func aWarmInboxAllocatesNothing() throws {
    let reactor = try Reactor()
    let inbox = Inbox<Int>(countMax: 1_024)
    var sum = 0
    reactor.attach(inbox) { _, batch in for value in batch { sum += value } }
    func rounds(_ count: Int) {
      for _ in 0..<count {
        for value in 0..<64 { _ = inbox.push(value) }
        reactor.runOnce(waitMax: .zero)
      }
    }
    rounds(10)
    let count = allocations { rounds(Self.repeats) }
    #expect(count ?? 0 == 0)
    #expect(sum == (Self.repeats + 10) * 2_016)
  }

  @Test func aTimerWithATargetAllocatesNothing() throws {
    let reactor = try Reactor()
    let target = Target()
    var armed = 0
    func rounds(_ count: Int) {
      for round in 0..<count {
        let token = reactor.schedule(at: reactor.now + .seconds(60), target: target, payload: UInt64(round))
        // One at a time: rounds are shorter than the wheel's tick, and the sorting of many due at once takes a buffer.
        if armed == target.fired {
          reactor.schedule(at: reactor.now, target: target, payload: UInt64(round))
          armed += 1
        }
        reactor.cancel(token)
        reactor.runOnce(waitMax: .zero)
      }
    }
    while target.fired < 3 { rounds(1) }
    let count = allocations { rounds(Self.repeats) }
    #expect(count ?? 0 == 0)
    #expect(target.fired > 0)
  }

  @Test func aReadyTurnAllocatesNothing() throws {
    let reactor = try Reactor()
    let source = Turns()
    let token = reactor.register(source: source)
    func rounds(_ count: Int) {
      for _ in 0..<count {
        reactor.markReady(token)
        reactor.runOnce(waitMax: .zero)
      }
    }
    rounds(10)
    let count = allocations { rounds(Self.repeats) }
    #expect(count ?? 0 == 0)
    #expect(source.turns == Self.repeats + 10)
  }
}
