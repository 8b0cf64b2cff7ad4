// Which pairs of state and event the schedules have reached: a simulator that never gets into the corners proves nothing.

import PipelineCore

struct Coverage {
  private(set) var location: [String: Int] = [:]
  private(set) var rebalance: [String: Int] = [:]
  /// Off, unless a test asks: names are slow.
  var isOn = false

  mutating func saw(_ state: LocationMachine.State, _ event: LocationMachine.Event) {
    if isOn { location["\(Self.name(state)) \(Self.name(event))", default: 0] += 1 }
  }

  mutating func saw(_ state: RebalanceMachine.State, _ event: RebalanceMachine.Event) {
    if isOn { rebalance["\(state) \(Self.name(event))", default: 0] += 1 }
  }

  mutating func merge(_ other: Coverage) {
    location.merge(other.location, uniquingKeysWith: +)
    rebalance.merge(other.rebalance, uniquingKeysWith: +)
  }

  /// The case without its values, and with those that are states of their own.
  private static func name(_ state: LocationMachine.State) -> String {
    switch state {
    case .waitingForState: "waiting"
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
  }

  private static func name(_ event: LocationMachine.Event) -> String {
    switch event {
    case .desiredChanged(let paused, _): paused ? "pause" : "resume"
    case .assigned: "assigned"
    case .revoked: "revoked"
    case .drained: "drained"
    case .offsetsCommitted(_, let ok): ok ? "committed" : "refused"
    case .commitTimedOut: "timedOut"
    case .commitRetryDue: "retryDue"
    case .leftGroup: "left"
    case .stopRequested: "stop"
    case .consumerClosed: "closed"
    }
  }

  private static func name(_ event: RebalanceMachine.Event) -> String {
    switch event {
    case .granted: "granted"
    case .revoking(let lost): lost ? "lost" : "revoking"
    case .drained: "drained"
    case .drainTimedOut: "timedOut"
    }
  }
}
