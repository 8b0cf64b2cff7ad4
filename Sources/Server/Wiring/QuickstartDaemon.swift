// `downbeat quickstart`: the same node as `serve`, planned from the directories given, with a display and an end.
internal import HTTP
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

enum QuickstartDaemon {
  /// Runs until everything is copied (`--once`) or a signal comes.
  /// - Thread: the main one, before any other exists (signals are blocked here).
  /// - Returns: the exit code.
  static func run(_ options: QuickstartOptions) throws(CommandFailure) -> Int32 {
    SignalSource.block()
    _ = LineLogHandler.bootstrap(.human, level: .warning)
    let log = Logger(label: "quickstart")
    let layout: QuickstartLayout
    do throws(QuickstartRefusal) {
      layout = try QuickstartLayout(source: options.source, targets: options.targets, force: options.force)
    } catch {
      throw .usage(error.description)
    }
    do {
      let reactor = try Reactor(name: "downbeat")
      let node = ReplicationNode(plan: plan(options, layout), reactor: reactor, log: log)
      let session = QuickstartSession(node: node, layout: layout, options: options)
      _ = try SignalSource(reactor: reactor) { _, signal in
        switch signal {
        case .terminate, .interrupt, .hangup: session.interrupted()
        case .user1: break
        }
      }
      try node.start { NodeAPI.handler(for: $0) }
      session.begin()
      withExtendedLifetime(layout) { reactor.run() }
      return session.exitCode
    } catch {
      throw .running("\(error)")
    }
  }

  /// Entries of small files spend their time waiting for the disk: many at once share its flushes.
  static let concurrency = 32

  private static func plan(_ options: QuickstartOptions, _ layout: QuickstartLayout) -> NodePlan {
    var configuration = Configuration()
    configuration.nodeID = "quickstart"
    configuration.server.port = options.port
    configuration.replication.source = .file(path: layout.sourceParent)
    configuration.replication.queueProcessor.concurrency = concurrency
    configuration.replication.queueProcessor.waitingMax = concurrency
    configuration.replication.locations = layout.locations.map {
      Configuration.Location(
        site: $0.name, type: .file, service: .served(.file(.init(path: $0.path, bucketMatch: true))))
    }
    var plan = NodePlan(
      configuration: configuration, roles: [.api, .queueProcessor, .populator], stateDirectory: layout.locations[0].statePath)
    plan.stateRoots = Dictionary(uniqueKeysWithValues: layout.locations.map { ($0.name, $0.statePath) })
    plan.tree = NodePlan.Tree(
      sourcePath: layout.source, naming: .oneBucket(layout.bucket), refused: Set(layout.locations.map(\.identity)),
      followsDeletes: options.delete, overwrites: options.force)
    return plan
  }
}

/// One quickstart from its first listing to its end: watches the node and decides when everything is copied.
final class QuickstartSession {
  static let checkInterval = Duration.milliseconds(100)

  private enum End {
    case none
    /// `--once`, everything is COMPLETED or FAILED.
    case finished
    case interrupted
  }

  private let node: ReplicationNode
  private let layout: QuickstartLayout
  private let options: QuickstartOptions
  private let display: QuickstartDisplay
  private let start = Instant.nowUncached()
  private var end = End.none
  private var wasVerified = true

  init(node: ReplicationNode, layout: QuickstartLayout, options: QuickstartOptions) {
    self.node = node
    self.layout = layout
    self.options = options
    display = QuickstartDisplay()
  }

  func begin() {
    display.begin(
      source: layout.source, targets: layout.locations.map { ($0.name, $0.path) }, notes: layout.notes,
      address: node.listener?.address.description ?? "", once: options.once)
    check(node.reactor)
  }

  func interrupted() {
    if case .none = end { end = .interrupted }
    node.stop(reason: "interrupted")
  }

  private func check(_ reactor: Reactor) {
    guard case .none = end else { return }
    let progress = node.locations.map(progress)
    display.update(progress, elapsed: reactor.now - start)
    if options.once, progress.allSatisfy(\.isComplete) { return finish(progress) }
    reactor.schedule(after: Self.checkInterval) { [unowned self] in self.check($0) }
  }

  private func progress(_ location: LocationController) -> QuickstartProgress {
    let status = node.feed?.status(of: location.site) ?? PopulatorStatus()
    let counters = location.counters
    return QuickstartProgress(
      name: location.site, isPaused: location.effective == .disabled || location.effective == .pausing,
      isListing: status.listingsCompleted == 0, objects: counters.done, bytes: counters.bytes,
      upToDate: UInt64(status.upToDateObjects) + counters.alreadyThere, enqueued: UInt64(status.enqueuedObjects),
      finished: counters.finished, skipped: status.counts.skipped, failed: node.failedLists?.list(of: location.site)?.count ?? 0,
      isComplete: status.listingsCompleted > 0 && status.isSettled && location.inFlightCount == 0
        && location.effective == .enabled)
  }

  private func finish(_ progress: [QuickstartProgress]) {
    end = .finished
    wasVerified = display.summary(progress, elapsed: node.reactor.now - start, layout: layout, force: options.force)
    node.stop(reason: "everything is replicated")
  }

  var exitCode: Int32 {
    switch end {
    case .finished:
      let failed = node.failedLists.map { lists in lists.sites.contains { (lists.list(of: $0)?.count ?? 0) > 0 } } ?? false
      return failed || !wasVerified || node.exitCode != 0 ? ExitStatus.failed : ExitStatus.done
    case .interrupted, .none: return options.once ? ExitStatus.failed : node.exitCode
    }
  }
}
