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
    HeapMemory.configure()
    OpenFileLimit.raise()
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
      node.onEnded = { session.nodeEnded() }
      _ = try SignalSource(reactor: reactor) { _, signal in
        switch signal {
        case .terminate, .interrupt, .hangup: session.interrupted()
        case .user1: break
        }
      }
      try node.start()
      try session.begin()
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
