// Leaving the group at a pause, all nodes together. A member that leaves makes the broker redistribute the partitions, and a node
// that still drains would have to commit in the middle of that, which a broker may refuse: what it had finished would be
// repeated. So a node that has committed everything stays, with its partitions paused, until every live node has.
//
// Invariant: while `leaveTimer` is set the machine is leaving (or resuming again, for an instant) and nothing is taken.
internal import PipelineCore
internal import Reactor

extension LocationController {
  /// Waits for `allNodesDrained`, at most `LocationOptions.leaveWaitMax`.
  func leaveWithOthers() {
    leaveTimer = reactor.schedule(after: LocationOptions.leaveWaitMax) { [weak self] _ in self?.leave() }
  }

  /// Leaves now, if it is to leave.
  func leave() {
    guard let timer = leaveTimer else { return }
    reactor.cancel(timer)
    leaveTimer = nil
    unsubscribe()
  }

  func stayUntilClosed() {
    if let timer = leaveTimer { reactor.cancel(timer) }
    leaveTimer = nil
  }

  /// Every live node reports that it has nothing left to do. - Thread: reactor. - Blocking: never.
  public func allNodesDrained() { leave() }
}
