// What can be asked of a location, as functions of its stored state. Everything that changes a stored state goes through here:
// operators' calls, foreign messages, schedules that fire, and the restoring of a state that was lost. What an order does to the
// JSON is `StoredState`'s business.
//
// Invariant: a command is a function of the state it is applied to and of nothing else (no clock), so applying it again after a
// lost race is right, and applying it to its own result changes nothing.
public import PipelineCore

/// A stored state as far as it concerns us. Times are Unix ms.
public struct PauseState: Hashable, Sendable {
  public var paused: Bool
  public var resumeAtMs: Int64?

  public init(paused: Bool, resumeAtMs: Int64? = nil) {
    self.paused = paused
    self.resumeAtMs = resumeAtMs
  }

  public init(_ stored: StoredState) { self.init(paused: stored.isPaused, resumeAtMs: stored.scheduledResumeMs) }
}

public enum StateCommand: Hashable, Sendable {
  /// Pauses and cancels any scheduled resume, also when paused already (the documents' rule, not Backbeat's).
  case pause
  /// Resumes now and cancels any scheduled resume.
  case resume
  /// Sets or replaces the scheduled resume of a paused location; does nothing to an enabled one.
  case schedule(atMs: Int64)
  case unschedule
  /// A schedule that is due: resumes if exactly this schedule is still set.
  case fire(atMs: Int64)
  /// Puts a state back that was lost with its node, if the node made since is still the one that was seen.
  case restore(StoredState, over: StateVersion)

  /// One word, for logs.
  var name: String {
    switch self {
    case .pause: "pause"
    case .resume: "resume"
    case .schedule: "schedule"
    case .unschedule: "unschedule"
    case .fire: "fire"
    case .restore: "restore"
    }
  }

  /// - Returns: the state to store; nil if there is nothing to change.
  public func applied(to current: StoredState, at version: StateVersion?) -> StoredState? {
    if case .restore(let lost, let seen) = self { return version == seen && lost != current ? lost : nil }
    if case .fire(let atMs) = self, current.scheduledResumeMs != atMs { return nil }
    guard let action else { return nil }
    var next = current
    // Every schedule counts as one in the future: whether it is due is found out by the timer it sets.
    return next.apply(action, nowMs: .min) ? next : nil
  }

  /// The order on the bus that says the same.
  var action: ControlMessage.Action? {
    switch self {
    case .pause: .pause
    case .resume, .fire: .resume
    case .schedule(let atMs): .schedule(atMs: atMs)
    case .unschedule: .unschedule
    case .restore: nil
    }
  }
}

extension StoredState {
  /// What a location starts with that nobody knows: ingestion starts paused (contract section 5).
  static func initial(_ service: ControlledService) -> StoredState { StoredState(paused: service == .ingestion) }
}

/// What a reading of the store found, understood.
enum StateReading: Hashable, Sendable {
  case absent
  case entry(StoredEntry, StoredState)
  /// There is text, and it is no state. A command replaces it; there is nothing to preserve.
  case unreadable(StoredEntry, String)

  init(_ entry: StoredEntry?) {
    guard let entry else {
      self = .absent
      return
    }
    do throws(JSONValue.Malformed) {
      self = .entry(entry, try StoredState(parsing: entry.json))
    } catch {
      self = .unreadable(entry, error.description)
    }
  }
}
