// What a configuration that was read again changes in a running node, worked out before anything is touched: locations come, go or
// change, limits and callers change; servers, ports, topics and the source do not without a restart, and are named.
internal import HTTP
internal import Pipeline
internal import PipelineCore

struct Reload {
  /// The plan to go on with: what is running, and of the new configuration what can be applied.
  let plan: NodePlan
  /// Served now, and not any more or not like this.
  private(set) var leaving: [String] = []
  /// To be served, anew or otherwise than now; they wait for those of the same name to leave.
  private(set) var joining: [Configuration.Location] = []
  /// Controlled from here and run elsewhere: names that come and go.
  let observedAdded: [LocationKey]
  let observedRemoved: [LocationKey]
  /// Sections that differ and were not applied.
  let needsRestart: [String]

  /// - Parameter unserved: locations of the running plan that are not served, because they could not be opened.
  init(of running: NodePlan, to read: Configuration, unserved: Set<String> = []) {
    var plan = running
    plan.configuration = Self.merged(running, read)
    var needsRestart = Self.unapplied(plan.configuration, read)
    // Its topic in the embedded broker still holds what was for the former target.
    if running.usesEmbeddedBroker {
      for (index, location) in plan.configuration.replication.locations.enumerated() {
        guard let old = running.configuration.replication.locations.first(where: { $0.site == location.site }),
          let target = old.target, let other = location.target, target != other
        else { continue }
        plan.configuration.replication.locations[index] = old
        needsRestart.append("extensions.replication.destination.bootstrapList (\(location.site))")
      }
    }
    self.plan = plan
    self.needsRestart = needsRestart
    let before = Self.serving(running).filter { !unserved.contains($0.key) }
    let after = Self.serving(plan)
    leaving = before.filter { after[$0.key] != $0.value }.map(\.key).sorted()
    joining = plan.servedLocations.filter { before[$0.site] != after[$0.site] }
    let (observed, observing) = (running.observedLocations, plan.observedLocations)
    observedAdded = observing.filter { !observed.contains($0) }
    observedRemoved = observed.filter { !observing.contains($0) }
  }

  private static func merged(_ running: NodePlan, _ read: Configuration) -> Configuration {
    var merged = running.configuration
    merged.logLevel = read.logLevel
    merged.shutdownTimeoutS = read.shutdownTimeoutS
    merged.server.allowFrom = read.server.allowFrom
    merged.server.allowedHosts = read.server.allowedHosts
    merged.replication.locations = read.replication.locations
    let queue = merged.replication.queueProcessor
    merged.replication.queueProcessor = read.replication.queueProcessor
    merged.replication.queueProcessor.workerThreads = queue.workerThreads
    merged.replication.queueProcessor.probe = queue.probe
    merged.ingestion.sources = read.ingestion.sources
    merged.lifecycleLocations = read.lifecycleLocations
    return merged
  }

  private static func unapplied(_ merged: Configuration, _ read: Configuration) -> [String] {
    var rest = merged
    var names: [String] = []
    func compare<Value: Equatable>(_ name: String, _ path: WritableKeyPath<Configuration, Value>) {
      guard rest[keyPath: path] != read[keyPath: path] else { return }
      names.append(name)
      // Said once: a section that holds it is compared without it.
      rest[keyPath: path] = read[keyPath: path]
    }
    compare("node.id", \.nodeID)
    compare("server", \.server)
    compare("kafka", \.kafka)
    compare("redis", \.redis)
    compare("zookeeper", \.zookeeper)
    compare("extensions.replication.source", \.replication.source)
    compare("extensions.replication.queueProcessor.workerThreads", \.replication.queueProcessor.workerThreads)
    compare("extensions.replication", \.replication)
    compare("extensions.ingestion", \.ingestion)
    if rest != read { names.append("other sections") }
    return names
  }

  /// All that decides how a location is served.
  private struct Serving: Equatable {
    var location: Configuration.Location
    var queue: Configuration.QueueProcessor
    /// Embedded mode derives an object's status over all of them.
    var all: [String]
  }

  private static func serving(_ plan: NodePlan) -> [String: Serving] {
    let served = plan.servedLocations
    let all = plan.usesEmbeddedBroker ? served.map(\.site) : []
    let queue = plan.configuration.replication.queueProcessor
    return Dictionary(
      served.map { ($0.site, Serving(location: $0, queue: queue, all: all)) }, uniquingKeysWith: { first, _ in first })
  }
}
