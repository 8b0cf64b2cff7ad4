// What a node is to be, decided before anything is opened: the command's options turned into one value, so that `serve`
// and `quickstart` are the same daemon with different plans.
internal import Pipeline
internal import PipelineCore

struct NodePlan: Sendable {
  var configuration: Configuration
  var roles: Set<Role>
  /// Control bus and state store are inside this process. The broker is a matter of its own: see `usesEmbeddedBroker`.
  var isEmbedded = true
  /// Where this node keeps what must survive a restart; absolute.
  var stateDirectory: String
  /// Locations whose desired state lives elsewhere: quickstart's, beside the copies.
  var stateRoots: [String: String] = [:]

  /// What the embedded populator lists; nil: decided by the configuration's source.
  var tree: Tree?

  /// A tree whose objects the embedded populator enqueues.
  struct Tree: Sendable {
    var sourcePath: String
    var naming: SourceNaming
    /// Directories never to be entered: the targets.
    var refused: Set<FileIdentity> = []
    var followsDeletes = false
    /// What at a target is not ours, or was changed, is overwritten.
    var overwrites = false

    /// The one bucket there is; nil if each directory at the top is one.
    var bucket: String? { if case .oneBucket(let name) = naming { name } else { nil } }
  }

  /// The broker is librdkafka's mock inside this process, unless the configuration names one.
  var usesEmbeddedBroker: Bool { configuration.kafka.hosts.isEmpty }

  /// The locations this node consumes for.
  var servedLocations: [Configuration.Location] {
    roles.contains(.queueProcessor) ? configuration.replication.locations.filter { !$0.isDisabled } : []
  }

  /// Locations that are controlled from here and run elsewhere, or nowhere.
  var observedLocations: [LocationKey] {
    let idle = configuration.replication.locations.filter { $0.isDisabled || !roles.contains(.queueProcessor) }
    return idle.map { LocationKey(.crr, $0.site) } + configuration.ingestion.sources.map { LocationKey(.ingestion, $0.location) }
      + configuration.lifecycleLocations.map { LocationKey(.lifecycle, $0) }
  }

  /// Where probes are answered besides the API: each role that has a `probeServer` and runs here; one that two share once.
  var probes: [HostPort] {
    let queue = roles.contains(.queueProcessor) ? configuration.replication.queueProcessor.probe : nil
    let status = roles.contains(.statusProcessor) ? configuration.replication.statusProcessor.probe : nil
    return queue == status ? [queue].compactMap { $0 } : [queue, status].compactMap { $0 }
  }

  /// Of every controlled location, in the order of the configuration.
  var names: [ControlledService: [String]] {
    [
      .crr: configuration.replication.locations.map(\.site), .ingestion: configuration.ingestion.sources.map(\.location),
      .lifecycle: configuration.lifecycleLocations,
    ]
  }

  /// What is listed and followed; nil when entries come from elsewhere.
  var populatedTree: Tree? {
    guard roles.contains(.populator), usesEmbeddedBroker else { return nil }
    if let tree { return tree }
    guard case .file(let path)? = configuration.replication.source else { return nil }
    return Tree(sourcePath: path, naming: .bucketPerDirectory, followsDeletes: true)
  }

  /// Where the failed list of a location is kept on this node.
  func stateRoot(of site: String) -> String { stateRoots[site] ?? "\(stateDirectory)/locations/\(site)" }

  /// The topic of a location. In the embedded broker each has its own, so that a paused one fills only its own window.
  func topic(of site: String) -> String {
    let topic = configuration.kafka.topic(configuration.replication.topic)
    return usesEmbeddedBroker ? "\(topic).\(site)" : topic
  }

  /// Where the results of copies are published; nil where they are kept by this node itself.
  var statusTopic: String? {
    usesEmbeddedBroker ? nil : configuration.kafka.topic(configuration.replication.statusTopic)
  }

  var failedTopic: String { configuration.kafka.topic(configuration.replication.failedTopic) }
  var metricsTopic: String { configuration.kafka.topic(configuration.metricsTopic) }
  var deadLetterTopic: String { configuration.kafka.topic(configuration.replication.deadLetterTopic) }
}

/// Why a node could not start or had to stop.
struct NodeFailure: Error, CustomStringConvertible {
  let description: String
  /// To start again would not mend it: the configuration is wrong, here or on another node.
  let isConfiguration: Bool

  init(_ description: String, isConfiguration: Bool = false) {
    self.description = description
    self.isConfiguration = isConfiguration
  }
}
