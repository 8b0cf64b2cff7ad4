// The stored state and those who change it: operators, and the nodes' schedule timers. Compare-and-set is one step here;
// what may be slow, lost or out of order is the way the nodes learn of it.

import PipelineCore
import TestSupport

final class ControlPlane {
  private(set) var state: StoredState
  private(set) var version: Int64 = 0
  /// Schedules stored, and how many of them a timer carried out.
  private(set) var schedules = 0
  private(set) var firings = 0
  private var dueStored: Int64?

  init(paused: Bool) { state = StoredState(paused: paused) }

  func apply(_ world: World, _ action: ControlMessage.Action) {
    guard state.apply(action, nowMs: world.now) else { return }
    if case .schedule = action, state.scheduledResumeMs != nil { schedules += 1 }
    publish(world)
  }

  /// A node's timer went off.
  func fire(_ world: World, node: Int) {
    let due = state.scheduledResumeMs
    guard state.fireIfDue(nowMs: world.now) else { return }
    firings += 1
    if let due, due > world.now { world.fail("node \(node) fired a schedule before its time") }
    if firings > schedules { world.fail("a schedule fired more than once") }
    publish(world)
  }

  private func publish(_ world: World) {
    version += 1
    world.note("stored \(state.json) version \(version)")
    for node in world.nodes where node.isAlive {
      // A lost watch or message: the node finds out when it compares by itself.
      if world.faultsEnded || !world.random.chance(15) { node.readState(world, after: world.latency(30)) }
    }
  }
}
