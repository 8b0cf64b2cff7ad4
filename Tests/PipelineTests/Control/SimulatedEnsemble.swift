import Pipeline
import PipelineCore
import Reactor
import TestSupport

/// A ZooKeeper in memory, on the test's own reactor: sessions, versions, watches, ephemerals, and the faults of the real one on
/// demand. Requests and answers of a session keep their order and take a random moment each.
final class SimulatedEnsemble {
  struct Node {
    var json: [UInt8]
    var version: StateVersion
  }

  let reactor: Reactor
  fileprivate let calls: TimedCalls
  var random: SeededGenerator
  var nodes: [LocationKey: Node] = [:]
  var reports: [LocationKey: [String: (report: RawNodeReport, session: Int64)]] = [:]
  var zxid: Int64 = 1_000
  var sessionCount: Int64 = 0
  fileprivate(set) var stores: [SimulatedStore] = []
  /// The longest a message takes in one direction.
  var delayMaxMs: Int64 = 2
  /// How often each was asked for.
  var writeCount = 0

  init(reactor: Reactor, seed: UInt64 = testSeed) {
    self.reactor = reactor
    calls = TimedCalls(reactor)
    random = SeededGenerator(seed: seed)
  }

  func store(nodeId: String) -> SimulatedStore {
    let store = SimulatedStore(ensemble: self, nodeId: nodeId)
    stores.append(store)
    return store
  }

  var isUp = true {
    didSet {
      guard isUp != oldValue else { return }
      for store in stores { if isUp { store.connect() } else { store.disconnect() } }
    }
  }

  /// All data and all sessions are gone; counting starts from the beginning.
  func wipe() {
    nodes = [:]
    reports = [:]
    zxid = 10
    for store in stores { store.session = nil }
  }

  func text(_ key: LocationKey) -> String? { nodes[key].map { String(decoding: $0.json, as: UTF8.self) } }

  /// A write by somebody who is none of the stores.
  func put(_ key: LocationKey, _ json: String) {
    zxid += 1
    let next =
      nodes[key].map { StateVersion(epoch: $0.version.epoch, number: $0.version.number + 1) }
      ?? StateVersion(epoch: zxid, number: 0)
    nodes[key] = Node(json: Array(json.utf8), version: next)
    stateChanged(key)
  }

  func delete(_ key: LocationKey) {
    nodes[key] = nil
    stateChanged(key)
  }

  func delay() -> Duration { .microseconds(Int64.random(in: 0...delayMaxMs * 1_000, using: &random)) }

  fileprivate func entry(_ key: LocationKey) -> StoredEntry? {
    nodes[key].map { StoredEntry(json: $0.json, version: $0.version) }
  }

  fileprivate func stateChanged(_ key: LocationKey) { for store in stores { store.watchFired(key) } }

  fileprivate func reportsChanged(_ key: LocationKey) { for store in stores { store.reportsFired(key) } }

  func expire(_ session: Int64) {
    for key in reports.keys {
      let before = reports[key]!.count
      reports[key] = reports[key]!.filter { $0.value.session != session }
      if reports[key]!.count != before { reportsChanged(key) }
    }
  }
}

final class SimulatedStore: StateStore {
  private(set) var connection: StateStoreConnection = .connecting
  var isNodeIdTaken: Bool { false }
  var sessionTimeout: Duration { .seconds(1) }
  /// nil: the next connection makes a new one.
  var session: Int64?
  /// True: writes reach the ensemble, and their answers do not; the connection breaks instead.
  var losesNextAnswer = false
  /// True: changes are not told (a lost watch); refreshes still work.
  var losesWatches = false

  private let ensemble: SimulatedEnsemble
  private let nodeId: String
  private weak var observer: (any StateStoreObserver)?
  private var watched: Set<LocationKey> = []
  private var ownReports: [LocationKey: [UInt8]] = [:]
  /// Changes with every connection: what belongs to an older one is dropped.
  private var epoch = 0
  private var lastRequestAt = Instant(ns: 0)
  private var lastAnswerAt = Instant(ns: 0)
  private var open: [Int: (StateStoreError) -> Void] = [:]
  private var openCount = 0

  fileprivate init(ensemble: SimulatedEnsemble, nodeId: String) {
    self.ensemble = ensemble
    self.nodeId = nodeId
  }

  func start(observer: any StateStoreObserver) {
    self.observer = observer
    if ensemble.isUp { connect() }
  }

  func stop(_ completion: @escaping () -> Void) {
    disconnect()
    connection = .closed
    ensemble.stores.removeAll { $0 === self }
    if let session { ensemble.expire(session) }
    ensemble.reactor.schedule(after: .zero) { _ in completion() }
  }

  /// As a process that is killed: says nothing more, its session expires.
  func die() {
    disconnect()
    observer = nil
    ensemble.stores.removeAll { $0 === self }
    if let session { ensemble.expire(session) }
  }

  func connect() {
    guard !connection.isConnected, connection != .closed else { return }
    if session == nil {
      ensemble.sessionCount += 1
      session = ensemble.sessionCount
    }
    epoch += 1
    connection = .connected(session: session!)
    answer { store in
      store.observer?.stateStore(store, connectionBecame: store.connection)
      for (key, json) in store.ownReports { store.put(key, json) }
      for key in store.watched {
        store.watchFired(key)
        store.reportsFired(key)
      }
    }
  }

  func disconnect() {
    guard connection.isConnected else { return }
    epoch += 1
    connection = .lost
    let failed = open.sorted { $0.key < $1.key }
    open = [:]
    for (_, fail) in failed { fail(.outcomeUnknown("connection lost")) }
    ensemble.reactor.schedule(after: .zero) { [weak self] _ in
      guard let self, connection != .closed else { return }
      observer?.stateStore(self, connectionBecame: .lost)
    }
  }

