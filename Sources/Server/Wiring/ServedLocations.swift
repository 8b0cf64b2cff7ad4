// The locations this node consumes for: opened, fed, observed, and let go again. They come and go while the node runs (SIGHUP);
// one that changes goes first and comes back as new, so no part of it ever holds half of each.
//
// Invariant: whoever is in `controllers` has been told to the control plane, and is told to go before it leaves the list.
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

/// - Thread: all of it on T0.
final class ServedLocations {
  private unowned let node: ReplicationNode
  private var planner: LocationPlanner
  private var stores: StoreLocations
  private(set) var controllers: [LocationController] = []
  /// How far copies are, where nobody else keeps it.
  let transferBoard: TransferBoard?
  /// Of what tells it to the metrics topic, where that is done instead.
  private let reportsHook: HookToken?
  /// Of the locations whose target is a service.
  private(set) var breakers: [String: LocationBreaker] = [:]
  /// Failures that counted against the breakers of locations that have gone.
  private var goneBreakerErrors: UInt64 = 0
  /// Embedded mode's failed lists.
  let failedLists: FailedLists?
  /// Embedded mode's entries; none when they come from elsewhere.
  let feeds: LocationFeeds
  /// The locations the populator enqueues for, in the order they came.
  private(set) var populated: [PopulatedLocation] = []
  /// Failures met while listing, on their way to the failed lists.
  private let failureWrites: SerialTasks
  /// Locations on their way out: consumers that have not stopped yet, and what comes then.
  private var leaving: [String: (open: Int, then: () -> Void)] = [:]
  /// Made in the embedded broker, which has no other way to make one.
  private var topics: Set<String> = []

  /// - Parameter node: owns this; its broker, pool, outbox, coordinator and status exist.
  /// - Blocking: opens the source. - Errors: what cannot be opened, naming it.
  init(node: ReplicationNode, planner: LocationPlanner, failureWrites: SerialTasks) throws(NodeFailure) {
    self.node = node
    self.planner = planner
    self.failureWrites = failureWrites
    let watcher: any TransferWatcher
    if planner.plan.statusTopic == nil {
      let board = TransferBoard()
      (transferBoard, reportsHook, watcher) = (board, nil, board)
    } else {
      let reports = TransferReports(topic: planner.plan.metricsTopic)
      (transferBoard, reportsHook, watcher) = (nil, reports.attach(to: node.outbox, on: node.reactor), reports)
    }
    stores = try StoreLocations(plan: planner.plan, transfers: watcher, log: node.log)
    let replication = planner.plan.configuration.replication
    failedLists =
      planner.plan.usesEmbeddedBroker
      ? try FailedLists(expiry: .seconds(replication.failureExpiryS), areKept: replication.monitorsFailures) : nil
    feeds = LocationFeeds()
    failedLists?.requeue = { [feeds] in feeds.requeue(bucket: $0, key: $1, site: $2) }
  }

  private var plan: NodePlan { planner.plan }

  func controller(of site: String) -> LocationController? { controllers.first { $0.site == site } }
  /// Failures that counted against a breaker, since the start.
  var breakerErrors: UInt64 { breakers.values.reduce(goneBreakerErrors) { $0 + $1.errorCount } }

  // MARK: Come

  /// From now on new locations are opened by this plan. - Precondition: the same source and servers.
  func planChanged(_ planner: LocationPlanner) {
    self.planner = planner
    stores.plan = planner.plan
  }

  /// Opens locations; nothing is consumed before the control plane has told their desired state.
  /// - Blocking: directories, the failed lists, librdkafka's threads.
  /// - Errors: the first that cannot be opened, naming it; those before it stay.
  func add(_ locations: [Configuration.Location]) throws(NodeFailure) {
    let first = populated.count
    for settings in locations {
      let site = settings.site
      try failedLists?.open(site, directory: plan.stateRoot(of: site))
      switch settings.target {
      case .noop(let target)?: try add(site, LocationPlanner.noop(target, site: site))
      case .file(let target)?:
        let opened = try stores.open(target, site: site, failedList: failedLists?.list(of: site))
        try add(site, opened, deletesFrom: plan.populatedTree?.followsDeletes == true ? target.path : nil)
      case .s3(let target)?:
        try add(site, try stores.open(target, site: site, failedList: failedLists?.list(of: site)))
      case .cloudserver?, .throughSource?, nil:
        throw NodeFailure("location \(site): this build cannot serve the type \(settings.type.rawValue)")
      }
    }
    try feed(Array(populated[first...]))
  }

  private func add(_ site: String, _ opened: StoreLocations.Opened, deletesFrom: String? = nil) throws(NodeFailure) {
    try add(site, opened.work)
    breakers[site] = opened.breaker
    // One that comes back is fed as before.
    guard let probe = opened.probe, !feeds.contains(site) else { return }
    populated.append(
      PopulatedLocation(
        site: site, partitionCount: LocationPlanner.embeddedPartitions, isPaused: true, deletesFrom: deletesFrom,
        followsSeenDeletes: plan.populatedTree?.followsDeletes == true, makeProbe: probe))
  }

