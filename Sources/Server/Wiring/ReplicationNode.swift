// The daemon: makes every part, joins them, and ends them in reverse order. It decides nothing itself; what a pause or a
// request means is for the parts. Everything here is on T0, the thread that called `run`.
//
// Start: broker, workers, locations, port, control plane; nothing is consumed before the last has told the desired state,
// so a port in use ends the process before it has touched anything. Stop: no new entries, running ones finish and are
// committed, producer, control plane, clients, workers.
internal import HTTP
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

final class ReplicationNode {
  /// Changes with `reload`.
  private(set) var plan: NodePlan { didSet { names = plan.names } }
  /// Of every controlled location, in the order of the configuration.
  private(set) var names: [ControlledService: [String]]
  let reactor: Reactor
  let log: Logger
  private(set) var coordinator: ControlCoordinator!
  private(set) var listener: Listener?
  private(set) var routes: Routes?
  private var probes: [Listener] = []
  private(set) var broker: EmbeddedBroker?
  private(set) var pool: WorkerPool!
  private(set) var outbox: Outbox!
  private(set) var producerWatch: ProducerWatch!
  private(set) var served: ServedLocations!
  /// What becomes of the results of copies beside an external broker.
  private(set) var status: NodeStatus!
  /// Failures met while listing, on their way to the failed lists.
  let failureWrites: SerialTasks
  private var idGuard: NodeIdGuard?
  private var idleMemory: IdleMemory?
  /// Why the node ended by itself.
  private(set) var failure: NodeFailure?
  /// Between two looks at how many entries are in flight, for the reports.
  private static let countPeriod = Duration.seconds(1)
  private var lifecycle = Lifecycle()
  private var stopTimer: TimerToken?
  private var openStops = 0
  /// Called on T0 when a part of the embedder's has to know that the node is ending.
  var onStopping: (() -> Void)?
  /// Locations to be served that a reload could not open, and why.
  private(set) var unserved: [String: String] = [:]
  /// Called on T0 when a reload that was asked for is over.
  var onReloaded: (() -> Void)?
  /// Read while another reload is under way; the last one counts.
  private var nextReload: Configuration?
  private var openReloads = 0
  /// In the log already.
  private var saidNotes: [String] = []
  /// Called on T0 when everything has ended, instead of stopping the reactor.
  var onEnded: (() -> Void)?

  /// - Thread: the one that will call `run`; its reactor must be `reactor`.
  init(plan: NodePlan, reactor: Reactor, log: Logger) {
    self.plan = plan
    names = plan.names
    self.reactor = reactor
    self.log = log
    failureWrites = SerialTasks(handle: reactor.handle)
  }

  // MARK: Start

  /// Opens everything.
  /// - Blocking: some milliseconds: threads, sockets, the state directory.
  /// - Errors: what could not be opened, naming it.
  func start() throws(NodeFailure) {
    try openBroker()
    let planner = LocationPlanner(plan: plan, bootstrapServers: bootstrapServers)
    let properties = try planner.properties()
    do {
      pool = try WorkerPool(
        reactor: reactor, workers: plan.configuration.replication.queueProcessor.workerThreads,
        mode: .from(environment: Environment.variables["DOWNBEAT_FILE_CALLS"]))
      var producer = ProducerConfiguration(properties: properties)
      producer.clientId = planner.clientId
      producer.statisticsInterval = LocationPlanner.statisticsInterval
      outbox = try Outbox(reactor: reactor, configuration: producer, log: log)
    } catch {
      throw NodeFailure("\(error)")
    }
    producerWatch = ProducerWatch(reactor: reactor, outbox: outbox, topic: plan.statusTopic ?? plan.deadLetterTopic)
    outbox.onRoom = { [unowned self] in
      for location in locations { location.creditAvailable() }
      status.creditAvailable()
    }
    outbox.onFatal = { [unowned self] error in
      fail(NodeFailure("no status or dead letter can be written any more, start the node again: \(error)"))
    }
    coordinator = try ControlPlane(plan: plan, reactor: reactor, log: log).makeCoordinator()
    idGuard = NodeIdGuard(reactor: reactor, coordinator: coordinator, log: log) { [unowned self] in fail($0) }
    status = NodeStatus(node: self, planner: planner)
    served = try ServedLocations(node: self, planner: planner, failureWrites: failureWrites)
    try served.add(plan.servedLocations)
    try status.start()
    for key in plan.observedLocations { coordinator.add(key, sink: nil) }
    try listen()
    coordinator.start()
    reportCounts()
    idleMemory = IdleMemory(reactor: reactor) { [unowned self] in
      IdleMemory.Work(
        taken: locations.reduce(0) { $0 + $1.counters.taken }, isUnderWay: locations.contains { $0.inFlightCount > 0 })
    }
  }

