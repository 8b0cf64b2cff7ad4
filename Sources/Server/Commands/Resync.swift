// `downbeat resync`: enqueues what is already in the source, for one location.

internal import ArgumentParser
internal import CLinux
internal import Glibc
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

struct ResyncCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resync",
    abstract: "Enqueues the objects that are already in the source for one location.",
    discussion: """
      Lists the source of the configuration and enqueues every object version that the location has not COMPLETED. Needs the \
      source and Kafka, not a running daemon; whoever consumes the location copies. What is copied already is not copied \
      again, so a resync may be stopped (Ctrl-C) and repeated. It gives up when the brokers acknowledge nothing for half a minute. In embedded mode the daemon lists its source itself at every start.
      """)

  /// Between two progress lines off a terminal.
  static let lineInterval = Duration.seconds(5)
  static let screenInterval = Duration.milliseconds(250)

  @Option(help: ArgumentHelp("The configuration, YAML or JSON. Default: as for `serve`.", valueName: "file"), completion: .file())
  var config: String?

  @Option(help: ArgumentHelp("What is kept beside the source is here; as for `serve`.", valueName: "directory"), completion: .directory)
  var stateDir = Serve.standardStateDirectory

  @Option(help: ArgumentHelp("The location to enqueue for.", valueName: "location"))
  var location: LocationArgument

  @Option(help: ArgumentHelp("Only this bucket.", valueName: "bucket"))
  var bucket: String?

  @Option(help: ArgumentHelp("Only keys that begin so.", valueName: "prefix"))
  var prefix = ""

  @Option(help: ArgumentHelp("At most so many objects a second.", valueName: "n"))
  var rate: Int?

  @Flag(help: "Count what would be enqueued, and enqueue nothing.")
  var dryRun = false

  func validate() throws {
    if let rate, !(1...1_000_000).contains(rate) { throw ValidationError("--rate must be from 1 to 1000000 objects a second") }
    if let bucket, bucket.isEmpty || bucket.contains("/") || bucket == "." || bucket == ".." {
      throw ValidationError("“\(bucket)” is no bucket")
    }
    if location.name == "all" { throw ValidationError("--location takes one location") }
  }

  func run() throws {
    let plan = try plan()
    SignalSource.block()
    let threshold = LineLogHandler.bootstrap(.json, level: .warning)
    defer { _ = threshold }
    let log = Logger(label: "downbeat")
    let source: SourceAccess?
    let properties: KafkaProperties
    do throws(NodeFailure) {
      source = try SourceAccess.open(plan.configuration.replication.source, stateDirectory: plan.stateDirectory, log: log)
      let hosts = plan.configuration.kafka.hosts.map(\.description).joined(separator: ",")
      properties = try LocationPlanner(plan: plan, bootstrapServers: hosts).properties()
    } catch {
      throw error.isConfiguration ? CommandFailure.usage(error.description) : .running(error.description)
    }
    guard let source else { throw CommandFailure.usage("a source of this type cannot be listed by this build") }
    let result = try ResyncSession(settings(plan), source, properties, log).run()
    try conclude(result)
  }

  private func plan() throws(CommandFailure) -> NodePlan {
    // Of the servers it needs Kafka only, and of the roles the one that lists.
    let purpose = ConfigurationPurpose(capabilities: .thisBuild, embedded: true, roles: [.populator])
    let options = try Serve.options(config: config, stateDir: stateDir, purpose: purpose)
    let plan = NodePlan(configuration: options.configuration, roles: [], stateDirectory: options.stateDirectory)
    guard !plan.usesEmbeddedBroker else {
      throw .usage("\(options.configurationPath): without kafka.hosts the daemon lists its source itself, at every start")
    }
    guard plan.configuration.replication.locations.contains(where: { $0.site == location.name }) else {
      throw .usage("\(options.configurationPath): there is no location “\(location.name)”")
    }
    return plan
  }

  private func settings(_ plan: NodePlan) -> Resync.Settings {
    var settings = Resync.Settings(site: location.name, replicationTopic: plan.topic(of: location.name))
    settings.bucket = bucket
    settings.prefix = prefix
    settings.isDryRun = dryRun
    settings.rateMax = rate
    settings.metricsTopic = plan.metricsTopic
    return settings
  }

  private func conclude(_ counts: Resync.Counts) throws {
    for failure in counts.firstFailures { StandardError.line("not listed: \(failure)") }
    if counts.failures > counts.firstFailures.count { StandardError.line("… and \(counts.failures - Int64(counts.firstFailures.count)) more") }
    print(Self.line(counts, location.name, dryRun))
    let onTheWay = counts.unacknowledged > 0 ? ", \(counts.unacknowledged) messages unacknowledged" : ""
    switch counts.ending {
    case .brokersSilent?:
      throw CommandFailure.running(
        "the brokers have acknowledged nothing for \(Resync.silenceMax)\(onTheWay); look at kafka.hosts, "
          + "the same command goes on with what is not done")
    case .interrupted?, nil:
      throw CommandFailure.running("interrupted\(onTheWay); the same command goes on with what is not done")
    case .finished?: break
    }
    if counts.failures > 0 { throw SilentExit(status: ExitStatus.failed) }
  }

  static func line(_ counts: Resync.Counts, _ location: String, _ isDryRun: Bool) -> String {
    "\(location): \(counts.listed) listed, \(counts.completed) there already, \(counts.enqueued) \(isDryRun ? "to enqueue" : "enqueued"), "
      + "\(Figures.bytes(counts.bytes)), \(counts.failures) not listed"
  }
}