  func expireSession() {
    if let session { ensemble.expire(session) }
    session = nil
    disconnect()
  }

  // MARK: Entries

  func watch(_ key: LocationKey) {
    watched.insert(key)
    refresh(key)
    request { store in store.reportsFired(key) }
  }

  func unwatch(_ key: LocationKey) { watched.remove(key) }

  func refresh(_ key: LocationKey) {
    request { store in
      let entry = store.ensemble.entry(key)
      store.answer { if $0.watched.contains(key) { $0.observer?.stateStore($0, observed: entry, of: key) } }
    }
  }

  func read(_ key: LocationKey, _ completion: @escaping (Result<StoredEntry?, StateStoreError>) -> Void) {
    call(isWrite: false, completion) { .success($0.entry(key)) }
  }

  func create(_ key: LocationKey, json: [UInt8], _ completion: @escaping (Result<StateVersion, StateStoreError>) -> Void) {
    call(isWrite: true, completion) { ensemble in
      guard ensemble.nodes[key] == nil else { return .failure(.alreadyExists) }
      ensemble.zxid += 1
      let version = StateVersion(epoch: ensemble.zxid, number: 0)
      ensemble.nodes[key] = .init(json: json, version: version)
      ensemble.stateChanged(key)
      return .success(version)
    }
  }

  func replace(
    _ key: LocationKey, json: [UInt8], expecting expected: StateVersion,
    _ completion: @escaping (Result<StateVersion, StateStoreError>) -> Void
  ) {
    call(isWrite: true, completion) { ensemble in
      guard let node = ensemble.nodes[key] else { return .failure(.notFound) }
      guard node.version.number == expected.number else { return .failure(.versionMismatch) }
      ensemble.zxid += 1
      ensemble.writeCount += 1
      let version = StateVersion(epoch: node.version.epoch, number: node.version.number + 1)
      ensemble.nodes[key] = .init(json: json, version: version)
      ensemble.stateChanged(key)
      return .success(version)
    }
  }

  func publishReport(_ key: LocationKey, json: [UInt8]) {
    ownReports[key] = json
    request { $0.put(key, json) }
  }

  func withdrawReport(_ key: LocationKey) {
    ownReports[key] = nil
    request { store in
      store.ensemble.reports[key]?[store.nodeId] = nil
      store.ensemble.reportsChanged(key)
    }
  }

  // MARK: Transport

  private func put(_ key: LocationKey, _ json: [UInt8]) {
    let report = RawNodeReport(nodeId: nodeId, json: json, writtenAtMs: WallClock.nowMs())
    ensemble.reports[key, default: [:]][nodeId] = (report, session ?? 0)
    ensemble.reportsChanged(key)
  }

  fileprivate func watchFired(_ key: LocationKey) {
    guard watched.contains(key), connection.isConnected, !losesWatches else { return }
    answer { store in
      // As the real one: the event says only that something changed; the value is what is there when it is read.
      store.refresh(key)
    }
  }

  fileprivate func reportsFired(_ key: LocationKey) {
    guard watched.contains(key), connection.isConnected else { return }
    answer { store in
      let reports = (store.ensemble.reports[key] ?? [:]).values.map(\.report).sorted { $0.nodeId < $1.nodeId }
      store.answer { $0.observer?.stateStore($0, reports: reports, of: key) }
    }
  }

  private func call<Value>(
    isWrite: Bool, _ completion: @escaping (Result<Value, StateStoreError>) -> Void,
    _ body: @escaping (SimulatedEnsemble) -> Result<Value, StateStoreError>
  ) {
    guard connection.isConnected else {
      ensemble.reactor.schedule(after: .zero) { _ in completion(.failure(.unavailable("not connected"))) }
      return
    }
    openCount += 1
    let id = openCount
    open[id] = { error in
      var told = error
      if !isWrite { told = .unavailable("connection lost") }
      completion(.failure(told))
    }
    request { store in
      let result = body(store.ensemble)
      if isWrite, store.losesNextAnswer {
        store.losesNextAnswer = false
        return store.disconnect()
      }
      store.answer { store in
        guard store.open.removeValue(forKey: id) != nil else { return }
        completion(result)
      }
    }
  }

  /// Towards the ensemble, in order.
  private func request(_ body: @escaping (SimulatedStore) -> Void) {
    later(&lastRequestAt, body)
  }

  /// Back to the client, in order.
  private func answer(_ body: @escaping (SimulatedStore) -> Void) {
    later(&lastAnswerAt, body)
  }

  private func later(_ last: inout Instant, _ body: @escaping (SimulatedStore) -> Void) {
    guard connection.isConnected else { return }
    last = max(last, Instant.nowUncached() + ensemble.delay()) + .nanoseconds(1)
    let epoch = epoch
    ensemble.calls.schedule(at: last) { [weak self] in
      guard let self, self.epoch == epoch else { return }
      body(self)
    }
  }
}

/// Calls at absolute times: two of them keep their order.
private final class TimedCalls: TimerTarget {
  let reactor: Reactor
  private var bodies: [UInt64: () -> Void] = [:]
  private var count: UInt64 = 0

  init(_ reactor: Reactor) { self.reactor = reactor }

  func schedule(at instant: Instant, _ body: @escaping () -> Void) {
    count += 1
    bodies[count] = body
    reactor.schedule(at: instant, target: self, payload: count)
  }

  func timerFired(_ reactor: Reactor, payload: UInt64) { bodies.removeValue(forKey: payload)?() }
}