  private var bootstrapServers: String {
    broker?.bootstrapServers ?? plan.configuration.kafka.hosts.map(\.description).joined(separator: ",")
  }

  private func openBroker() throws(NodeFailure) {
    guard plan.usesEmbeddedBroker else { return }
    do throws(KafkaError) {
      broker = try EmbeddedBroker(topics: [EmbeddedBroker.Topic(plan.deadLetterTopic)])
    } catch {
      throw NodeFailure("embedded broker: \(error)")
    }
  }

  /// The counts of this node's reports. Changes of state are told at once (`locationReports`); counts may wait.
  private func reportCounts() {
    reactor.schedule(after: Self.countPeriod) { [weak self] _ in
      guard let self, !lifecycle.isStopping else { return }
      if notes != saidNotes {
        saidNotes = notes
        for note in notes { log.warning("note", metadata: ["note": "\(note)"]) }
      }
      for location in locations { coordinator.locationReported(LocationKey(.crr, location.site), status.report(of: location)) }
      reportCounts()
    }
  }

  private func listen() throws(NodeFailure) {
    for place in plan.probes {
      let routes = ProbeRoutes(health: NodeHealth(node: self), prometheus: NodeMetrics(node: self))
      probes.append(try listener(place.host, place.port, routes))
    }
    guard plan.roles.contains(.api) else { return }
    let routes = NodeAPI.routes(of: self)
    self.routes = routes
    listener = try listener(plan.configuration.server.bindAddress.description, plan.configuration.server.port, routes)
  }

  private func listener(_ address: String, _ port: Int, _ handler: any RequestHandler) throws(NodeFailure) -> Listener {
    do throws(ListenError) {
      return try Listener(reactor: reactor, bindAddress: address, port: UInt16(port), handler: handler)
    } catch {
      throw NodeFailure(error.description)
    }
  }

  var locations: [LocationController] { served.controllers }
  var isStopping: Bool { lifecycle.isStopping }

  /// What an operator should know of this node.
  var notes: [String] {
    pool.plainCallsReason.map { ["files are copied with ordinary calls, which is slower: \($0)"] } ?? []
  }

  /// The same, and what concerns one location.
  func notes(on site: String) -> [String] {
    var found: [String] = []
    if let reason = unserved[site] { found.append("this node does not replicate to it: \(reason)") }
    if plan.configuration.replication.locations.first(where: { $0.site == site })?.isDisabled == true {
      found.append("this node does not replicate to it: the configuration says disabled: true")
    }
    return found + (served.controller(of: site) == nil ? [] : notes)
  }

  // MARK: Reload

  /// Applies what can change while running. What needs a restart is named, not half applied.
  func reload(_ configuration: Configuration) {
    guard !lifecycle.isStopping else { return }
    guard openReloads == 0 else {
      nextReload = configuration
      return
    }
    // What could not be opened is tried again, changed or not.
    for site in unserved.keys { coordinator.remove(LocationKey(.crr, site)) }
    let reload = Reload(of: plan, to: configuration, unserved: Set(unserved.keys))
    unserved = [:]
    plan = reload.plan
    served.planChanged(LocationPlanner(plan: plan, bootstrapServers: bootstrapServers))
    status.sitesChanged()
    routes?.policy = NodeAPI.policy(plan.configuration.server)
    routes?.cache = StatusCache()
    for key in reload.observedRemoved { coordinator.remove(key) }
    for key in reload.observedAdded where !reload.leaving.contains(key.location) || key.service != .crr { coordinator.add(key, sink: nil) }
    log.notice(
      "configuration read again",
      metadata: [
        "joining": "\(reload.joining.map(\.site).joined(separator: ", "))", "leaving": "\(reload.leaving.joined(separator: ", "))",
        "needsRestart": "\(reload.needsRestart.joined(separator: ", "))",
      ])
    openReloads = reload.leaving.count
    for site in reload.leaving {
      served.remove(site) { [unowned self] in
        if reload.observedAdded.contains(LocationKey(.crr, site)) { coordinator.add(LocationKey(.crr, site), sink: nil) }
        openReloads -= 1
        if openReloads == 0 { join(reload.joining) }
      }
    }
    if openReloads == 0 { join(reload.joining) }
  }

  private func join(_ locations: [Configuration.Location]) {
    for location in locations {
      do throws(NodeFailure) {
        try served.add([location])
      } catch {
        log.error("location not served", metadata: ["location": "\(location.site)", "error": "\(error)"])
        guard served.controller(of: location.site) == nil else { continue }
        unserved[location.site] = error.description
        let key = LocationKey(.crr, location.site)
        coordinator.add(key, sink: UnservedLocation(key: key, coordinator: coordinator))
      }
    }
    routes?.cache = StatusCache()
    guard let next = nextReload else {
      onReloaded?()
      return
    }
    nextReload = nil
    reload(next)
  }