/// Shared by the task and its signals.
private final class ResyncState: Sendable {
  let outcome = Lock<Result<Resync.Counts, NodeFailure>?>(nil)
  let isStopping = Lock(false)
}

/// One run: a reactor on this thread, the work as a task on it, Ctrl-C between two objects.
private final class ResyncSession {
  private let settings: Resync.Settings
  private let source: SourceAccess
  private let properties: KafkaProperties
  private let log: Logger

  init(_ settings: Resync.Settings, _ source: SourceAccess, _ properties: KafkaProperties, _ log: Logger) {
    self.settings = settings
    self.source = source
    self.properties = properties
    self.log = log
  }

  func run() throws(CommandFailure) -> Resync.Counts {
    let state = ResyncState()
    do {
      let reactor = try Reactor(name: "resync")
      let signals = try SignalSource(reactor: reactor) { _, signal in
        if signal == .interrupt || signal == .terminate { state.isStopping.withLock { $0 = true } }
      }
      Task.detached(executorPreference: reactor.handle.executor) { [settings, source, properties, log] in
        await work(settings, source, properties, log, state)
        Reactor.current?.stop()
      }
      withExtendedLifetime(signals) { reactor.run() }
    } catch {
      throw .running("\(error)")
    }
    switch state.outcome.withLock({ $0 }) {
    case .success(let counts)?: return counts
    case .failure(let failure)?: throw .running(failure.description)
    case nil: throw .running("ended early")
    }
  }
}

private func work(
  _ settings: Resync.Settings, _ source: SourceAccess, _ properties: KafkaProperties, _ log: Logger, _ state: ResyncState
) async {
  guard let reactor = Reactor.current else { preconditionFailure("runs on its own reactor") }
  let isTerminal = isatty(1) == 1
  let interval = isTerminal ? ResyncCommand.screenInterval : ResyncCommand.lineInterval
  var next = Instant.nowUncached() + interval
  do {
    let resync = try Resync(settings, properties: properties, reactor: reactor, log: log)
    let catalog = try source.makeCatalog(WorkerContext(reactor: reactor))
    let counts = try await resync.run(catalog, shouldStop: { state.isStopping.withLock { $0 } }) { counts in
      let now = Instant.nowUncached()
      guard now >= next else { return }
      next = now + interval
      let line = ResyncCommand.line(counts, settings.site, settings.isDryRun)
      print(isTerminal ? "\r\(line)\u{1B}[K" : line, terminator: isTerminal ? "" : "\n")
      fflush(nil)
    }
    if isTerminal { print("\r\u{1B}[K", terminator: "") }
    state.outcome.withLock { $0 = .success(counts) }
  } catch {
    let failure = NodeFailure("\(error)")
    state.outcome.withLock { $0 = .failure(failure) }
  }
}
