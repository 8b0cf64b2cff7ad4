// What happens to the results of copies on a node beside an external broker: the status processor, the replay consumers of each
// location, and the desk of the failed list. None of it exists in embedded mode, where a location keeps its results itself.
//
// The status processor is not paused by anything: a paused location's last results still have to be told.
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

final class NodeStatus {
  /// Backbeat's names; the second begins with the default `metrics.groupIdPrefix`.
  static let failedGroup = "backbeat-retry-group"
  static func metricsGroup(_ service: MetricsService) -> String { "backbeat-metrics-group-\(service.rawValue)" }

  private unowned let node: ReplicationNode
  private let planner: LocationPlanner
  let counters: StatusCounters
  private(set) var processor: LocationController?
  /// By site, one for each replay topic.
  private(set) var replays: [String: [LocationController]] = [:]
  private(set) var desk: FailedDesk?
  private var openStops = 0
  private var stopped: (() -> Void)?

  /// - Parameter node: owns this.
  init(node: ReplicationNode, planner: LocationPlanner) {
    self.node = node
    self.planner = planner
    let replication = node.plan.configuration.replication
    counters = StatusCounters(
      sizeBounds: replication.objectSizeBounds.map { Int64($0) }, replaysMax: replication.replayTopics.reduce(0) { $0 + $1.retries })
  }

  private var plan: NodePlan { node.plan }

  /// Opens what the roles ask for.
  func start() throws(NodeFailure) {
    guard !plan.usesEmbeddedBroker else { return }
    let source = try SourceAccess.open(plan.configuration.replication.source, stateDirectory: plan.stateDirectory, log: node.log)
    if plan.roles.contains(.statusProcessor), let source { try startProcessor(source) }
    if !plan.roles.isDisjoint(with: [.api, .statusProcessor]) { try startDesk(source) }
  }

  private func startProcessor(_ source: SourceAccess) throws(NodeFailure) {
    let replication = plan.configuration.replication
    let kafka = plan.configuration.kafka
    let replayPlan = ReplayPlan(replication.replayTopics.map { (kafka.topic($0.name), $0.retries) })
    let topics = StatusUpdater.Topics(
      failed: replication.monitorsFailures ? plan.failedTopic : nil, metrics: plan.metricsTopic)
    let policy = RetryPolicy(replication.statusProcessor.retry.scality)
    let work = WorkerLocation(
      site: "status-processor",
      kind: .processor { [counters] context throws(WorkerLocationError) in
        StatusUpdater(
          store: try source.makeStatusStore(context), plan: replayPlan, topics: topics, policy: policy, counters: counters)
      })
    let controller = try controller(try planner.statusOptions(work))
    controller.desiredChanged(paused: false, version: StateVersion(epoch: 0, number: 0))
    processor = controller
  }

  /// A location's consumers of the replay topics, which are paused and resumed with it.
  func addReplays(of site: String, _ work: WorkerLocation) throws(NodeFailure) -> [LocationController] {
    guard !plan.usesEmbeddedBroker else { return [] }
    var consumers: [LocationController] = []
    // Backbeat's replay processor is a service of its own, and counts for itself.
    var work = work
    work.figures = CopyFigures()
    for topic in ReplayPlan(plan.configuration.replication.replayTopics.map { ($0.name, $0.retries) }).topicNames {
      consumers.append(try controller(try planner.options(for: site, work: work, topic: plan.configuration.kafka.topic(topic))))
    }
    replays[site] = consumers
    return consumers
  }

  /// - Precondition: they have stopped.
  func removeReplays(of site: String) { replays[site] = nil }

  private func controller(_ options: LocationOptions) throws(NodeFailure) -> LocationController {
    do throws(KafkaError) {
      let controller = try LocationController(
        reactor: node.reactor, pool: node.pool, outbox: node.outbox, options: options, log: node.log)
      controller.observer = self
      return controller
    } catch {
      throw NodeFailure("\(options.consumer.topic): \(error)")
    }
  }

