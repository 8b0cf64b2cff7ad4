// A location as the control plane sees it.
internal import PipelineCore
internal import Reactor

extension LocationController: LocationSink {
  /// For the node's report.
  public var report: LocationReport {
    LocationReport(state: effective, inFlight: inFlightCount, sinceMs: effectiveSinceMs)
  }

  /// Whether the node does for this location what it should: paused, or in its group with an answer from it.
  public var isReady: Bool {
    guard let isPaused = machine.desiredPaused else { return false }
    return isPaused || machine.hasAssignment
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
