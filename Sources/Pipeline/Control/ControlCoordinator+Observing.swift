// What the store tells, and what follows: the location acts, its timer is set, its state is kept, a lost entry is made again.
internal import Logging
internal import PipelineCore
internal import Reactor

extension ControlCoordinator: StateStoreObserver {
  public func stateStore(_ store: any StateStore, connectionBecame connection: StateStoreConnection) {
    log.info("state store", metadata: ["connection": "\(connection)"])
    revision += 1
    for location in locations.values {
      if connection.isConnected {
        location.runner.storeBecameConnected()
      } else {
        if location.knowledge.isConfirmed { location.confirmedAt = reactor.now }
        location.lastReading = nil
        apply(location.knowledge.handle(.connectionLost), to: location)
      }
    }
  }

  public func stateStore(_ store: any StateStore, observed entry: StoredEntry?, of key: LocationKey) {
    guard let location = locations[key] else { return }
    observe(StateReading(entry), at: location)
  }

  public func stateStore(_ store: any StateStore, cannotRead key: LocationKey, because error: StateStoreError) {
    log.error("stored state cannot be read", metadata: ["location": "\(key)", "error": "\(error)"])
  }

  public func stateStore(_ store: any StateStore, reports: [RawNodeReport], of key: LocationKey) {
    guard let location = locations[key] else { return }
    location.nodes.setOthers(reports.compactMap(ReportText.decode), except: nodeId)
    checkWaiters(of: location)
  }

  public func stateStore(_ store: any StateStore, nodeIdTakenFor key: LocationKey) {
    log.error("another live node has this node's id", metadata: ["location": "\(key)", "node": "\(nodeId)"])
    onNodeIdTaken?(key)
  }

  /// Takes a state that the store has told, by watch, by reading or by confirming a write.
  func observe(_ reading: StateReading, at location: ControlledLocation) {
    guard !location.isRemoved else { return }
    let before = (location.knowledge.stored, location.knowledge.isConfirmed)
    let actions = location.knowledge.handle(.observed(reading))
    if before != (location.knowledge.stored, location.knowledge.isConfirmed) { revision += 1 }
    if location.knowledge.isConfirmed { location.confirmedAt = reactor.now }
    apply(actions, to: location)
    guard case .entry = reading, location.knowledge.isConfirmed else { return }
    let dateMs = location.knowledge.desired?.resumeAtMs
    apply(location.schedule.observed(dateMs: dateMs, wallMs: clock.wallMs(), bootMs: clock.bootMs()), to: location)
  }

  func apply(_ actions: [LocationKnowledge.Action], to location: ControlledLocation) {
    for action in actions {
      switch action {
      case .deliver(let desired, let version): deliver(desired, version, to: location)
      case .keep(let entry): kept?.keep(entry, of: location.key)
      case .create(let json): create(json, at: location)
      case .startGrace: startGrace(location)
      case .restore(let lost, let version):
        log.warning("a state made anew is put back to the last known one", metadata: ["location": "\(location.key)"])
        run(.restore(lost, over: version), at: location, within: limits.foreignMax)
      case .complainUnreadable(let entry, let why):
        log.error(
          "stored state is not valid; waiting for a pause or resume to replace it",
          metadata: ["location": "\(location.key)", "version": "\(entry.version.text)", "error": "\(why)"])
      }
    }
  }

  private func deliver(_ desired: PauseState, _ version: StateVersion, to location: ControlledLocation) {
    location.sink?.desiredChanged(paused: desired.paused, version: version)
    if location.sink == nil { observerReport(location, desired) }
    publishReport(location, isUrgent: true)
    checkWaiters(of: location)
  }

  private func create(_ json: [UInt8], at location: ControlledLocation) {
    log.notice("stored state is missing; making it", metadata: ["location": "\(location.key)"])
    store.create(location.key, json: json) { [weak self] result in
      guard let self else { return }
      switch result {
      case .success(let version): observe(StateReading(StoredEntry(json: json, version: version)), at: location)
      case .failure: break  // somebody else made it, and the watch will say so; or the next audit tries again
      }
    }
  }

  private func startGrace(_ location: ControlledLocation) {
    location.graceTimer = reactor.schedule(after: limits.graceForOthers) { [weak self] _ in
      guard let self, !location.isRemoved else { return }
      apply(location.knowledge.handle(.graceEnded), to: location)
    }
  }

  // MARK: Schedule

  func apply(_ actions: [ScheduleMachine.Action], to location: ControlledLocation) {
    for action in actions {
      switch action {
      case .setTimer(let atBootMs):
        cancelScheduleTimer(location)
        let delay = Duration.milliseconds(max(0, atBootMs - clock.bootMs()))
        location.scheduleTimer = reactor.schedule(after: delay) { [weak self] _ in
          guard let self, !location.isRemoved else { return }
          location.scheduleTimer = nil
          apply(location.schedule.timerFired(bootMs: clock.bootMs()), to: location)
        }
      case .cancelTimer: cancelScheduleTimer(location)
      case .fire(let dateMs): fire(dateMs, at: location)
      }
    }
  }

  private func cancelScheduleTimer(_ location: ControlledLocation) {
    if let timer = location.scheduleTimer { reactor.cancel(timer) }
    location.scheduleTimer = nil
  }

  /// Not published: Downbeat nodes see their watch, and Backbeat nodes have timers of their own; a message sent late could undo
  /// a pause given in between.
  private func fire(_ dateMs: Int64, at location: ControlledLocation) {
    run(.fire(atMs: dateMs), at: location, within: limits.confirmMax) { [weak self] outcome in
      guard let self, !location.isRemoved else { return }
      let succeeded: Bool
      switch outcome {
      case .stored:
        succeeded = true
        statistics.schedulesFired += 1
        log.notice("scheduled resume", metadata: ["location": "\(location.key)"])
      case .unchanged: succeeded = true
      case .failed(let why, _):
        succeeded = false
        log.warning("scheduled resume is due and cannot be stored", metadata: ["location": "\(location.key)", "error": "\(why)"])
      }
      apply(location.schedule.fireEnded(dateMs: dateMs, succeeded: succeeded, bootMs: clock.bootMs()), to: location)
    }
  }
}
