// A location as the control plane sees it.
//
// A pause that is announced closes the gate at once, before the state has been stored or read: the store's disks and several
// hand-overs between threads take their time, in which entries would go on starting. It is no pause yet: nothing is reported, and
// unless the stored state says so the gate opens again.
internal import PipelineCore
internal import Reactor

extension LocationController: LocationSink {
  /// For the node's report.
  public var report: LocationReport {
    LocationReport(
      state: effective, inFlight: inFlightCount, sinceMs: effectiveSinceMs, queued: queuedCount,
      partitions: partitions.map(\.value).sorted())
  }

  /// Why the node does not do for this location what it should, for the operator; nil when it does: paused, or in its group
  /// with an answer from it and fetching what there is.
  public var notReadyReason: String? {
    guard let isPaused = machine.desiredPaused else { return "it is not known yet whether it is paused" }
    if isPaused { return nil }
    if !machine.hasAssignment {
      guard let wait = waitingForGroup else { return "no partitions" }
      return "no partitions from the group for \((reactor.now - wait.since) / .seconds(1)) s"
    }
    return fetchWatch.isStalled ? "owns partitions with a backlog and is given nothing" : nil
  }

  /// It owns partitions that hold entries, has room for them, and gets none.
  public var isFetchStalled: Bool { fetchWatch.isStalled }

  /// Tasks that run longer than `stuckAfter`, oldest first; at most `stuckTasksMax`.
  public var stuckTasks: [StuckTask] {
    stuckByTicket.values.sorted { ($0.startedAtMs, $0.offset) < ($1.startedAtMs, $1.offset) }
  }

  public func pauseAnnounced() {
    guard machine.isTaking, announcedPauseTimer == nil else { return }
    announcedPauseTimer = reactor.schedule(after: LocationOptions.announcedPauseMax) { [weak self] _ in self?.endAnnouncedPause() }
  }

  /// The stored state is known, or the announcement was wrong.
  func endAnnouncedPause() {
    guard let timer = announcedPauseTimer else { return }
    reactor.cancel(timer)
    announcedPauseTimer = nil
    consumer.creditAvailable()
  }

  /// Somebody else's bound gave way: look whether entries may be taken again.
  public func creditAvailable() { consumer.creditAvailable() }
}
