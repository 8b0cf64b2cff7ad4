// `downbeat serve` from checked options to an exit code: signals, log, state directory's lock, node.
internal import HTTP
internal import Logging
internal import Pipeline
internal import Reactor

enum ServeDaemon {
  /// Runs the daemon until it is told to stop.
  /// - Thread: the main one, before any other exists (signals are blocked here).
  /// - Blocking: for the daemon's life.
  /// - Returns: the exit code.
  static func run(_ options: ServeOptions) throws(CommandFailure) -> Int32 {
    SignalSource.block()
    HeapMemory.configure()
    OpenFileLimit.raise()
    let threshold = LineLogHandler.bootstrap(.json, level: options.configuration.logLevel)
    let log = Logger(label: "downbeat")
    for note in options.notes { log.notice("configuration", metadata: ["note": "\(note)"]) }
    let lock: StateDirectoryLock
    do throws(NodeFailure) { lock = try StateDirectoryLock(options.stateDirectory) } catch { throw .usage(error.description) }
    let plan = NodePlan(
      configuration: options.configuration, roles: options.purpose.roles, isEmbedded: options.purpose.embedded,
      stateDirectory: options.stateDirectory)
    do {
      let reactor = try Reactor(name: "downbeat")
      let node = ReplicationNode(plan: plan, reactor: reactor, log: log)
      let manager = ServiceManager(environment: Environment.variables)
      let reload = { apply(options, to: node, threshold: threshold, manager, log) }
      _ = try SignalSource(reactor: reactor) { _, signal in
        switch signal {
        case .terminate: node.stop(reason: "SIGTERM")
        case .interrupt: node.stop(reason: "SIGINT")
        case .hangup: reload()
        case .user1: break
        }
      }
      try node.start()
      announce(node, manager, log)
      withExtendedLifetime(lock) { reactor.run() }
      if let failure = node.failure { throw failure }
      return node.exitCode
    } catch let failure as NodeFailure where failure.isConfiguration {
      throw .usage(failure.description)
    } catch {
      throw .running("\(error)")
    }
  }

  private static func announce(_ node: ReplicationNode, _ manager: ServiceManager?, _ log: Logger) {
    manager?.ready(status(node))
    node.onReloaded = { [unowned node] in manager?.ready(status(node)) }
    if let manager, let interval = manager.pingInterval { ping(manager, every: interval, node.reactor) }
    node.onStopping = { manager?.stopping(within: .seconds(node.plan.configuration.shutdownTimeoutS)) }
    log.notice(
      "started",
      metadata: [
        "node": "\(node.plan.configuration.nodeID)", "locations": "\(node.locations.count)",
        "address": "\(node.listener.map { $0.address.description } ?? "none")",
      ])
  }

  private static func status(_ node: ReplicationNode) -> String { "\(node.locations.count) locations" }

  /// Proves to the service manager that the loop turns.
  private static func ping(_ manager: ServiceManager, every interval: Duration, _ reactor: Reactor) {
    manager.ping()
    reactor.schedule(after: interval) { ping(manager, every: interval, $0) }
  }

  /// SIGHUP: what can change while running is applied; the rest is named and waits for a restart.
  private static func apply(
    _ options: ServeOptions, to node: ReplicationNode, threshold: LogThreshold, _ manager: ServiceManager?, _ log: Logger
  ) {
    guard !node.isStopping else { return }
    manager?.reloading()
    let loaded = options.reload()
    guard let configuration = loaded.configuration else {
      for diagnostic in loaded.diagnostics { log.error("configuration not applied", metadata: ["problem": "\(diagnostic)"]) }
      // Whoever waits for the end of the reload is told; which one it was, the log says.
      manager?.ready("configuration not applied, \(status(node))")
      return
    }
    threshold.level = configuration.logLevel
    node.reload(configuration)
  }
}
