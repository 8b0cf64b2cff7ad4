// Which state store and which control bus a node has: a directory and plain calls in embedded mode, else ZooKeeper and Redis of
// the deployment. Everything above works the same over both.
//
// Invariant: a node that shares its state with others keeps the last known one on its own disk, so that a store whose data was
// lost is made again from what the nodes know.
internal import Logging
internal import Pipeline
internal import Reactor

struct ControlPlane {
  let plan: NodePlan
  let reactor: Reactor
  let log: Logger

  /// - Blocking: not at all; both connect later. - Errors: a section that the mode needs and the configuration lacks.
  func makeCoordinator() throws(NodeFailure) -> ControlCoordinator {
    plan.isEmbedded ? embedded() : try external()
  }

  private var channels: ControlChannels {
    ControlChannels(
      replicationTopic: plan.configuration.replication.topic, ingestionTopic: plan.configuration.ingestion.topic)
  }

  private func embedded() -> ControlCoordinator {
    let store = DirectoryStore(reactor: reactor, root: "\(plan.stateDirectory)/state", nodeId: plan.configuration.nodeID)
    for (site, root) in plan.stateRoots { store.setRoot(root, for: LocationKey(.crr, site)) }
    var limits = ControlLimits()
    // Alone by construction: there is nobody to leave a missing state to.
    limits.graceForOthers = .zero
    return ControlCoordinator(
      reactor: reactor, nodeId: plan.configuration.nodeID, store: store,
      bus: LocalBus(reactor: reactor, exchange: LocalExchange()), channels: channels, limits: limits, log: log)
  }

  private func external() throws(NodeFailure) -> ControlCoordinator {
    guard let zookeeper = plan.configuration.zookeeper else { throw NodeFailure("zookeeper.connectionString is not configured") }
    guard let redis = plan.configuration.redis else { throw NodeFailure("redis is not configured") }
    let store = ZooKeeperStore(
      reactor: reactor, settings: ZooKeeperSettings(zookeeper, sessionDirectory: "\(plan.stateDirectory)/control"),
      nodeId: plan.configuration.nodeID)
    return ControlCoordinator(
      reactor: reactor, nodeId: plan.configuration.nodeID, store: store,
      bus: RedisBus(reactor: reactor, settings: RedisSettings(redis)), channels: channels,
      kept: KeptStates(reactor: reactor, directory: "\(plan.stateDirectory)/control"), log: log)
  }
}

extension ZooKeeperSettings {
  init(_ settings: Configuration.ZooKeeper, sessionDirectory: String) {
    self.init(
      connectionString: settings.hosts.map(\.description).joined(separator: ",") + settings.chroot,
      createsChroot: settings.autoCreateNamespace, digest: settings.digestCredential?.reveal(), sessionDirectory: sessionDirectory)
  }
}

extension RedisSettings {
  init(_ settings: Configuration.Redis) {
    let password = settings.password?.reveal() ?? ""
    switch settings.endpoint {
    case .host(let place):
      self.init(place: .server(RedisEndpoint(place)), password: password)
    case .sentinels(let places, let name, let sentinelPassword):
      self.init(
        place: .sentinels(places.map(RedisEndpoint.init), name: name), password: password,
        sentinelPassword: sentinelPassword?.reveal() ?? "")
    }
  }
}

extension RedisEndpoint {
  init(_ place: HostPort) { self.init(host: place.host, port: place.port) }
}
