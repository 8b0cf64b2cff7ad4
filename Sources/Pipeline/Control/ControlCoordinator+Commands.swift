// Operators' commands: store, then publish, then wait for the nodes, then answer. In this order and no other: nothing is
// published that is not durable, and nothing is answered that a reader at any live node could contradict.
internal import Logging
internal import PipelineCore
internal import Reactor

extension ControlCoordinator {
  /// Collects the answers of one command at several locations.
  private final class Gathering {
    var openCount: Int
    var failures: [(key: LocationKey, why: String, maybe: Bool)] = []
    var allReached = true
    let keys: [LocationKey]

    init(_ keys: [LocationKey]) {
      self.keys = keys
      openCount = keys.count
    }
  }

  /// Carries out `command` at every location given.
  /// - Parameter wait: how long to wait until every live node is drained; nil: not at all. For `pause` only.
  /// - Thread: reactor. - Blocking: never.
  /// - Answers within `ControlLimits.confirmMax + propagateMax`, or `confirmMax + wait`.
  public func change(
    _ command: StateCommand, at keys: [LocationKey], wait: Duration? = nil, _ completion: @escaping (ChangeOutcome) -> Void
  ) {
    let gathering = Gathering(keys)
    if keys.isEmpty {
      completion(wait == nil ? .done : .drained([]))
      return
    }
    for key in keys {
      guard let location = locations[key] else {
        ended(gathering, key, failure: ("not configured on this node", false), wait, completion)
        continue
      }
      if case .pause = command { announcePause(at: location) }
      run(command, at: location, within: limits.confirmMax) { [weak self] outcome in
        guard let self else { return }
        switch outcome {
        case .failed(let why, let maybe): ended(gathering, key, failure: (why, maybe), wait, completion)
        case .stored(let entry, let stored), .unchanged(let entry, let stored):
          if isPublished(command, stored) { publish(command, version: entry.version, at: location) }
          awaitNodes(entry.version, wait, at: location) { [weak self] reached in
            if !reached { gathering.allReached = false }
            self?.ended(gathering, key, failure: nil, wait, completion)
          }
        }
      }
    }
  }

  /// Runs a command and takes its result as an observation, so that this node acts before anybody is told.
  func run(
    _ command: StateCommand, at location: ControlledLocation, within limit: Duration,
    _ completion: @escaping (CommandMachine.Outcome) -> Void = { _ in }
  ) {
    let knowledge = location.knowledge
    location.runner.run(
      command, initial: knowledge.stored ?? knowledge.initial, within: limit
    ) { [weak self] outcome in
      self?.logStored(command, outcome, at: location)
      switch outcome {
      case .stored(let entry, let stored), .unchanged(let entry, let stored):
        self?.observe(.entry(entry, stored), at: location)
      case .failed: break
      }
      completion(outcome)
    }
  }

  /// Who reads the log knows from it which command made which version, and when it was durable (`ns`: CLOCK_MONOTONIC, the same for
  /// all processes of a machine).
  private func logStored(_ command: StateCommand, _ outcome: CommandMachine.Outcome, at location: ControlledLocation) {
    guard case .stored(let entry, _) = outcome else { return }
    log.info(
      "stored",
      metadata: [
        "location": "\(location.key)", "command": "\(command.name)", "version": "\(entry.version.number)",
        "ns": "\(Instant.nowUncached().ns)",
      ])
  }

  /// A schedule for an enabled location is not stored, so nothing is said of it either.
  private func isPublished(_ command: StateCommand, _ stored: StoredState) -> Bool {
    if case .schedule = command { return stored.isPaused }
    return true
  }

  // MARK: Waiting for the nodes

  private func awaitNodes(
    _ version: StateVersion, _ wait: Duration?, at location: ControlledLocation, _ completion: @escaping (Bool) -> Void
  ) {
    guard !location.isRemoved else { return completion(false) }
    let goal: ControlWaiter.Goal = wait == nil ? .allActOn : .allDrained
    if isReached(goal, version, at: location) { return completion(true) }
    // Without a node there is nothing to wait for, and a location that somebody resumed meanwhile will not drain.
    if goal == .allDrained, location.nodes.running.isEmpty || location.desired?.paused == false { return completion(false) }
    waiterCount += 1
    let id = waiterCount
    let timer = reactor.schedule(after: wait ?? limits.propagateMax) { [weak location] _ in
      guard let location, let index = location.waiters.firstIndex(where: { $0.id == id }) else { return }
      location.waiters.remove(at: index).completion(false)
    }
    location.waiters.append(
      ControlWaiter(id: id, goal: goal, version: version) { [weak self] reached in
        self?.reactor.cancel(timer)
        completion(reached)
      })
  }

  private func isReached(_ goal: ControlWaiter.Goal, _ version: StateVersion, at location: ControlledLocation) -> Bool {
    switch goal {
    case .allActOn: location.nodes.allActOn(version)
    case .allDrained: location.nodes.allDrained(by: version)
    }
  }

  /// Something changed at a location: whoever waited for it is answered, and who has drained learns that all have.
  func checkWaiters(of location: ControlledLocation) {
    if let version = location.knowledge.delivered, location.desired?.paused == true, location.nodes.allDrained(by: version) {
      location.sink?.allNodesDrained()
    }
    guard !location.waiters.isEmpty else { return }
    let isResumed = location.desired?.paused == false
    var open: [ControlWaiter] = []
    var ended: [(ControlWaiter, Bool)] = []
    for waiter in location.waiters {
      if isReached(waiter.goal, waiter.version, at: location) {
        ended.append((waiter, true))
      } else if waiter.goal == .allDrained, isResumed || location.nodes.running.isEmpty {
        ended.append((waiter, false))
      } else {
        open.append(waiter)
      }
    }
    location.waiters = open
    for (waiter, reached) in ended { waiter.completion(reached) }
  }

  // MARK: Answering

  private func ended(
    _ gathering: Gathering, _ key: LocationKey, failure: (why: String, maybe: Bool)?, _ wait: Duration?,
    _ completion: (ChangeOutcome) -> Void
  ) {
    if let failure { gathering.failures.append((key, failure.why, failure.maybe)) }
    gathering.openCount -= 1
    guard gathering.openCount == 0 else { return }
    completion(outcome(of: gathering, wait))
  }

  private func outcome(of gathering: Gathering, _ wait: Duration?) -> ChangeOutcome {
    if !gathering.failures.isEmpty {
      let maybe = gathering.failures.contains { $0.maybe }
      let failed = gathering.failures.map { "\($0.key.location): \($0.why)" }.sorted().joined(separator: "; ")
      return .unavailable(description: (maybe ? "outcome unknown; " : "") + failed, outcomeUnknown: maybe)
    }
    guard wait != nil else { return .done }
    let overviews = gathering.keys.compactMap { locations[$0]?.overview() }
    return gathering.allReached ? .drained(overviews) : .draining(overviews)
  }
}
