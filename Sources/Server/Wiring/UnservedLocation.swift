// A location that this node should run and could not open, as the control plane sees it: it never takes an entry. Resumed it is
// on its way and does not arrive; paused it has nothing left to do.
internal import Pipeline
internal import PipelineCore
internal import Reactor

/// - Thread: all of it on T0.
final class UnservedLocation: LocationSink {
  private let key: LocationKey
  /// It owns us.
  private unowned let coordinator: ControlCoordinator

  init(key: LocationKey, coordinator: ControlCoordinator) {
    self.key = key
    self.coordinator = coordinator
  }

  func desiredChanged(paused: Bool, version: StateVersion) {
    coordinator.locationReported(key, LocationReport(state: paused ? .disabled : .resuming, inFlight: 0, sinceMs: WallClock.nowMs()))
  }

  func pauseAnnounced() {}
  func allNodesDrained() {}
}
