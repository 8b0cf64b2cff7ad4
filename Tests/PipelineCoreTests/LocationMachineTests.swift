// The whole table: every state (with and without an assignment, both modes) times every event. A pair that is not
// listed must change nothing and ask for nothing. Then long random lives, for what must hold in all of them.

import PipelineCore
import TestSupport
import Testing

private typealias Event = LocationMachine.Event

/// How each state is reached, and what each event does there: "event > state: actions". `+` = with an assignment.
private let table: [(name: String, mode: PauseMode, path: String, rules: [String])] = [
  (
    "waitingForState", .hold, "",
    [
      "pause > out: report", "resume > joining: subscribe report", "assigned > waitingForState+: pausePartitions",
      "stop > closing: closeConsumer", "closed > stopped: stopTaking stopped",
    ]
  ),
  (
    "joining", .hold, "resume",
    [
      "pause > draining: stopTaking pausePartitions report", "assigned > enabled+: resumePartitions startTaking report",
      "stop > stopDraining: stopTaking pausePartitions report", "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "enabled+", .hold, "resume assigned",
    [
      "pause > draining+: stopTaking pausePartitions report", "assigned > enabled+: resumePartitions startTaking",
      "revoked > enabled: ", "stop > stopDraining+: stopTaking pausePartitions report",
      "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "enabled", .unsubscribe, "resume assigned revoked",
    [
      "pause > draining: stopTaking pausePartitions report", "assigned > enabled+: resumePartitions startTaking",
      "stop > stopDraining: stopTaking pausePartitions report", "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "draining+", .hold, "resume assigned pause",
    [
      "resume > enabled+: resumePartitions startTaking report", "assigned > draining+: pausePartitions", "revoked > draining: ",
      "drained > committing+: commitOffsets", "stop > stopDraining+: ", "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "draining", .hold, "resume assigned pause revoked",
    [
      "resume > joining: report", "assigned > draining+: pausePartitions", "drained > committing: commitOffsets",
      "stop > stopDraining: ",
      "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "draining", .unsubscribe, "resume pause",
    [
      "resume > joining: report", "assigned > draining+: pausePartitions", "drained > committing: commitOffsets",
      "stop > stopDraining: ", "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "committing+", .hold, "resume assigned pause drained",
    [
      "resume > enabled+: resumePartitions startTaking report", "assigned > committing+: pausePartitions",
      "revoked > committing: ", "committed > held+: report", "failed > backoff+: armCommitRetry",
      "timedOut > committing+: commitOffsets", "stop > stopCommitting+: ", "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "committing+", .unsubscribe, "resume assigned pause drained",
    [
      "resume > enabled+: resumePartitions startTaking report", "assigned > committing+: pausePartitions",
      "revoked > committing: ", "committed > leaving+: unsubscribe report", "failed > backoff+: armCommitRetry",
      "timedOut > committing+: commitOffsets", "stop > stopCommitting+: ", "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "committing", .hold, "resume assigned pause drained revoked",
    [
      "resume > joining: report", "assigned > committing+: pausePartitions", "committed > held: report",
      "failed > held: report", "timedOut > held: report", "stop > stopCommitting: ",
      "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "committing", .unsubscribe, "resume pause drained",
    [
      "resume > joining: report", "assigned > committing+: pausePartitions", "committed > leaving: unsubscribe report",
      "failed > leaving: unsubscribe report", "timedOut > leaving: unsubscribe report", "stop > stopCommitting: ",
      "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "backoff+", .hold, "resume assigned pause drained failed",
    [
      "resume > enabled+: resumePartitions startTaking report", "assigned > backoff+: pausePartitions",
      "revoked > committing: commitOffsets",
      "retryDue > committing+: commitOffsets", "stop > stopBackoff+: ", "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "backoff+", .unsubscribe, "resume assigned pause drained failed",
    [
      "resume > enabled+: resumePartitions startTaking report", "assigned > backoff+: pausePartitions",
      "revoked > committing: commitOffsets", "retryDue > committing+: commitOffsets", "stop > stopBackoff+: ",
      "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "leaving+", .unsubscribe, "resume assigned pause drained committed",
    [
      "resume > leavingFirst+: report", "assigned > leaving+: pausePartitions", "revoked > leaving: ", "left > out: ",
      "stop > closing+: closeConsumer", "closed > stopped: stopTaking stopped",
    ]
  ),
  (
    "leaving", .unsubscribe, "resume assigned pause drained committed revoked",
    [
      "resume > leavingFirst: report", "assigned > leaving+: pausePartitions", "left > out: ",
      "stop > closing: closeConsumer", "closed > stopped: stopTaking stopped",
    ]
  ),
  (
    "leavingFirst", .unsubscribe, "resume assigned pause drained committed resume revoked",
    [
      "pause > leaving: report", "assigned > leavingFirst+: pausePartitions", "left > joining: subscribe",
      "stop > closing: closeConsumer report", "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "held+", .hold, "resume assigned pause drained committed",
    [
      "resume > enabled+: resumePartitions startTaking report", "assigned > held+: pausePartitions", "revoked > held: ",
      "stop > closing+: closeConsumer", "closed > stopped: stopTaking stopped",
    ]
  ),
  (
    "held", .hold, "resume assigned pause drained committed revoked",
    [
      "resume > joining: report", "assigned > held+: pausePartitions", "stop > closing: closeConsumer",
      "closed > stopped: stopTaking stopped",
    ]
  ),
  (
    "out", .hold, "pause",
    [
      "resume > joining: subscribe report", "assigned > out+: pausePartitions", "stop > closing: closeConsumer",
      "closed > stopped: stopTaking stopped",
    ]
  ),
  (
    "stopDraining+", .hold, "resume assigned stop",
    [
      "assigned > stopDraining+: pausePartitions", "revoked > stopDraining: ", "drained > stopCommitting+: commitOffsets",
      "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "stopDraining", .hold, "resume stop",
    [
      "assigned > stopDraining+: pausePartitions", "drained > stopCommitting: commitOffsets",
      "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "stopCommitting+", .unsubscribe, "resume assigned stop drained",
    [
      "assigned > stopCommitting+: pausePartitions", "revoked > stopCommitting: ",
      "committed > closing+: closeConsumer report", "failed > stopBackoff+: armCommitRetry",
      "timedOut > stopCommitting+: commitOffsets", "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "stopCommitting", .hold, "resume stop drained",
    [
      "assigned > stopCommitting+: pausePartitions", "committed > closing: closeConsumer report",
      "failed > closing: closeConsumer report", "timedOut > closing: closeConsumer report",
      "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "stopBackoff+", .hold, "resume assigned stop drained failed",
    [
      "assigned > stopBackoff+: pausePartitions", "revoked > stopCommitting: commitOffsets",
      "retryDue > stopCommitting+: commitOffsets", "closed > stopped: stopTaking report stopped",
    ]
  ),
  (
    "closing+", .hold, "resume assigned stop drained committed",
    ["assigned > closing+: pausePartitions", "revoked > closing: ", "closed > stopped: stopped"]
  ),
  ("closing", .hold, "stop", ["assigned > closing+: pausePartitions", "closed > stopped: stopped"]),
  ("stopped", .hold, "stop closed", ["assigned > stopped+: pausePartitions"]),
]

private let eventNames = [
  "pause", "resume", "assigned", "revoked", "drained", "committed", "failed", "timedOut", "retryDue", "left", "stop", "closed",
]

extension LocationMachine {
  fileprivate func event(_ name: String) -> Event {
    let version = version ?? StateVersion(number: 1)
    switch name {
    case "pause": return .desiredChanged(paused: true, version: version)
    case "resume": return .desiredChanged(paused: false, version: version)
    case "assigned": return .assigned
    case "revoked": return .revoked
    case "drained": return .drained
    case "committed": return .offsetsCommitted(ticket: commitTicket, ok: true)
    case "failed": return .offsetsCommitted(ticket: commitTicket, ok: false)
    case "timedOut": return .commitTimedOut(ticket: commitTicket)
    case "retryDue": return .commitRetryDue
    case "left": return .leftGroup
    case "stop": return .stopRequested
    default: return .consumerClosed
    }
  }

  fileprivate var name: String {
    let name =
      switch state {
      case .waitingForState: "waitingForState"
      case .resuming(.joining): "joining"
      case .resuming(.leavingFirst): "leavingFirst"
      case .enabled: "enabled"
      case .pausing(.draining): "draining"
      case .pausing(.committing): "committing"
      case .pausing(.commitBackoff): "backoff"
      case .pausing(.leaving): "leaving"
      case .disabled(.held): "held"
      case .disabled(.out): "out"
      case .stopping(.draining): "stopDraining"
      case .stopping(.committing): "stopCommitting"
      case .stopping(.commitBackoff): "stopBackoff"
      case .stopping(.closing): "closing"
      case .stopped: "stopped"
      }
    return name + (hasAssignment ? "+" : "")
  }

  fileprivate static func reached(_ path: String, mode: PauseMode) -> LocationMachine {
    var machine = LocationMachine(mode: mode)
    for name in path.split(separator: " ") { _ = machine.handle(machine.event(String(name))) }
    return machine
  }
}

@Test func everyStateAnswersEveryEventAsTheTableSays() {
  for (name, mode, path, rules) in table {
    var rest = Set(rules)
    #expect(LocationMachine.reached(path, mode: mode).name == name)
    for event in eventNames {
      var machine = LocationMachine.reached(path, mode: mode)
      let version = machine.version
      let actions = machine.handle(machine.event(event)).map { "\($0)" }.joined(separator: " ")
      if let rule = rest.first(where: { $0.hasPrefix("\(event) >") }) {
        rest.remove(rule)
        // The first stored state is always reported, whatever it changes; the table lists it where it is news.
        #expect("\(event) > \(machine.name): \(actions)" == rule, "\(name) \(mode)")
      } else {
        let isFirst = version == nil && machine.version != nil
        #expect("\(machine.name): \(actions)" == "\(name): \(isFirst ? "report" : "")", "\(name) \(mode) on \(event)")
      }
    }
    #expect(rest.isEmpty, "rules that never applied")
  }
  let reachedNames = Set(table.map { $0.name.replacing("+", with: "") })
  #expect(reachedNames.count == 15)
}

@Test func aNodeThatStartsPausedNeverSubscribes() {
  for mode in PauseMode.allCases {
    var machine = LocationMachine(mode: mode)
    #expect(!machine.isTaking)
    let actions = machine.handle(.desiredChanged(paused: true, version: StateVersion(number: 4)))
    #expect(actions == [.report])
    #expect(machine.state == .disabled(.out))
    #expect(!machine.isSubscribed)
  }
}

@Test func anUnreadableStateIsWaitedForNotGuessed() {
  var machine = LocationMachine(mode: .unsubscribe)
  for event in [Event.drained, .commitRetryDue, .leftGroup, .revoked] { expectEqual(machine.handle(event), []) }
  #expect(machine.state == .waitingForState)
  #expect(machine.effective == .disabled)
  #expect(machine.version == nil)
}

@Test func aStoredStateOlderThanTheKnownOneChangesNothing() {
  var machine = LocationMachine(mode: .hold)
  _ = machine.handle(.desiredChanged(paused: false, version: StateVersion(epoch: 1, number: 6)))
  expectEqual(machine.handle(.desiredChanged(paused: true, version: StateVersion(epoch: 1, number: 5))), [])
  #expect(machine.desiredPaused == false)
  // The node was recreated: its numbers start again and mean nothing beside the old ones.
  _ = machine.handle(.desiredChanged(paused: true, version: StateVersion(epoch: 2, number: 0)))
  #expect(machine.desiredPaused == true)
}

@Test func aNewVersionIsReportedEvenIfNothingChangesInEffect() {
  var machine = LocationMachine.reached("resume assigned", mode: .hold)
  let actions = machine.handle(.desiredChanged(paused: false, version: StateVersion(number: 9)))
  #expect(actions == [.report])
  expectEqual(machine.handle(.desiredChanged(paused: false, version: StateVersion(number: 9))), [])
}

@Test func theAnswerToACommitOfACalledOffDrainEndsNoLaterDrain() {
  var machine = LocationMachine.reached("resume assigned pause drained", mode: .hold)
  let old = machine.commitTicket
  for name in ["resume", "pause", "drained"] { _ = machine.handle(machine.event(name)) }
  #expect(machine.commitTicket != old)
  expectEqual(machine.handle(.offsetsCommitted(ticket: old, ok: true)), [])
  #expect(machine.effective == .pausing)
  expectEqual(machine.handle(.offsetsCommitted(ticket: old, ok: false)), [])
  expectEqual(machine.handle(.commitTimedOut(ticket: old)), [])
  expectEqual(machine.handle(.offsetsCommitted(ticket: machine.commitTicket, ok: true)), [.report])
  #expect(machine.state == .disabled(.held))
}

@Test func aSlowAnswerToATimedOutCommitOfTheSameDrainCounts() {
  var machine = LocationMachine.reached("resume assigned pause drained timedOut timedOut", mode: .unsubscribe)
  #expect(machine.commitTicket == 3)
  // A refusal of an old attempt says nothing about the newest.
  expectEqual(machine.handle(.offsetsCommitted(ticket: 2, ok: false)), [])
  expectEqual(machine.handle(.offsetsCommitted(ticket: 1, ok: true)), [.unsubscribe, .report])
}

@Test(arguments: 0..<200)
func anyLifeKeepsThePromisesAndEndsInTheStoredState(seed: Int) {
  var random = SeededRandom(seed: UInt64(seed))
  for mode in PauseMode.allCases {
    var machine = LocationMachine(mode: mode)
    var gateIsOpen = false
    var number: Int64 = 0
    func run(_ event: Event) {
      let old = machine
      let actions = machine.handle(event)
      for action in actions {
        switch action {
        case .startTaking: gateIsOpen = true
        case .stopTaking: gateIsOpen = false
        case .report: #expect(machine.effective != old.effective || machine.version != old.version)
        case .subscribe: #expect(machine.state == .resuming(.joining))
        case .commitOffsets: #expect(machine.commitTicket == old.commitTicket + 1)
        case .pausePartitions, .resumePartitions, .armCommitRetry, .unsubscribe, .closeConsumer, .stopped: break
        }
      }
      #expect(gateIsOpen == machine.isTaking, "seed \(seed): \(old.state) on \(event)")
      if machine.isTaking { #expect(machine.desiredPaused == false, "seed \(seed)") }
      if machine.effective != old.effective { #expect(actions.contains(.report)) }
    }
    for _ in 0..<300 {
      var event = machine.event(eventNames[random.below(eventNames.count - 2)])
      if case .desiredChanged(let paused, _) = event {
        number += Int64(random.below(2))
        event = .desiredChanged(paused: paused, version: StateVersion(number: number))
      }
      run(event)
    }
    let paused = random.chance(50)
    run(.desiredChanged(paused: paused, version: StateVersion(number: number + 1)))
    // An owner that answers everything asked: three rounds are enough for leave, subscribe, assign.
    for _ in 0..<3 { for name in ["drained", "committed", "retryDue", "committed", "left"] { run(machine.event(name)) } }
    run(.assigned)
    #expect(machine.effective == (paused ? .disabled : .enabled), "seed \(seed): \(machine.state)")
    run(.stopRequested)
    for name in ["drained", "committed", "closed"] { run(machine.event(name)) }
    #expect(machine.state == .stopped, "seed \(seed)")
  }
}
