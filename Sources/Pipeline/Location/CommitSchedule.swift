// When a location commits next, and which answer its machine waits for. Values only: LocationController+Commits decides.
internal import Reactor

struct CommitSchedule {
  enum Next {
    case none
    case regular(TimerToken)
    /// Much was done since the last.
    case soon(TimerToken)
  }

  var next = Next.none
  var lastAt: Instant
  /// Entries worked off then, of all there ever were.
  var workedAtLast: UInt64 = 0
  /// Of the commit the machine waits for.
  var ticket: UInt32?
  /// Set while it does.
  var answerTimer: TimerToken?

  init(_ now: Instant) { lastAt = now }

  var nextTimer: TimerToken? {
    switch next {
    case .none: nil
    case .regular(let timer), .soon(let timer): timer
    }
  }
}
