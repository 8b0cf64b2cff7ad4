import PipelineCore
import TestSupport
import Testing

private func reached(_ events: [RebalanceMachine.Event]) -> RebalanceMachine {
  var machine = RebalanceMachine()
  for event in events { _ = machine.handle(event) }
  return machine
}

@Test func everyRebalanceStateAnswersEveryEventAsTheTableSays() {
  let idle: [RebalanceMachine.Event] = []
  let owning: [RebalanceMachine.Event] = [.granted]
  let draining: [RebalanceMachine.Event] = [.granted, .revoking(lost: false)]
  typealias Event = RebalanceMachine.Event
  typealias Row = (path: [Event], event: Event, then: RebalanceMachine.State, actions: RebalanceActions)
  let rows: [Row] = [
    (idle, .granted, .owning, [.assign]),
    (idle, .revoking(lost: false), .idle, [.unassign]),
    (idle, .revoking(lost: true), .idle, [.unassign]),
    (idle, .drained, .idle, []),
    (idle, .drainTimedOut(generation: 0), .idle, []),
    (owning, .granted, .owning, [.stopDispatch, .cancelRunning, .dropLedgers, .assign]),
    (owning, .revoking(lost: false), .draining, [.stopDispatch, .armDrainTimer]),
    (owning, .revoking(lost: true), .idle, [.stopDispatch, .cancelRunning, .unassign, .dropLedgers]),
    (owning, .drained, .owning, []),
    (owning, .drainTimedOut(generation: 1), .owning, []),
    (draining, .granted, .owning, [.disarmDrainTimer, .cancelRunning, .dropLedgers, .assign]),
    (draining, .revoking(lost: false), .draining, []),
    (draining, .revoking(lost: true), .idle, [.disarmDrainTimer, .cancelRunning, .unassign, .dropLedgers]),
    (draining, .drained, .idle, [.disarmDrainTimer, .commitWithoutWait, .unassign, .dropLedgers]),
    (draining, .drainTimedOut(generation: 1), .idle, [.cancelRunning, .commitWithoutWait, .unassign, .dropLedgers]),
    (draining, .drainTimedOut(generation: 0), .draining, []),
  ]
  for row in rows {
    var machine = reached(row.path)
    expectEqual(machine.handle(row.event), row.actions, "\(row)")
    #expect(machine.state == row.then, "\(row)")
  }
}

@Test func aGrantThatOvertakesADrainIsNeverThrownAwayByTheOldRevoke() {
  var machine = reached([.granted, .revoking(lost: false), .granted])
  #expect(machine.generation == 2)
  // Both ends of the old drain arrive late: neither unassigns.
  expectEqual(machine.handle(.drained), [])
  expectEqual(machine.handle(.drainTimedOut(generation: 1)), [])
  #expect(machine.state == .owning)
}

@Test func theTimerOfAnOldDrainEndsNoLaterOne() {
  var machine = reached([.granted, .revoking(lost: false), .granted, .revoking(lost: false)])
  expectEqual(machine.handle(.drainTimedOut(generation: 1)), [])
  #expect(machine.state == .draining)
  #expect(machine.handle(.drainTimedOut(generation: 2)).contains(.unassign))
}

@Test func inARebalanceNothingWaitsForTheBrokerAndLedgersAreDroppedAfterTheCommitIsSent() {
  var machine = reached([.granted, .revoking(lost: false)])
  #expect(Array(machine.handle(.drained)) == [.disarmDrainTimer, .commitWithoutWait, .unassign, .dropLedgers])
}

@Test func anyHistoryAnswersEveryRevokeAndNumbersEveryGrant() {
  var random = SeededRandom(seed: 22)
  for _ in 0..<300 {
    var machine = RebalanceMachine()
    var unanswered = 0
    var grants: UInt32 = 0
    for _ in 0..<60 {
      let event: RebalanceMachine.Event =
        switch random.below(5) {
        case 0: .granted
        case 1: .revoking(lost: random.chance(30))
        case 2: .drained
        default: .drainTimedOut(generation: UInt32(random.below(Int(grants) + 1)))
        }
      if event == .granted { grants += 1 }
      if case .revoking = event, machine.state != .draining { unanswered += 1 }
      let actions = machine.handle(event)
      if actions.contains(.unassign) || (actions.contains(.assign) && unanswered > 0) { unanswered -= 1 }
      #expect(unanswered == (machine.state == .draining ? 1 : 0))
      #expect(machine.generation == grants)
      #expect(!(actions.contains(.unassign) && actions.contains(.assign)))
    }
  }
}
