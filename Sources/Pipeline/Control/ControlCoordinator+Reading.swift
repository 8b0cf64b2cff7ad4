// Reads: what an operator is told. From memory where it is proven current, from the store where it is not, and from the last
// known state, saying how old it is, where the store is away.
internal import PipelineCore
internal import Reactor

extension ControlCoordinator {
  /// How long the answer of a reading counts where no watch has proven anything yet.
  private static let readingHolds = Duration.seconds(1)

  /// How well the desired state of a location is known here. - Thread: reactor.
  public func freshness(of key: LocationKey) -> StateFreshness {
    guard let location = locations[key] else { return .unknown }
    if store.connection.isConnected {
      if location.knowledge.isConfirmed { return .current }
      guard let reading = location.lastReading, reactor.now - reading.at < Self.readingHolds else { return .unconfirmed }
      if reading.isAnswered { return .current }
    }
    return location.knowledge.stored == nil ? .unknown : .stale(seconds: age(of: location))
  }

  /// The desired state; for a location that nobody has stored yet what it starts with. What is stored and cannot be read is not
  /// replicated, so it is told as paused (one such location does not spoil the answer for the others, as Backbeat's did).
  /// - Thread: reactor.
  public func desiredState(of key: LocationKey) -> PauseState {
    guard let location = locations[key] else { return PauseState(paused: true) }
    return location.desired
      ?? (location.knowledge.isUnreadable ? PauseState(paused: true) : PauseState(location.knowledge.initial))
  }

  /// One location in the whole deployment; nil if it is not configured on this node. - Thread: reactor.
  public func overview(of key: LocationKey) -> LocationOverview? { locations[key]?.overview() }

  /// Reads what is `unconfirmed` among the locations given, behind a sync.
  /// - Thread: reactor. The completion may be called before this returns, and is called within `ControlLimits.confirmMax`.
  public func confirm(_ keys: [LocationKey], _ completion: @escaping () -> Void) {
    let open = keys.compactMap { freshness(of: $0) == .unconfirmed ? locations[$0] : nil }
    guard !open.isEmpty else { return completion() }
    var openCount = open.count
    for location in open {
      readThrough(location) {
        openCount -= 1
        if openCount == 0 { completion() }
      }
    }
  }

  /// The desired states of the locations given, read where they are not proven current.
  /// - Thread: reactor. The completion may be called before this returns, and is called within `ControlLimits.confirmMax`.
  public func desiredStates(of keys: [LocationKey], _ completion: @escaping (PauseStatesAnswer) -> Void) {
    confirm(keys) { [weak self] in
      guard let self else { return }
      var states: [LocationKey: PauseState] = [:]
      var staleSeconds: Int64?
      for key in keys {
        switch freshness(of: key) {
        case .current: break
        case .stale(let seconds): staleSeconds = max(staleSeconds ?? 0, seconds)
        case .unknown, .unconfirmed:
          return completion(.unavailable("state store not reachable, and the state of \(key.location) was never read"))
        }
        states[key] = desiredState(of: key)
      }
      completion(.states(states, staleSeconds: staleSeconds))
    }
  }

  private func readThrough(_ location: ControlledLocation, _ completion: @escaping () -> Void) {
    var isEnded = false
    let end = { [reactor] (isAnswered: Bool) in
      guard !isEnded else { return }
      isEnded = true
      location.lastReading = (reactor.now, isAnswered)
      completion()
    }
    let timer = reactor.schedule(after: limits.confirmMax) { _ in end(false) }
    store.read(location.key) { [weak self] result in
      self?.reactor.cancel(timer)
      guard case .success(let entry) = result else { return end(false) }
      self?.observe(StateReading(entry), at: location)
      end(true)
    }
  }

  private func age(of location: ControlledLocation) -> Int64 {
    if let confirmedAt = location.confirmedAt { return (reactor.now - confirmedAt).components.seconds }
    return max(0, (clock.wallMs() - (location.keptAtMs ?? 0)) / 1_000)
  }
}
