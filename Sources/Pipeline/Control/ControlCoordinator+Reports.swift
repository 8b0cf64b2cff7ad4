// This node's own reports: what a location does here, and which version of the desired state it acts on.
//
// Invariant: a report never names a version before the location's controller has been told of it and has returned, because
// others take it as "acts on it". The store keeps the latest; this file only decides when it is worth a write.
internal import PipelineCore
internal import Reactor

extension ControlCoordinator {
  /// The controller says what its location does now. May be called at every change, the count included.
  /// - Thread: reactor. - Blocking: never.
  public func locationReported(_ key: LocationKey, _ report: LocationReport) {
    guard let location = locations[key], location.report != report else { return }
    location.report = report
    publishReport(location, isUrgent: false)
    checkWaiters(of: location)
  }

  /// A node that does not run the location acts on a state by knowing it.
  func observerReport(_ location: ControlledLocation, _ desired: PauseState) {
    let state: EffectiveState = desired.paused ? .disabled : .enabled
    guard location.report?.state != state else { return }
    location.report = LocationReport(state: state, inFlight: 0, sinceMs: clock.wallMs())
  }

  /// Foreign commands go to nodes that hear them: all reports change with the bus.
  func publishAllReports() {
    for location in locations.values { publishReport(location, isUrgent: true) }
  }

  /// Renews the time of reports that have not changed for long.
  func heartbeat() {
    for location in locations.values {
      if let published = location.published, reactor.now - published.at >= limits.heartbeatPeriod { write(location) }
    }
  }

  /// Brings the node table up to date at once, and the store now or soon.
  func publishReport(_ location: ControlledLocation, isUrgent: Bool) {
    guard let report = location.report, let version = location.knowledge.delivered, !location.isRemoved else { return }
    let own = NodeReport(
      nodeId: nodeId, state: report.state, inFlight: report.inFlight, sinceMs: report.sinceMs, version: version,
      hearsBus: bus.state == .ready, isObserver: location.sink == nil, queued: report.queued,
      partitions: report.partitions)
    location.nodes.setOwn(own)
    guard own != location.published?.report else { return }
    if isUrgent || isSubstantial(own, after: location.published?.report) { return write(location) }
    guard location.publishTimer == nil else { return }
    let delay = report.state == .pausing ? limits.countDelayDraining : limits.countDelay
    location.publishTimer = reactor.schedule(after: delay) { [weak self] _ in
      location.publishTimer = nil
      self?.write(location)
    }
  }

  /// Everything but a count that moves while it moves anyway.
  private func isSubstantial(_ report: NodeReport, after last: NodeReport?) -> Bool {
    guard let last else { return true }
    return report.state != last.state || report.partitions != last.partitions || report.version != last.version || report.hearsBus != last.hearsBus
      || (report.inFlight == 0) != (last.inFlight == 0) && report.state != .enabled
  }

  private func write(_ location: ControlledLocation) {
    if let timer = location.publishTimer { reactor.cancel(timer) }
    location.publishTimer = nil
    guard let own = location.nodes.own, !location.isRemoved else { return }
    location.published = (own, reactor.now)
    store.publishReport(location.key, json: ReportText.encode(own))
  }
}
