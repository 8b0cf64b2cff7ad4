// A location as the control plane sees it.
internal import PipelineCore
internal import Reactor

extension LocationController: LocationSink {
  /// For the node's report.
  public var report: LocationReport {
    LocationReport(state: effective, inFlight: inFlightCount, sinceMs: effectiveSinceMs)
  }

  /// Whether the node does for this location what it should: paused, or in its group with an answer from it and
  /// fetching what there is.
  public var isReady: Bool {
    guard let isPaused = machine.desiredPaused else { return false }
    return isPaused || (machine.hasAssignment && !fetchWatch.isStalled)
  }

  /// It owns partitions that hold entries, has room for them, and gets none.
  public var isFetchStalled: Bool { fetchWatch.isStalled }

  /// Tasks that run longer than `stuckAfter`, oldest first; at most `stuckTasksMax`.
  public var stuckTasks: [StuckTask] {
    stuckByTicket.values.sorted { ($0.startedAtMs, $0.offset) < ($1.startedAtMs, $1.offset) }
  }

  /// Somebody else's bound gave way: look whether entries may be taken again.
  public func creditAvailable() { consumer.creditAvailable() }
}

extension LocationController {
  /// Asks the brokers where every partition of the topic stands. Answers nil when they do not answer within two seconds.
  public func survey(_ reply: @escaping ([PartitionSurvey]?) -> Void) {
    consumer.survey { result in
      switch result {
      case .success(let partitions): reply(partitions)
      case .failure: reply(nil)
      }
    }
  }
}
