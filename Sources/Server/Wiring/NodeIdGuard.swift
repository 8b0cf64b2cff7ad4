// Two live nodes with one id would overwrite each other's reports, and a pause could be answered as drained while one of them
// still works. The one that came second ends; but not at once, because the "other" may be this node's own last life, whose
// session has not expired yet.
internal import Logging
internal import Pipeline
internal import Reactor

final class NodeIdGuard {
  private let reactor: Reactor
  private let coordinator: ControlCoordinator
  private let log: Logger
  private var timer: TimerToken?
  private let giveUp: (NodeFailure) -> Void

  /// - Parameter giveUp: called once, on T0, when the id still belongs to another node after two of its session time-outs.
  init(reactor: Reactor, coordinator: ControlCoordinator, log: Logger, giveUp: @escaping (NodeFailure) -> Void) {
    self.reactor = reactor
    self.coordinator = coordinator
    self.log = log
    self.giveUp = giveUp
    coordinator.onNodeIdTaken = { [weak self] _ in self?.taken() }
  }

  private func taken() {
    guard timer == nil else { return }
    let patience = coordinator.sessionTimeout * 2
    log.warning(
      "a node with this id is alive already; waiting for it to end",
      metadata: ["node": "\(coordinator.nodeId)", "for": "\(patience)"])
    timer = reactor.schedule(after: patience) { [weak self] _ in
      guard let self else { return }
      timer = nil
      guard coordinator.isNodeIdTaken else { return }
      giveUp(
        NodeFailure(
          "another live node has the id “\(coordinator.nodeId)”: end it, or give this one another with node.id"))
    }
  }
}