  private func add(_ site: String, _ work: WorkerLocation) throws(NodeFailure) {
    let options = try planner.options(for: site, work: work)
    let controller: LocationController
    do throws(KafkaError) {
      if let broker = node.broker, topics.insert(options.consumer.topic).inserted {
        try broker.createTopic(EmbeddedBroker.Topic(options.consumer.topic, partitions: LocationPlanner.embeddedPartitions))
      }
      controller = try LocationController(reactor: node.reactor, pool: node.pool, outbox: node.outbox, options: options, log: node.log)
    } catch {
      throw NodeFailure("location \(site): \(error)")
    }
    let replays: [LocationController]
    do throws(NodeFailure) {
      replays = try node.status.addReplays(of: site, work)
    } catch {
      controller.stop()
      throw error
    }
    controller.observer = node
    controllers.append(controller)
    node.coordinator.add(LocationKey(.crr, site), sink: LocationGroup([controller] + replays))
  }

  private func feed(_ locations: [PopulatedLocation]) throws(NodeFailure) {
    guard let tree = plan.populatedTree, !locations.isEmpty else { return }
    var configuration = EmbeddedPopulator.Configuration(sourcePath: tree.sourcePath, naming: tree.naming, locations: locations)
    configuration.refused = tree.refused
    let feed = try EmbeddedFeed(
      configuration, topics: locations.map { plan.topic(of: $0.site) }, properties: try planner.properties(), reactor: node.reactor,
      log: node.log)
    feed.onEvent = { [unowned self] in populatorSays($0, locations) }
    feeds.add(feed, for: locations.map(\.site))
    failedLists?.startLooking(at: tree, for: locations)
  }

  // MARK: Go

  /// Takes no further entry of the location, finishes and commits what was taken, leaves its group. `completion` is called when
  /// the control plane knows it no more; never, if the node stops meanwhile.
  func remove(_ site: String, _ completion: @escaping () -> Void) {
    guard let controller = controller(of: site), leaving[site] == nil else { return }
    let replays = node.status.replays[site] ?? []
    leaving[site] = (1 + replays.count, completion)
    feeds.location(site, shouldRun: false)
    controller.stop()
    for replay in replays { replay.stop() }
  }

  /// A consumer of the location has stopped.
  func didStop(_ controller: LocationController) {
    let site = controller.site
    guard let (open, completion) = leaving[site] else { return }
    guard open == 1 else {
      leaving[site] = (open - 1, completion)
      return
    }
    leaving[site] = nil
    guard !node.isStopping else { return }
    controllers.removeAll { $0.site == site }
    goneBreakerErrors += breakers.removeValue(forKey: site)?.errorCount ?? 0
    node.status.removeReplays(of: site)
    node.coordinator.remove(LocationKey(.crr, site))
    completion()
  }

  /// The outbox is about to be closed.
  func stopReporting() {
    if let reportsHook { node.reactor.removeBeforeSleep(reportsHook) }
  }

  // MARK: Failures of the listing

  /// Paths that cannot become objects are failures of the location, until a listing no longer meets them.
  private func populatorSays(_ event: PopulatorEvent, _ locations: [PopulatedLocation]) {
    let log = node.log
    switch event {
    case .failed(let index, let failure):
      let site = locations[index].site
      log.error("not replicated", metadata: ["location": "\(site)", "reason": "\(failure.reason.code)", "message": "\(failure.message)"])
      guard let list = failedLists?.list(of: site) else { return }
      let record = FailedRecord(failure, bucket: bucket(of: failure.path), failedAtMs: WallClock.nowMs())
      failureWrites.run { _ = await list.record(record) }
    case .listed(let index, let beganAtMs, _):
      guard let list = failedLists?.list(of: locations[index].site) else { return }
      failureWrites.run {
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
}

/// The feeds of embedded mode by location. A location that came later has one of its own; a feed lives as long as the node, because
/// the window it keeps in the topic outlasts the location's going and coming back.
final class LocationFeeds {
  private(set) var feeds: [EmbeddedFeed] = []
  private var bySite: [String: EmbeddedFeed] = [:]

  func add(_ feed: EmbeddedFeed, for sites: [String]) {
    feeds.append(feed)
    for site in sites { bySite[site] = feed }
  }

  func contains(_ site: String) -> Bool { bySite[site] != nil }
  func status(of site: String) -> PopulatorStatus? { bySite[site]?.status(of: site) }
  func published(for site: String) -> PublishCounters? { bySite[site]?.published(for: site) }
  func location(_ site: String, shouldRun: Bool) { bySite[site]?.location(site, shouldRun: shouldRun) }
  func location(_ site: String, consumedUpTo offset: Offset, of partition: Partition) {
    bySite[site]?.location(site, consumedUpTo: offset, of: partition)
  }
  func requeue(bucket: String, key: String, site: String) -> Bool { bySite[site]?.requeue(bucket: bucket, key: key, site: site) ?? false }

  /// - Blocking: until each lister's present turn is over.
  func stop(_ completion: @escaping () -> Void) {
    var open = feeds.count
    guard open > 0 else { return completion() }
    for feed in feeds {
      feed.stop {
        open -= 1
        if open == 0 { completion() }
      }
    }
  }
}
