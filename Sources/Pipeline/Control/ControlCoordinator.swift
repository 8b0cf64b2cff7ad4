// Pause, resume and schedules of every location on this node, over any state store and any control bus. It is what the routes
// call, what the location controllers obey and report to, and what makes the four promises of a 200 (contract section 4):
//
//   durable      a command is a compare-and-set on the stored state, confirmed before anything else happens
//   propagated   then published; nodes that do not hear it see their watch. A pause is announced before, so that nobody goes on
//                taking entries while the store's disks are at work
//   read your writes   the answer waits until every live node acts on the new version, a second at the most
//   convergent   every observation leads to the stored state; watches are re-read after each reconnect and audited
//
// Invariant: a location acts only on what the store itself has told (`deliver`). Messages with an origin never write; messages
// without one are carried out by one node.
//
// Files: +Commands (operators' calls and waiting), +Observing (store), +Messages (bus), +Reports (this node's own), +Reading.
public import Logging
public import Reactor

public final class ControlCoordinator {
  public let nodeId: String
  let reactor: Reactor
  let store: any StateStore
  let bus: any ControlBus
  let channels: ControlChannels
  let kept: KeptStates?
  let limits: ControlLimits
  let clock: ControlClock
  let log: Logger

  var locations: [LocationKey: ControlledLocation] = [:]
  var keysByChannel: [String: LocationKey] = [:]
  /// Whose announcements are heard, by their channel.
  var servicesByAnnouncements: [String: ControlledService] = [:]
  var waiterCount: UInt64 = 0
  public internal(set) var statistics = Statistics()
  /// Another number whenever a desired state, or how well it is known, may have changed.
  public internal(set) var revision: UInt64 = 0
  /// Another live session reports under this node's id: two nodes are configured alike, or this one's last life has not
  /// expired yet. Told again for each episode.
  public var onNodeIdTaken: ((LocationKey) -> Void)?
  private var auditTimer: TimerToken?
  private var isStopped = false

  public struct Statistics: Hashable, Sendable {
    public var messagesWaking = 0
    public var messagesForeign = 0
    public var messagesMalformed = 0
    public var publishFailures = 0
    public var schedulesFired = 0
  }

  /// - Parameter kept: nil where the store itself is on this node's disk.
  public init(
    reactor: Reactor, nodeId: String, store: any StateStore, bus: any ControlBus, channels: ControlChannels = ControlChannels(),
    kept: KeptStates? = nil, limits: ControlLimits = ControlLimits(), clock: ControlClock = .system, log: Logger
  ) {
    self.reactor = reactor
    self.nodeId = nodeId
    self.store = store
    self.bus = bus
    self.channels = channels
    self.kept = kept
    self.limits = limits
    self.clock = clock
    self.log = log
  }

  // MARK: Life

  /// Connects the store and the bus. Locations may be added before and after.
  public func start() {
    kept?.onFailure = { [log] key, why in
      log.warning("last known state not kept", metadata: ["location": "\(key)", "error": "\(why)"])
    }
    store.start(observer: self)
    bus.start(observer: self)
    scheduleAudit()
  }

  /// Withdraws this node's reports and ends. Commands still waiting fail first.
  public func stop(_ completion: @escaping () -> Void) {
    isStopped = true
    if let auditTimer { reactor.cancel(auditTimer) }
    for location in locations.values { retire(location) }
    locations = [:]
    keysByChannel = [:]
    bus.stop { [store, kept] in
      store.stop {
        if let kept { kept.stop(completion) } else { completion() }
      }
    }
  }

  /// Whether the store is connected and has told the state of every location: what `ready` means for the control plane.
  public var isReady: Bool { store.connection.isConnected && locations.values.allSatisfy { $0.knowledge.isConfirmed } }
  /// Locations whose stored state is not known to be current, by name: not read yet, or what is stored is no state.
  public var unreadLocations: [LocationKey] {
    locations.values.filter { !$0.knowledge.isConfirmed }.map(\.key).sorted { $0.description < $1.description }
  }
  /// Whether this node's reports cannot be written because another live session has them.
  public var isNodeIdTaken: Bool { store.isNodeIdTaken }
  /// How long the store takes to notice that a node has died.
  public var sessionTimeout: Duration { store.sessionTimeout }
  public var storeConnection: StateStoreConnection { store.connection }
  public var busState: ControlBusState { bus.state }

  // MARK: Locations

  /// Takes a location under control. - Parameter sink: nil on a node that only serves the API.
  public func add(_ key: LocationKey, sink: (any LocationSink)?) {
    precondition(locations[key] == nil, "location \(key) added twice")
    let runner = CommandRunner(reactor: reactor, store: store, key: key) { [weak self] in
      guard let knowledge = self?.locations[key]?.knowledge, knowledge.isConfirmed, let entry = knowledge.entry,
        let stored = knowledge.stored
      else { return nil }
      return .entry(entry, stored)
    }
    let location = ControlledLocation(key: key, channel: channels.channel(key), sink: sink, runner: runner)
    locations[key] = location
    revision += 1
    if let channel = location.channel { keysByChannel[channel] = key }
    if let subscription = subscription(for: location) { bus.subscribe(subscription) }
    if sink != nil { hearAnnouncements(of: key.service) }
    guard let kept else { return watch(location) }
    kept.load(key) { [weak self] content in
      guard let self, !location.isRemoved else { return }
      if let content, case .entry(let entry, let stored) = StateReading(content.entry) {
        location.keptAtMs = content.savedAtMs
        apply(location.knowledge.handle(.loaded(entry, stored)), to: location)
      }
      watch(location)
    }
  }

  /// Lets a location go; its stored state stays.
  public func remove(_ key: LocationKey) {
    guard let location = locations.removeValue(forKey: key) else { return }
    revision += 1
    retire(location)
    store.withdrawReport(key)
    store.unwatch(key)
    guard let channel = location.channel else { return }
    keysByChannel[channel] = nil
    // The pattern of ingestion serves its other locations as well.
    if case .channel = subscription(for: location) { bus.unsubscribe(.channel(channel)) }
  }

  private func hearAnnouncements(of service: ControlledService) {
    guard let channel = channels.announcements(service), servicesByAnnouncements[channel] == nil else { return }
    servicesByAnnouncements[channel] = service
    bus.subscribe(.channel(channel))
  }

  private func watch(_ location: ControlledLocation) {
    location.isLoaded = true
    store.watch(location.key)
  }

  /// Ingestion listens to a pattern, as Backbeat's populator does; the others to their channel.
  private func subscription(for location: ControlledLocation) -> ControlSubscription? {
    location.key.service == .ingestion ? channels.everyChannel(.ingestion) : location.channel.map { .channel($0) }
  }

  private func retire(_ location: ControlledLocation) {
    location.isRemoved = true
    for timer in [location.scheduleTimer, location.graceTimer, location.publishTimer] {
      if let timer { reactor.cancel(timer) }
    }
    location.runner.stop()
    let waiters = location.waiters
    location.waiters = []
    for waiter in waiters { waiter.completion(false) }
  }

  private func scheduleAudit() {
    auditTimer = reactor.schedule(after: limits.auditPeriod) { [weak self] _ in
      guard let self, !isStopped else { return }
      for location in locations.values where location.isLoaded { store.refresh(location.key) }
      heartbeat()
      scheduleAudit()
    }
  }
}
