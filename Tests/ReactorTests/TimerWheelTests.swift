import TestSupport
import Testing

@testable import Reactor

@Suite struct TimerWheelTests {
  /// Random arming, cancelling and advancing against a plain list, over spans that reach every level.
  @Test func agreesWithASortedListOverRandomSchedules() {
    var random = SeededGenerator(seed: testSeed)
    for round in 0..<60 {
      var now: Int64 = 1_000_000_000
      var wheel = TimerWheel(now: Instant(ns: now))
      var model: [UInt64: (deadline: Int64, order: UInt64, token: TimerToken)] = [:]
      var next: UInt64 = 0
      let target = Target()
      for _ in 0..<400 {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5:
          let span = Int64(1) << Int64.random(in: 0...44, using: &random)
          let deadline = now + Int64.random(in: 0...span, using: &random)
          next += 1
          let token = wheel.insert(at: Instant(ns: deadline), .target(target, payload: next))
          model[next] = (deadline, next, token)
        case 5..<7:
          guard let victim = model.keys.sorted().randomElement(using: &random), let entry = model[victim] else { continue }
          let (removed, again) = (wheel.remove(entry.token), wheel.remove(entry.token))
          #expect(removed && !again)
          model[victim] = nil
        default:
          let span = Int64(1) << Int64.random(in: 0...44, using: &random)
          now += Int64.random(in: 0...span, using: &random)
          if Bool.random(using: &random), let wake = wheel.nextWake { now = max(now, wake.ns) }
          let fired = drain(&wheel, now)
          for payload in fired {
            #expect(model[payload].map { $0.deadline <= now } ?? false, "fired early, seed \(testSeed) round \(round)")
          }
          let order = fired.compactMap { model[$0].map { ($0.deadline, $0.order) } }
          #expect(zip(order, order.dropFirst()).allSatisfy { $0 < $1 }, "out of order, seed \(testSeed)")
          for payload in fired { model[payload] = nil }
          // A millisecond of rounding at the most, and timers armed for "now" wait for the next millisecond.
          let late = model.values.filter { $0.deadline < now - 2_000_000 }
          #expect(late.isEmpty, "missed, seed \(testSeed) round \(round)")
        }
        #expect(wheel.count == model.count, "seed \(testSeed) round \(round)")
      }
      now += Int64(1) << 50
      #expect(Set(drain(&wheel, now)) == Set(model.keys), "lost at the end, seed \(testSeed) round \(round)")
      #expect(wheel.nextWake == nil)
    }
  }

  @Test func aTimerCancelledByAnEarlierOneOfTheSameAdvanceDoesNotFire() {
    var wheel = TimerWheel(now: Instant(ns: 0))
    let target = Target()
    _ = wheel.insert(at: Instant(ns: 1), .target(target, payload: 1))
    let second = wheel.insert(at: Instant(ns: 2), .target(target, payload: 2))
    wheel.advance(to: Instant(ns: 5_000_000))
    guard case .target(_, payload: 1) = wheel.popDue() else { return #expect(Bool(false), "the first must fire") }
    let removed = wheel.remove(second)
    #expect(removed)
    if wheel.popDue() != nil { Issue.record("a cancelled timer fired") }
    #expect(wheel.count == 0)
  }

  private final class Target: TimerTarget {
    func timerFired(_ reactor: Reactor, payload: UInt64) {}
  }

  private func drain(_ wheel: inout TimerWheel, _ now: Int64) -> [UInt64] {
    wheel.advance(to: Instant(ns: now))
    var fired: [UInt64] = []
    while let action = wheel.popDue() {
      if case .target(_, let payload) = action { fired.append(payload) }
    }
    return fired
  }
}
