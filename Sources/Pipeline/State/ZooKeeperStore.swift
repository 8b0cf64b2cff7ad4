// The state store of a deployment: ZooKeeper, with Backbeat's paths.
//
// Invariant: a watched node is always either being read or has a watch set by its last reading; after each connection every one
// is read again behind a `sync`, so that a server that lags behind cannot show this node an older state than it has seen.
//
// What a compare-and-set proves is the count of writes; ZooKeeper has no way to ask for the incarnation as well. A node that was
// deleted and made again with just as many writes would be taken for the old one; the answer then carries its real incarnation,
// which the callers above compare.
//
// Files: ZooKeeperClient (session), ZooKeeperWatches (reading and watching), ZooKeeperReports (nodes).
public import PipelineCore
public import Reactor

public final class ZooKeeperStore: StateStore {
  private let reactor: Reactor
  private let client: ZooKeeperClient
  private let watches: ZooKeeperWatches
  private let reports: ZooKeeperReports
  private weak var observer: (any StateStoreObserver)?

  public init(reactor: Reactor, settings: ZooKeeperSettings, nodeId: String) {
    self.reactor = reactor
    client = ZooKeeperClient(reactor: reactor, settings: settings)
    watches = ZooKeeperWatches(client: client)
    reports = ZooKeeperReports(reactor: reactor, client: client, nodeId: nodeId)
  }

  public var connection: StateStoreConnection { client.connection }
  public var isNodeIdTaken: Bool { reports.isTaken }
  public var sessionTimeout: Duration { client.sessionTimeout }

  public func start(observer: any StateStoreObserver) {
    self.observer = observer
    client.onConnection = { [weak self] connection in self?.connectionBecame(connection) }
    client.onWatch = { [weak self] path in
      self?.watches.fired(path)
      self?.reports.fired(path)
    }
    watches.onEntry = { [weak self] key, result in
      guard let self else { return }
      switch result {
      case .success(let entry): self.observer?.stateStore(self, observed: entry, of: key)
      case .failure(let error): self.observer?.stateStore(self, cannotRead: key, because: error)
      }
    }
    reports.onReports = { [weak self] key, list in
      if let self { self.observer?.stateStore(self, reports: list, of: key) }
    }
    reports.onTaken = { [weak self] key in
      if let self { self.observer?.stateStore(self, nodeIdTakenFor: key) }
    }
    reports.loadSession { [weak self] in
      if let self, client.connection != .closed { client.start() }
    }
  }

  public func stop(_ completion: @escaping () -> Void) {
    reports.stop()
    client.stop(completion)
  }

  private func connectionBecame(_ connection: StateStoreConnection) {
    observer?.stateStore(self, connectionBecame: connection)
    watches.connectionBecame(connection)
    reports.connectionBecame(connection)
  }

  // MARK: Entries

  public func watch(_ key: LocationKey) {
    watches.watch(key)
    reports.watch(key)
  }

  public func unwatch(_ key: LocationKey) {
    watches.unwatch(key)
    reports.unwatch(key)
  }

  public func refresh(_ key: LocationKey) { watches.refresh(key, sync: false) }

  public func read(_ key: LocationKey, _ completion: @escaping (Result<StoredEntry?, StateStoreError>) -> Void) {
    let path = client.path(StatePaths.state(key))
    // Answered in the order given: the reading is done behind the sync without waiting for its answer here.
    client.sync(path) { _ in }
    client.get(path, watch: false) { answer in completion(answer.entry) }
  }

  public func create(_ key: LocationKey, json: [UInt8], _ completion: @escaping (Result<StateVersion, StateStoreError>) -> Void) {
    let path = client.path(StatePaths.state(key))
    client.createDeep(path, json, isEphemeral: false) { [weak self] answer in
      guard let self, answer.isOK else { return completion(.failure(Self.creationError(answer.code))) }
      // Older servers do not answer a create with the node's numbers.
      client.get(path, watch: false) { answer in
        guard let stat = answer.stat else { return completion(.failure(.outcomeUnknown(ZooKeeperCode.text(answer.code)))) }
        completion(.success(StateVersion(epoch: stat.incarnation, number: 0)))
      }
    }
  }

  public func replace(
    _ key: LocationKey, json: [UInt8], expecting expected: StateVersion,
    _ completion: @escaping (Result<StateVersion, StateStoreError>) -> Void
  ) {
    client.set(client.path(StatePaths.state(key)), json, version: expected.number) { answer in
      guard answer.isOK, let stat = answer.stat else {
        return completion(.failure(ZooKeeperCode.error(answer.code, isWrite: true)))
      }
      completion(.success(StateVersion(epoch: stat.incarnation, number: stat.version)))
    }
  }

  private static func creationError(_ code: Int32) -> StateStoreError {
    guard code == ZooKeeperCode.noNode else { return ZooKeeperCode.error(code, isWrite: true) }
    return .refused("the chroot of the connection string does not exist (zookeeper.autoCreateNamespace would make it)")
  }

  // MARK: Reports

  public func publishReport(_ key: LocationKey, json: [UInt8]) { reports.publish(key, json) }
  public func withdrawReport(_ key: LocationKey) { reports.withdraw(key) }
}

extension ZooKeeperClient {
  func path(_ path: String) -> String { settings.chroot + path }
}

extension ZooKeeperAnswer {
  /// The answer to a reading of a state.
  var entry: Result<StoredEntry?, StateStoreError> {
    if code == ZooKeeperCode.noNode { return .success(nil) }
    guard isOK, let stat else { return .failure(ZooKeeperCode.error(code, isWrite: false)) }
    return .success(StoredEntry(json: value, version: StateVersion(epoch: stat.incarnation, number: stat.version)))
  }
}