  // MARK: Stop

  /// SIGTERM, SIGINT, or the end of the work: finish what runs, commit, end. A second call abandons what still runs.
  func stop(reason: String) {
    switch lifecycle.stopRequested() {
    case .begin: beginStop(reason)
    case .abandon: abandon("a second signal")
    case .ignore: break
    }
  }

  /// This node cannot go on; it ends as at a signal.
  private func fail(_ failure: NodeFailure) {
    // What fails while it ends is no second signal, and no other reason.
    guard !lifecycle.isStopping else { return }
    log.critical("ending", metadata: ["error": "\(failure)"])
    self.failure = failure
    stop(reason: failure.description)
  }

  private func beginStop(_ reason: String) {
    log.info("stopping", metadata: ["reason": "\(reason)", "inFlight": "\(locations.map(\.inFlightCount).reduce(0, +))"])
    onStopping?()
    for location in locations { served.feeds.location(location.site, shouldRun: false) }
    stopTimer = reactor.schedule(after: .seconds(plan.configuration.shutdownTimeoutS)) { [unowned self] _ in
      self.abandon("\(self.plan.configuration.shutdownTimeoutS) s (shutdownTimeoutS) were not enough")
    }
    // One that a reload made leave may have stopped already.
    let running = locations.filter { !$0.isStopped }
    openStops = running.count + 1
    for location in running { location.stop() }
    status.stop { [unowned self] in self.partStopped() }
  }

  private func partStopped() {
    openStops -= 1
    if openStops == 0 { locationsStopped() }
  }

  private func locationsStopped() {
    served.feeds.stop { [unowned self] in self.closeOutbox() }
  }

  private func closeOutbox() {
    producerWatch.stop()
    served.stopReporting()
    outbox.close { [unowned self] in
      self.coordinator.stop { [unowned self] in self.closeListeners() }
    }
  }

  private func closeListeners() {
    let listeners = probes + (listener.map { [$0] } ?? [])
    var open = listeners.count
    guard open > 0 else { return end() }
    for listener in listeners {
      listener.stop { [unowned self] _ in
        open -= 1
        if open == 0 { self.end() }
      }
    }
  }

  private func end() {
    lifecycle.ended()
    if let stopTimer { reactor.cancel(stopTimer) }
    status.end()
    pool.stop()
    // Whoever wants to say something about the end may still want to read the failed lists.
    if let onEnded { return onEnded() }
    served.failedLists?.stop()
    reactor.stop()
  }

  private func abandon(_ why: String) {
    guard lifecycle.abandon() else { return }
    log.error("running entries abandoned; they are done again at the next start", metadata: ["reason": "\(why)"])
    reactor.stop()
  }

  /// What the process exits with.
  var exitCode: Int32 { lifecycle.wasAbandoned || failure != nil ? ExitStatus.failed : ExitStatus.done }
}

extension ReplicationNode: LocationObserver {
  func locationReports(_ location: LocationController) {
    coordinator.locationReported(LocationKey(.crr, location.site), status.report(of: location))
    // A location that should run is listed for at once; one that should not stops being listed for at once.
    served.feeds.location(location.site, shouldRun: location.isPausedByDesire == false && !lifecycle.isStopping)
  }

  func locationIsDraining(_ location: LocationController) {
    coordinator.locationReported(LocationKey(.crr, location.site), status.report(of: location))
  }

  func location(_ location: LocationController, failed failure: ReplicationFailure) {
    log.error(
      "not replicated",
      metadata: [
        "location": "\(location.site)", "bucket": "\(failure.bucket)", "key": "\(failure.key)", "reason": "\(failure.code)",
        "message": "\(failure.message)", "attempts": "\(failure.attempts)",
      ])
  }

  func location(_ location: LocationController, consumedUpTo offset: Offset, of partition: Partition) {
    served.feeds.location(location.site, consumedUpTo: offset, of: partition)
  }

  /// One that was fenced must not be started again by itself: it would take the name back, and so on for ever.
  func location(_ location: LocationController, cannotGoOn error: KafkaError) {
    let consumer = location.options.consumer
    guard error.isFenced, let name = consumer.instanceId else {
      return fail(NodeFailure("location \(location.site): nothing of \(consumer.topic) can be consumed, start the node again: \(error)"))
    }
    fail(
      NodeFailure(
        "location \(location.site): another process has joined the group \(consumer.groupId) under this node's static name "
          + "“\(name)” (kafka.staticMembership): end it, or give one of the two another node.id, before this node is started again: \(error)",
        isConfiguration: true))
  }

  func locationDidStop(_ location: LocationController) {
    served.didStop(location)
    if lifecycle.isStopping { partStopped() }
  }
}
