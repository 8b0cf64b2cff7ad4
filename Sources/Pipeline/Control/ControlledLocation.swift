// Everything the coordinator keeps of one location. Data and small steps only; the decisions are in the machines, the effects in
// the coordinator.
internal import PipelineCore
internal import Reactor

final class ControlledLocation {
  let key: LocationKey
  let channel: String?
  /// nil: this node serves the API and does not run the location.
  let sink: (any LocationSink)?
  let runner: CommandRunner

  var knowledge: LocationKnowledge
  var schedule = ScheduleMachine()
  var scheduleTimer: TimerToken?
  var graceTimer: TimerToken?
  var nodes = NodeTable()
  var waiters: [ControlWaiter] = []

  /// What the controller said last; for an observer, what follows from the desired state.
  var report: LocationReport?
  /// What was last given to the store, and when.
  var published: (report: NodeReport, at: Instant)?
  var publishTimer: TimerToken?

  /// When the store last told the state, for the age of a stale answer. `keptAtMs`: the same for what came from the disk.
  var confirmedAt: Instant?
  var keptAtMs: Int64?
  /// The last reading that a reader waited for.
  var lastReading: (at: Instant, isAnswered: Bool)?
  /// False until what was kept on disk has been read: the store is not listened to before.
  var isLoaded = false
  var isRemoved = false

  init(key: LocationKey, channel: String?, sink: (any LocationSink)?, runner: CommandRunner) {
    self.key = key
    self.channel = channel
    self.sink = sink
    self.runner = runner
    knowledge = LocationKnowledge(initial: .initial(key.service))
  }

  /// The desired state for readers; nil if nothing was ever read.
  var desired: PauseState? { knowledge.desired }

  func overview() -> LocationOverview {
    let desired = desired ?? PauseState(knowledge.initial)
    return LocationOverview(
      key: key, state: nodes.effectiveState(desired: desired.paused), desired: desired, inFlight: nodes.inFlight,
      sinceMs: nodes.sinceMs, nodes: nodes.running)
  }
}

/// Somebody who waits until a location's nodes have come so far.
struct ControlWaiter {
  enum Goal { case allActOn, allDrained }

  let id: UInt64
  let goal: Goal
  let version: StateVersion
  let completion: (_ reached: Bool) -> Void
}
