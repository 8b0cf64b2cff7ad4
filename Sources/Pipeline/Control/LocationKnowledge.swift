// What this node knows of one location's stored state, and what it does about what it sees: act, keep, make again, or wait.
//
// Invariant: nothing is handed to the location before the store itself has been read (`deliver` never comes from the disk
// alone), and within one incarnation of the stored node knowledge only moves forward.
//
// A node that vanished is made again from the last known state; one that somebody made anew with `paused: false` while this node
// knew `paused: true` is put back ("paused wins between nodes"): such a node was made by one that knew nothing. Once anybody has
// written to it again (a version other than 0), it is what they wanted and is taken as it is.
//
// Pure: no clock, no store.
internal import PipelineCore

struct LocationKnowledge: Sendable {
  enum Event: Sendable {
    /// Before the store is there: what was kept from an earlier run.
    case loaded(StoredEntry, StoredState)
    case observed(StateReading)
    /// `absent` was seen, nothing was known, and the other nodes have had their time to make it.
    case graceEnded
    case connectionLost
  }

  enum Action: Hashable, Sendable {
    /// Act on it: the location, its schedule, its report. Never repeated for the same version.
    case deliver(PauseState, StateVersion)
    /// Keep it for the next run.
    case keep(StoredEntry)
    /// Make the entry, unless somebody else does first.
    case create(json: [UInt8])
    /// Call `graceEnded` in a while.
    case startGrace
    /// Put the lost state back over the new node.
    case restore(StoredState, over: StateVersion)
    case complainUnreadable(StoredEntry, String)
  }

  private enum Absence {
    case no
    /// Seen, and the others may still know the location.
    case inGrace
    /// Seen, and nobody has made the entry.
    case accepted
  }

  let initial: StoredState
  private(set) var entry: StoredEntry?
  private(set) var stored: StoredState?
  var desired: PauseState? { stored.map { PauseState($0) } }
  /// True exactly when the store has told this state since the connection was last made: it is what a reader may be told.
  private(set) var isConfirmed = false
  /// The last thing delivered.
  private(set) var delivered: StateVersion?
  private var absence = Absence.no
  private var complainedOf: StateVersion?

  /// Whether the entry that is there now holds no state.
  var isUnreadable: Bool { complainedOf != nil && !isConfirmed && absence == .no }

  init(initial: StoredState) { self.initial = initial }

  mutating func handle(_ event: Event) -> [Action] {
    switch event {
    case .loaded(let entry, let stored):
      if self.entry == nil { (self.entry, self.stored) = (entry, stored) }
      return []
    case .observed(.absent): return observedAbsent()
    case .observed(.unreadable(let entry, let why)):
      absence = .no
      // Not confirmed: what is known is older than what is there.
      isConfirmed = false
      guard complainedOf != entry.version else { return [] }
      complainedOf = entry.version
      return [.complainUnreadable(entry, why)]
    case .observed(.entry(let entry, let stored)): return observed(entry, stored)
    case .graceEnded:
      guard absence == .inGrace else { return [] }
      absence = .accepted
      return create()
    case .connectionLost:
      isConfirmed = false
      return []
    }
  }

  private mutating func observedAbsent() -> [Action] {
    isConfirmed = false
    switch absence {
    case .no where entry == nil:
      absence = .inGrace
      return [.startGrace]
    case .no:
      absence = .accepted
      return create()
    case .inGrace: return []
    case .accepted: return create()  // seen again: the attempt before has failed
    }
  }

  private func create() -> [Action] { [.create(json: entry?.json ?? initial.bytes)] }

  private mutating func observed(_ seen: StoredEntry, _ state: StoredState) -> [Action] {
    absence = .no
    if let entry, seen.version.isOlder(than: entry.version) { return [] }
    if let entry, let stored, stored.isPaused, !state.isPaused, seen.version.number == 0,
      seen.version.epoch != entry.version.epoch
    {
      return [.restore(stored, over: seen.version)]
    }
    isConfirmed = true
    complainedOf = nil
    let isNews = entry != seen
    (entry, stored) = (seen, state)
    var actions: [Action] = []
    if delivered != seen.version {
      delivered = seen.version
      actions.append(.deliver(PauseState(state), seen.version))
    }
    if isNews { actions.append(.keep(seen)) }
    return actions
  }
}
