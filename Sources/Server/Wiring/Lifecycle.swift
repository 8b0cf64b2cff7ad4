// Running, stopping, abandoned, ended: which of two signals means what.

struct Lifecycle {
  private enum State {
    case running
    /// Entries finish, offsets are committed.
    case stopping
    /// Given up: what ran is done again at the next start.
    case abandoned
    case ended
  }

  enum StopAnswer { case begin, abandon, ignore }

  private var state = State.running

  mutating func stopRequested() -> StopAnswer {
    switch state {
    case .running:
      state = .stopping
      return .begin
    case .stopping: return .abandon
    case .abandoned, .ended: return .ignore
    }
  }

  /// - Returns: false if there is nothing to abandon any more.
  mutating func abandon() -> Bool {
    switch state {
    case .running, .stopping:
      state = .abandoned
      return true
    case .abandoned, .ended: return false
    }
  }

  mutating func ended() { if case .stopping = state { state = .ended } }

  var isStopping: Bool {
    switch state {
    case .running: false
    case .stopping, .abandoned, .ended: true
    }
  }
  var wasAbandoned: Bool { if case .abandoned = state { true } else { false } }
}
