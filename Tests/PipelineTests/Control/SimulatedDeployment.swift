import Logging
import Pipeline
import PipelineCore
import Reactor
import TestSupport
import Testing

/// Stands for a location's controller: takes entries when allowed, drains when told by the test.
final class SimulatedLocation: LocationSink {
  /// How often it was told that every node has drained.
  var drainedCount = 0
  /// How often a pause was announced to it.
  private(set) var announcedCount = 0
  let key: LocationKey
  /// What `desiredChanged` said, newest last.
  private(set) var told: [Bool] = []
  private(set) var versions: [StateVersion] = []
  /// Entries that a pause finds taken. With 0 it drains at once.
  var inFlightAtPause = 0
  private(set) var report = LocationReport(state: .enabled, inFlight: 0, sinceMs: 0)
  weak var coordinator: ControlCoordinator?

  init(key: LocationKey) { self.key = key }

  var isPaused: Bool? { told.last }

  func allNodesDrained() { drainedCount += 1 }

  func pauseAnnounced() { announcedCount += 1 }

  func desiredChanged(paused: Bool, version: StateVersion) {
    told.append(paused)
    versions.append(version)
    if !paused { return say(.enabled, 0) }
    if report.state == .disabled { return }
    say(inFlightAtPause > 0 ? .pausing : .disabled, inFlightAtPause)
  }

  func say(_ state: EffectiveState, _ inFlight: Int) {
    report = LocationReport(state: state, inFlight: inFlight, sinceMs: WallClock.nowMs())
    coordinator?.locationReported(key, report)
  }
}

/// One node: a coordinator with its own store session and bus connection.
final class SimulatedNode {
  let id: String
  let store: SimulatedStore
  let bus: LocalBus
  let coordinator: ControlCoordinator
  private(set) var locations: [LocationKey: SimulatedLocation] = [:]

  init(_ id: String, in deployment: SimulatedDeployment, kept: KeptStates? = nil) {
    self.id = id
    store = deployment.ensemble.store(nodeId: id)
    bus = LocalBus(reactor: deployment.reactor, exchange: deployment.exchange)
    coordinator = ControlCoordinator(
      reactor: deployment.reactor, nodeId: id, store: store, bus: bus, kept: kept, limits: deployment.limits,
      clock: deployment.clock,
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  func add(_ key: LocationKey, isObserver: Bool = false) {
    if isObserver { return coordinator.add(key, sink: nil) }
    let location = SimulatedLocation(key: key)
    location.coordinator = coordinator
    locations[key] = location
    coordinator.add(key, sink: location)
  }

  subscript(key: LocationKey) -> SimulatedLocation { locations[key]! }

  /// As SIGKILL.
  func die() {
    store.die()
    bus.stop {}
    coordinator.stop {}
  }
}

/// Several nodes on one reactor around a simulated ensemble and an exchange.
final class SimulatedDeployment {
  let reactor: Reactor
  let ensemble: SimulatedEnsemble
  let exchange = LocalExchange()
  var limits = ControlLimits()
  /// Added to the wall clock of every node.
  var wallStepMs: Int64 = 0
  private(set) var nodes: [SimulatedNode] = []
  let key = LocationKey(.crr, "aws-east")
  let other = LocationKey(.crr, "archive")

  init() throws {
    reactor = try Reactor()
    ensemble = SimulatedEnsemble(reactor: reactor)
    limits.graceForOthers = .milliseconds(60)
    limits.auditPeriod = .milliseconds(250)
    limits.foreignTurn = .milliseconds(80)
    limits.confirmMax = .milliseconds(400)
    limits.propagateMax = .milliseconds(250)
  }

  var clock: ControlClock {
    let system = ControlClock.system
    return ControlClock(wallMs: { [weak self] in WallClock.nowMs() + (self?.wallStepMs ?? 0) }, bootMs: system.bootMs)
  }

  @discardableResult
  func startNode(_ id: String, keys: [LocationKey]? = nil, kept: KeptStates? = nil, observer: Bool = false) -> SimulatedNode {
    let node = SimulatedNode(id, in: self, kept: kept)
    nodes.append(node)
    for key in keys ?? [key] { node.add(key, isObserver: observer) }
    node.coordinator.start()
    return node
  }

  func startNodes(_ ids: [String], keys: [LocationKey]? = nil) -> Bool {
    for id in ids { startNode(id, keys: keys) }
    return runUntil { self.nodes.allSatisfy { $0.coordinator.isReady && $0.coordinator.busState == .ready } && self.isReported }
  }

  /// Every node sees every node's report.
  var isReported: Bool {
    nodes.allSatisfy { node in node.locations.keys.allSatisfy { node.coordinator.overview(of: $0)?.nodes.count == nodes.count } }
  }

  func kill(_ node: SimulatedNode) {
    nodes.removeAll { $0 === node }
    node.die()
  }

  func runUntil(_ condition: () -> Bool) -> Bool { reactor.runUntil(condition) }

  /// Turns the loop for a while: to show that something does not happen.
  func run(for duration: Duration) {
    let end = Instant.nowUncached() + duration
    _ = reactor.runUntil { Instant.nowUncached() > end }
  }

  func change(
    _ command: StateCommand, at keys: [LocationKey]? = nil, by node: SimulatedNode, wait: Duration? = nil
  ) -> ChangeOutcome? {
    var found: ChangeOutcome?
    node.coordinator.change(command, at: keys ?? [key], wait: wait) { found = $0 }
    _ = runUntil { found != nil }
    return found
  }

  func states(by node: SimulatedNode, of keys: [LocationKey]? = nil) -> PauseStatesAnswer? {
    var found: PauseStatesAnswer?
    node.coordinator.desiredStates(of: keys ?? [key]) { found = $0 }
    _ = runUntil { found != nil }
    return found
  }

  /// A message as a foreign node sends it.
  func publishForeign(_ text: String, at key: LocationKey? = nil) {
    publish(bytes(text), on: ControlChannels().channel(key ?? self.key)!)
  }

  func publish(_ payload: [UInt8], on channel: String) {
    let bus = LocalBus(reactor: reactor, exchange: exchange)
    let observer = RecordingBusObserver()
    bus.start(observer: observer)
    var isDone = false
    bus.publish(channel: channel, payload: payload) { _ in isDone = true }
    _ = runUntil { isDone }
    bus.stop {}
  }

  var isPausedEverywhere: Bool { nodes.allSatisfy { $0[key].isPaused == true } }
  var isEnabledEverywhere: Bool { nodes.allSatisfy { $0[key].isPaused == false } }
}
