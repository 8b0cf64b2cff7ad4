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
  let plan: NodePlan
  let reactor: Reactor
  let log: Logger
  private(set) var locations: [LocationController] = []
  private(set) var coordinator: ControlCoordinator!
  private(set) var listener: Listener?
  private(set) var routes: Routes?
  private(set) var broker: EmbeddedBroker?
  private(set) var pool: WorkerPool!
  private(set) var outbox: Outbox!
  /// Embedded mode's entries; nil when they come from elsewhere.
  private(set) var feed: EmbeddedFeed?
  /// Embedded mode's failed lists.
  private(set) var failedLists: FailedLists?
  /// What becomes of the results of copies beside an external broker.
  private(set) var status: NodeStatus!
  /// Of the locations whose target is a service.
  private(set) var breakers: [String: LocationBreaker] = [:]
  /// The locations the populator enqueues for.
  private(set) var populated: [PopulatedLocation] = []
  /// Failures met while listing, on their way to the failed lists.
  let failureWrites: SerialTasks
  private var idGuard: NodeIdGuard?
  /// Why the node ended by itself.
  private(set) var failure: NodeFailure?
  /// Between two looks at how many entries are in flight, for the reports.
  private static let countPeriod = Duration.seconds(1)
  private var lifecycle = Lifecycle()
  private var stopTimer: TimerToken?
  private var openStops = 0
  /// Called on T0 when a part of the embedder's has to know that the node is ending.
  var onStopping: (() -> Void)?
  /// Called on T0 when everything has ended, instead of stopping the reactor.
  var onEnded: (() -> Void)?

  /// - Thread: the one that will call `run`; its reactor must be `reactor`.
  init(plan: NodePlan, reactor: Reactor, log: Logger) {
    self.plan = plan
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
      pool = try WorkerPool(reactor: reactor, workers: plan.configuration.replication.queueProcessor.workerThreads)
      outbox = try Outbox(reactor: reactor, configuration: ProducerConfiguration(properties: properties), log: log)
    } catch {
      throw NodeFailure("\(error)")
    }
    outbox.onRoom = { [unowned self] in
      for location in locations { location.creditAvailable() }
      status.creditAvailable()
    }
    coordinator = try ControlPlane(plan: plan, reactor: reactor, log: log).makeCoordinator()
    idGuard = NodeIdGuard(reactor: reactor, coordinator: coordinator, log: log) { [unowned self] in fail($0) }
    status = NodeStatus(node: self, planner: planner)
    try addLocations(planner)
    try status.start()
    observeOthers()
    try listen()
    coordinator.start()
    reportCounts()
  }

  private var bootstrapServers: String {
    broker?.bootstrapServers ?? plan.configuration.kafka.hosts.map(\.description).joined(separator: ",")
  }

  private func openBroker() throws(NodeFailure) {
    guard plan.usesEmbeddedBroker else { return }
    var topics = plan.servedLocations.map {
      EmbeddedBroker.Topic(plan.topic(of: $0.site), partitions: LocationPlanner.embeddedPartitions)
    }
    topics.append(EmbeddedBroker.Topic(plan.deadLetterTopic))
    do throws(KafkaError) {
      broker = try EmbeddedBroker(topics: topics)
    } catch {
      throw NodeFailure("embedded broker: \(error)")
    }
  }

  /// Locations that are controlled from here and run elsewhere, or nowhere.
  private func observeOthers() {
    let configuration = plan.configuration
    for settings in configuration.replication.locations where settings.isDisabled || !plan.roles.contains(.queueProcessor) {
      coordinator.add(LocationKey(.crr, settings.site), sink: nil)
    }
    for source in configuration.ingestion.sources { coordinator.add(LocationKey(.ingestion, source.location), sink: nil) }
    for location in configuration.lifecycleLocations { coordinator.add(LocationKey(.lifecycle, location), sink: nil) }
  }

  /// The counts of this node's reports. Changes of state are told at once (`locationReports`); counts may wait.
  private func reportCounts() {
    reactor.schedule(after: Self.countPeriod) { [weak self] _ in
      guard let self, !lifecycle.isStopping else { return }
      for location in locations { coordinator.locationReported(LocationKey(.crr, location.site), status.report(of: location)) }
      reportCounts()
    }
  }

  private func addLocations(_ planner: LocationPlanner) throws(NodeFailure) {
    if plan.usesEmbeddedBroker {
      failedLists = try FailedLists(
        directories: Dictionary(
          plan.servedLocations.map { ($0.site, plan.stateRoot(of: $0.site)) }, uniquingKeysWith: { first, _ in first }))
    }
    let stores = try StoreLocations(plan: plan, log: log)
    for settings in plan.servedLocations {
      switch settings.target {
      case .noop(let target)?: try add(settings.site, LocationPlanner.noop(target, site: settings.site), planner)
      case .file(let target)?:
        let opened = try stores.open(target, site: settings.site, failedList: failedLists?.list(of: settings.site))
        try add(settings.site, opened, planner, deletesFrom: plan.populatedTree?.followsDeletes == true ? target.path : nil)
      case .s3(let target)?:
        let opened = try stores.open(target, site: settings.site, failedList: failedLists?.list(of: settings.site))
        try add(settings.site, opened, planner)
      case .cloudserver?, .throughSource?, nil:
        throw NodeFailure("location \(settings.site): this build cannot serve the type \(settings.type.rawValue)")
      }
    }
    try startFeed(planner)
  }

  private func add(
    _ site: String, _ opened: StoreLocations.Opened, _ planner: LocationPlanner, deletesFrom: String? = nil
  ) throws(NodeFailure) {
    try add(site, opened.work, planner)
    breakers[site] = opened.breaker
    guard let probe = opened.probe else { return }
    populated.append(
      PopulatedLocation(
        site: site, partitionCount: LocationPlanner.embeddedPartitions, isPaused: true, deletesFrom: deletesFrom,
        followsSeenDeletes: plan.populatedTree?.followsDeletes == true, makeProbe: probe))
  }

  private func add(_ site: String, _ work: WorkerLocation, _ planner: LocationPlanner) throws(NodeFailure) {
    let options = try planner.options(for: site, work: work)
    do throws(KafkaError) {
      let location = try LocationController(reactor: reactor, pool: pool, outbox: outbox, options: options, log: log)
      location.observer = self
      locations.append(location)
    } catch {
      throw NodeFailure("location \(site): \(error)")
    }
    let replays = try status.addReplays(of: site, work)
    coordinator.add(LocationKey(.crr, site), sink: LocationGroup([locations[locations.count - 1]] + replays))
  }

  private func startFeed(_ planner: LocationPlanner) throws(NodeFailure) {
    guard let tree = plan.populatedTree, !populated.isEmpty else { return }
    var configuration = EmbeddedPopulator.Configuration(
      sourcePath: tree.sourcePath, naming: tree.naming, locations: populated)
    configuration.refused = tree.refused
    let feed = try EmbeddedFeed(
      configuration, topics: populated.map { plan.topic(of: $0.site) }, properties: try planner.properties(), reactor: reactor,
      log: log)
    feed.onEvent = { [unowned self] in populatorSays($0) }
    failedLists?.requeue = { [unowned feed] in feed.requeue(bucket: $0, key: $1, site: $2) }
    self.feed = feed
  }

  /// Paths that cannot become objects are failures of the location, until a listing no longer meets them.
  private func populatorSays(_ event: PopulatorEvent) {
    switch event {
    case .failed(let index, let failure):
      guard let list = failedLists?.list(of: populated[index].site) else { return }
      log.error("not replicated", metadata: ["location": "\(populated[index].site)", "reason": "\(failure.reason.code)", "message": "\(failure.message)"])
      let record = FailedRecord(failure, bucket: bucket(of: failure.path), failedAtMs: WallClock.nowMs())
      failureWrites.run { _ = await list.record(record) }
    case .listed(let index, let beganAtMs, _):
      guard let list = failedLists?.list(of: populated[index].site) else { return }
      failureWrites.run { [log] in
        do {
          try await list.clearListingFailures(before: beganAtMs)
        } catch {
          log.warning("failed list not cleared", metadata: ["error": "\(error)"])
        }
      }
    case .note, .unable: break
    }
  }

  private func bucket(of path: String) -> String {
    switch plan.populatedTree?.naming {
    case .oneBucket(let name)?: name
    case .bucketPerDirectory?, nil: String(path.prefix { $0 != "/" })
    }
  }

  private func listen() throws(NodeFailure) {
    guard plan.roles.contains(.api) else { return }
    let routes = NodeAPI.routes(of: self)
    self.routes = routes
    let settings = plan.configuration.server
    do throws(ListenError) {
      listener = try Listener(
        reactor: reactor, bindAddress: settings.bindAddress.description, port: UInt16(settings.port), handler: routes)
    } catch {
      throw NodeFailure(error.description)
    }
  }

  /// The controller of a location; nil if this node does not consume for it.
  func location(_ site: String) -> LocationController? { locations.first { $0.site == site } }

  /// What an operator should know of this node: constant sentences.
  var notes: [String] { [] }

  // MARK: Reload

  /// Applies what can change while running: who may call. What needs a restart is named, not half applied.
  func reload(_ configuration: Configuration) {
    routes?.policy = NodeAPI.policy(configuration.server)
    var kept: [String] = []
    if configuration.replication != plan.configuration.replication { kept.append("extensions.replication") }
    if configuration.ingestion != plan.configuration.ingestion { kept.append("extensions.ingestion") }
    if configuration.kafka != plan.configuration.kafka { kept.append("kafka") }
    if configuration.redis != plan.configuration.redis { kept.append("redis") }
    if configuration.zookeeper != plan.configuration.zookeeper { kept.append("zookeeper") }
    if configuration.server.port != plan.configuration.server.port { kept.append("server.port") }
    log.notice(
      "configuration read again",
      metadata: ["applied": "log, server.healthChecks, server.allowedHosts", "needsRestart": "\(kept.joined(separator: ", "))"])
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
    log.critical("ending", metadata: ["error": "\(failure)"])
    self.failure = failure
    stop(reason: failure.description)
  }

  private func beginStop(_ reason: String) {
    log.info("stopping", metadata: ["reason": "\(reason)", "inFlight": "\(locations.map(\.inFlightCount).reduce(0, +))"])
    onStopping?()
    for location in locations { feed?.location(location.site, shouldRun: false) }
    stopTimer = reactor.schedule(after: .seconds(plan.configuration.shutdownTimeoutS)) { [unowned self] _ in
      self.abandon("\(self.plan.configuration.shutdownTimeoutS) s (shutdownTimeoutS) were not enough")
    }
    openStops = locations.count + 1
    for location in locations { location.stop() }
    status.stop { [unowned self] in self.partStopped() }
  }

  private func partStopped() {
    openStops -= 1
    if openStops == 0 { locationsStopped() }
  }

  private func locationsStopped() {
    guard let feed else { return closeOutbox() }
    feed.stop { [unowned self] in self.closeOutbox() }
  }

  private func closeOutbox() {
    outbox.close { [unowned self] in
      self.coordinator.stop { [unowned self] in
        guard let listener = self.listener else { return self.end() }
        listener.stop { [unowned self] _ in self.end() }
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
    failedLists?.stop()
    reactor.stop()
  }

  private func abandon(_ why: String) {
    guard lifecycle.abandon() else { return }
    log.error("running entries abandoned; they are done again at the next start", metadata: ["reason": "\(why)"])
    reactor.stop()
  }

  /// What the process exits with.
  var exitCode: Int32 { lifecycle.wasAbandoned ? ExitStatus.failed : ExitStatus.done }
}

extension ReplicationNode: LocationObserver {
  func locationReports(_ location: LocationController) {
    coordinator.locationReported(LocationKey(.crr, location.site), status.report(of: location))
    // A location that should run is listed for at once; one that should not stops being listed for at once.
    feed?.location(location.site, shouldRun: location.isPausedByDesire == false && !lifecycle.isStopping)
  }

  func location(_ location: LocationController, finished outcome: WorkOutcome) {
    if location.effective == .pausing { coordinator.locationReported(LocationKey(.crr, location.site), status.report(of: location)) }
    guard case .failed(let failure) = outcome else { return }
    log.error(
      "not replicated",
      metadata: [
        "location": "\(location.site)", "bucket": "\(failure.bucket)", "key": "\(failure.key)", "reason": "\(failure.code)",
        "message": "\(failure.message)", "attempts": "\(failure.attempts)",
      ])
  }

  func location(_ location: LocationController, consumedUpTo offset: Offset, of partition: Partition) {
    feed?.location(location.site, consumedUpTo: offset, of: partition)
  }

  func locationDidStop(_ location: LocationController) { partStopped() }
}