  private func startDesk(_ source: SourceAccess?) throws(NodeFailure) {
    guard let redis = plan.configuration.redis else { return }
    let replication = plan.configuration.replication
    var settings = FailedDesk.Settings(
      redis: RedisSettings(redis), expiry: .seconds(replication.failureExpiryS), properties: try planner.properties(),
      statusTopic: plan.configuration.kafka.topic(replication.statusTopic), replicationTopic: plan.configuration.kafka.topic(replication.topic),
      sites: replication.locations.map(\.site))
    if plan.roles.contains(.statusProcessor) {
      settings.failedTopic = .init(topic: plan.failedTopic, group: Self.failedGroup)
      settings.metricsTopic = .init(topic: plan.metricsTopic, group: Self.metricsGroup(.crr))
      settings.ingestionMetricsTopic = ingestionMetrics
    }
    settings.makeCatalog = source?.makeCatalog
    do throws(FailedDesk.Unavailable) {
      desk = try FailedDesk.start(settings, log: node.log)
    } catch {
      throw NodeFailure("failed list: \(error)")
    }
  }

  /// Only where something may be ingested: a consumer has threads of its own.
  private var ingestionMetrics: FailedDesk.Settings.Feed? {
    guard plan.roles.contains(.statusProcessor), !plan.configuration.ingestion.sources.isEmpty else { return nil }
    return .init(topic: plan.metricsTopic, group: Self.metricsGroup(.ingestion))
  }

  /// The plan names other locations.
  func sitesChanged() {
    guard let desk else { return }
    let sites = plan.configuration.replication.locations.map(\.site)
    let ingestionMetrics = ingestionMetrics
    Task.detached(executorPreference: node.reactor.handle.executor) { await desk.serve(sites, ingestionMetrics: ingestionMetrics) }
  }

  /// The outbox has room again.
  func creditAvailable() {
    processor?.creditAvailable()
    for consumer in replays.values.flatMap({ $0 }) { consumer.creditAvailable() }
  }

  // MARK: A location with its replays

  private func all(_ location: LocationController) -> [LocationController] { [location] + (replays[location.site] ?? []) }

  /// The worst of a location's consumers.
  func report(of location: LocationController) -> LocationReport {
    let reports = all(location).map(\.report)
    let order: [PipelineCore.EffectiveState] = [.enabled, .disabled, .resuming, .pausing]
    let worst = reports.max { (order.firstIndex(of: $0.state) ?? 0) < (order.firstIndex(of: $1.state) ?? 0) } ?? location.report
    return LocationReport(
      state: worst.state, inFlight: reports.map(\.inFlight).reduce(0, +), sinceMs: reports.map(\.sinceMs).max() ?? worst.sinceMs,
      queued: reports.map(\.queued).reduce(0, +), partitions: location.report.partitions)
  }

  // MARK: Stop

  /// Finishes what runs and commits; the desk has closed when `completion` is called.
  func stop(_ completion: @escaping () -> Void) {
    stopped = completion
    let controllers = (replays.values.flatMap { $0 } + (processor.map { [$0] } ?? [])).filter { !$0.isStopped }
    openStops = controllers.count + 1
    for controller in controllers { controller.stop() }
    if let desk {
      let done = OnReactor { [self] in partStopped() }
      Task.detached(executorPreference: node.reactor.handle.executor) {
        await desk.close()
        done.run()
      }
    } else {
      partStopped()
    }
  }

  private func partStopped() {
    openStops -= 1
    guard openStops == 0 else { return }
    stopped?()
    stopped = nil
  }

  /// Ends the desk's thread. - Blocking: until its present turn is over.
  func end() { desk?.stop() }
}

extension NodeStatus: LocationObserver {
  func locationReports(_ location: LocationController) {
    guard let main = node.served.controller(of: location.site) else { return }
    node.locationReports(main)
  }

  func location(_ location: LocationController, failed failure: ReplicationFailure) { node.location(location, failed: failure) }
  func locationIsDraining(_ location: LocationController) { node.locationIsDraining(location) }
  func location(_ location: LocationController, consumedUpTo offset: Offset, of partition: Partition) {}
  func location(_ location: LocationController, cannotGoOn error: KafkaError) { node.location(location, cannotGoOn: error) }
  func locationDidStop(_ location: LocationController) {
    node.served.didStop(location)
    if stopped != nil { partStopped() }
  }
}

/// A location's consumers as one sink of the control plane.
final class LocationGroup: LocationSink {
  private let members: [LocationController]
  init(_ members: [LocationController]) { self.members = members }
  func desiredChanged(paused: Bool, version: StateVersion) {
    for member in members { member.desiredChanged(paused: paused, version: version) }
  }

  func pauseAnnounced() { for member in members { member.pauseAnnounced() } }

  func allNodesDrained() { for member in members { member.allNodesDrained() } }
}

/// Something a detached task does on T0 at its end.
final class OnReactor: @unchecked Sendable {  // made and run on T0 only: the task's executor is T0's
  private let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
  func run() { body() }
}
