import TestSupport
import Testing

@testable import Pipeline

@Suite struct ScheduleMachineTests {
  /// The wall clock and the boot clock have different origins, so a mix-up shows.
  static let wall: Int64 = 1_795_423_000_000
  static let boot: Int64 = 5_000_000
  static let hour: Int64 = 3_600_000

  private func armed(after delay: Int64) -> ScheduleMachine {
    var machine = ScheduleMachine()
    _ = machine.observed(dateMs: Self.wall + delay, wallMs: Self.wall, bootMs: Self.boot)
    return machine
  }

  @Test func aDateInTheFutureSetsOneTimer() {
    var machine = ScheduleMachine()
    #expect(
      machine.observed(dateMs: Self.wall + 500, wallMs: Self.wall, bootMs: Self.boot) == [.setTimer(atBootMs: Self.boot + 500)])
    #expect(machine.observed(dateMs: Self.wall + 500, wallMs: Self.wall + 100, bootMs: Self.boot + 100) == [])
  }

  @Test func anOverdueDateFiresAtOnce() {
    var machine = ScheduleMachine()
    #expect(
      machine.observed(dateMs: Self.wall, wallMs: Self.wall, bootMs: Self.boot) == [.cancelTimer, .fire(dateMs: Self.wall)])
    #expect(machine.observed(dateMs: Self.wall, wallMs: Self.wall + 9, bootMs: Self.boot + 9) == [])
  }

  @Test func anotherDateReplacesTheTimer() {
    var machine = armed(after: 500)
    #expect(
      machine.observed(dateMs: Self.wall + 900, wallMs: Self.wall + 100, bootMs: Self.boot + 100)
        == [.setTimer(atBootMs: Self.boot + 900)])
    #expect(machine.timerFired(bootMs: Self.boot + 500) == [.setTimer(atBootMs: Self.boot + 900)])
    #expect(machine.timerFired(bootMs: Self.boot + 900) == [.fire(dateMs: Self.wall + 900)])
  }

  @Test func noDateCancels() {
    var machine = armed(after: 500)
    #expect(machine.observed(dateMs: nil, wallMs: Self.wall, bootMs: Self.boot) == [.cancelTimer])
    #expect(machine.state == .idle)
    #expect(machine.timerFired(bootMs: Self.boot + 500) == [])
    #expect(machine.observed(dateMs: nil, wallMs: Self.wall, bootMs: Self.boot) == [])
  }

  /// Steps of the wall clock after arming move nothing, in either direction, however often the date is seen again.
  @Test(arguments: [-86_400_000, -3_600_000, -1, 1, 3_600_000, 86_400_000] as [Int64])
  func aStepOfTheWallClockMovesNothing(_ step: Int64) {
    var machine = armed(after: 10_000)
    #expect(machine.observed(dateMs: Self.wall + 10_000, wallMs: Self.wall + step, bootMs: Self.boot + 1_000) == [])
    #expect(machine.timerFired(bootMs: Self.boot + 9_999) == [.setTimer(atBootMs: Self.boot + 10_000)])
    #expect(machine.timerFired(bootMs: Self.boot + 10_000) == [.fire(dateMs: Self.wall + 10_000)])
  }

  @Test func aFarDateIsReachedInSpans() {
    var machine = ScheduleMachine()
    let date = Self.wall + 87_600 * Self.hour
    var actions = machine.observed(dateMs: date, wallMs: Self.wall, bootMs: Self.boot)
    #expect(actions == [.setTimer(atBootMs: Self.boot + ScheduleMachine.timerSpanMaxMs)])
    // The machine was suspended for most of the time: the next span sees it.
    actions = machine.timerFired(bootMs: Self.boot + 87_600 * Self.hour - 10)
    #expect(actions == [.setTimer(atBootMs: Self.boot + 87_600 * Self.hour)])
    #expect(machine.timerFired(bootMs: Self.boot + 87_600 * Self.hour) == [.fire(dateMs: date)])
  }

  @Test func aFailedFireIsTriedAgainWithGrowingDelayUntilItSucceeds() {
    var machine = ScheduleMachine()
    _ = machine.observed(dateMs: Self.wall, wallMs: Self.wall, bootMs: Self.boot)
    var now = Self.boot
    var delays: [Int64] = []
    for _ in 0..<8 {
      guard case .setTimer(let at) = machine.fireEnded(dateMs: Self.wall, succeeded: false, bootMs: now).first else {
        Issue.record("no retry in \(machine.state)")
        return
      }
      delays.append(at - now)
      now = at
      #expect(machine.timerFired(bootMs: now) == [.fire(dateMs: Self.wall)])
    }
    #expect(delays == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    #expect(machine.fireEnded(dateMs: Self.wall, succeeded: true, bootMs: now) == [])
    #expect(machine.state == .idle)
  }

  @Test func seeingTheDateAgainEndsTheWaitForARetry() {
    var machine = ScheduleMachine()
    _ = machine.observed(dateMs: Self.wall, wallMs: Self.wall, bootMs: Self.boot)
    _ = machine.fireEnded(dateMs: Self.wall, succeeded: false, bootMs: Self.boot)
    #expect(
      machine.observed(dateMs: Self.wall, wallMs: Self.wall + 5, bootMs: Self.boot + 5) == [
        .cancelTimer, .fire(dateMs: Self.wall),
      ])
  }

  @Test func theEndOfAnOlderFireDoesNotTouchTheNewSchedule() {
    var machine = ScheduleMachine()
    _ = machine.observed(dateMs: Self.wall, wallMs: Self.wall, bootMs: Self.boot)
    _ = machine.observed(dateMs: Self.wall + 700, wallMs: Self.wall, bootMs: Self.boot)
    #expect(machine.fireEnded(dateMs: Self.wall, succeeded: true, bootMs: Self.boot) == [])
    #expect(machine.timerFired(bootMs: Self.boot + 700) == [.fire(dateMs: Self.wall + 700)])
  }

  @Test func datesAtTheEndsOfTimeDoNotTrap() {
    for date in [Int64.min, Int64.max, 0] {
      var machine = ScheduleMachine()
      _ = machine.observed(dateMs: date, wallMs: Self.wall, bootMs: Self.boot)
      _ = machine.timerFired(bootMs: Self.boot + 1)
    }
  }

  /// Random sequences against what must hold: a timer is set only when none is open or it replaces one, and no date fires twice
  /// without having ended in between.
  @Test func randomSequencesKeepOneTimerAndOneFire() {
    var random = SeededGenerator(seed: testSeed)
    for round in 0..<2_000 {
      var machine = ScheduleMachine()
      var timer: Int64?
      var firing: Int64?
      var boot = Self.boot
      for _ in 0..<40 {
        boot += Int64.random(in: 0...400, using: &random)
        let actions: [ScheduleMachine.Action]
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
          let date: Int64? = Bool.random(using: &random) ? Self.wall + Int64.random(in: 0...4, using: &random) * 500 : nil
          actions = machine.observed(dateMs: date, wallMs: Self.wall + boot - Self.boot, bootMs: boot)
          if case .firing(let current, _) = machine.state, current == firing {} else { firing = nil }
        case 1:
          guard let due = timer, due <= boot else { continue }
          timer = nil
          actions = machine.timerFired(bootMs: boot)
        default:
          guard let date = firing else { continue }
          firing = nil
          actions = machine.fireEnded(dateMs: date, succeeded: Bool.random(using: &random), bootMs: boot)
        }
        for action in actions {
          switch action {
          case .setTimer(let at): timer = at
          case .cancelTimer: timer = nil
          case .fire(let date):
            #expect(firing == nil, "seed \(testSeed) round \(round)")
            firing = date
          }
        }
        switch machine.state {
        case .idle: #expect(timer == nil, "seed \(testSeed) round \(round)")
        case .armed, .retrying: #expect(timer != nil, "seed \(testSeed) round \(round)")
        case .firing: #expect(firing != nil, "seed \(testSeed) round \(round)")
        }
      }
    }
  }
}
