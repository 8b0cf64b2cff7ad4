// One command on one location: read, apply, compare-and-set, again if somebody was faster, until it is stored, found to be
// stored already, or out of time.
//
// Invariant: `unchanged` is only ever answered after a reading that was begun after the command (a cached state may be older
// than what another node has acknowledged); and once a write may have been sent without an answer, the command ends well only
// through a later write that was answered.
//
// Pure: no clock, no store. The caller says when the time is over and counts nothing.
internal import PipelineCore

struct CommandMachine: Sendable {
  enum Event: Sendable {
    case begin(known: StateReading?)
    case readEnded(Result<StateReading, StateStoreError>)
    case writeEnded(Result<StateVersion, StateStoreError>)
    /// The store is connected (again), or it is time to try once more.
    case retry
    case timeIsOver
  }

  enum Action: Hashable, Sendable {
    case read
    case create(json: [UInt8])
    case replace(json: [UInt8], expecting: StateVersion)
    /// Call `retry` when the store is connected, or soon if it is.
    case awaitRetry
    case finish(Outcome)
  }

  enum Outcome: Hashable, Sendable {
    /// This command's write was acknowledged.
    case stored(StoredEntry, StoredState)
    /// The stored state was already as commanded.
    case unchanged(StoredEntry, StoredState)
    /// Not stored; `maybe`: a write may have been sent and may still be found to have happened.
    case failed(String, maybe: Bool)
  }

  enum State: Hashable, Sendable {
    case idle
    case reading
    case writing(StoredState)
    case waiting(String)
    case finished
  }

  let command: StateCommand
  /// What an absent or unreadable entry counts as: the last known state, or what a location starts with.
  let initial: StoredState
  private(set) var state: State = .idle
  /// True exactly when a write was given to the store and its answer was not definite.
  private(set) var maybeWritten = false

  init(_ command: StateCommand, initial: StoredState) {
    self.command = command
    self.initial = initial
  }

  mutating func handle(_ event: Event) -> Action? {
    switch (state, event) {
    case (.idle, .begin(let known)):
      guard let known, let write = write(over: known) else { return read() }
      return write
    case (.reading, .readEnded(.success(let reading))): return apply(reading)
    case (.reading, .readEnded(.failure(let error))): return wait(error)
    case (.writing(let stored), .writeEnded(.success(let version))):
      return finish(.stored(StoredEntry(json: stored.bytes, version: version), stored))
    case (.writing, .writeEnded(.failure(let error))): return writeFailed(error)
    case (.waiting, .retry): return read()
    case (.waiting(let why), .timeIsOver): return finish(.failed(why, maybe: maybeWritten))
    case (.reading, .timeIsOver): return finish(.failed("no answer in time", maybe: maybeWritten))
    case (.writing, .timeIsOver): return finish(.failed("no answer in time", maybe: true))
    case (.idle, .timeIsOver): return finish(.failed("no time left", maybe: false))
    // Answers and times that come after the end, and a connection that comes back while an answer is awaited.
    case (.finished, _), (.reading, .retry), (.writing, .retry), (.idle, .retry): return nil
    case (.idle, .readEnded), (.idle, .writeEnded), (.reading, .writeEnded), (.writing, .readEnded), (.waiting, .readEnded),
      (.waiting, .writeEnded), (.reading, .begin), (.writing, .begin), (.waiting, .begin):
      preconditionFailure("\(event) in \(state)")
    }
  }

  private mutating func read() -> Action {
    state = .reading
    return .read
  }

  private mutating func apply(_ reading: StateReading) -> Action {
    if let write = write(over: reading) { return write }
    guard case .entry(let entry, let stored) = reading else { preconditionFailure("nothing stored and nothing to write") }
    return finish(.unchanged(entry, stored))
  }

  /// - Returns: nil if nothing is to be written.
  private mutating func write(over reading: StateReading) -> Action? {
    let current: StoredState
    let version: StateVersion?
    switch reading {
    case .absent: (current, version) = (initial, nil)
    case .unreadable(let entry, _): (current, version) = (initial, entry.version)
    case .entry(let entry, let stored): (current, version) = (stored, entry.version)
    }
    let changed = command.applied(to: current, at: version)
    // What is not stored is always written; what is stored only if it changes or an earlier write has to be made certain.
    if case .entry = reading, changed == nil, !maybeWritten { return nil }
    let next = changed ?? current
    state = .writing(next)
    return version.map { .replace(json: next.bytes, expecting: $0) } ?? .create(json: next.bytes)
  }

  private mutating func writeFailed(_ error: StateStoreError) -> Action {
    switch error {
    case .versionMismatch, .notFound, .alreadyExists: return read()
    case .outcomeUnknown:
      maybeWritten = true
      return wait(error)
    case .unavailable: return wait(error)
    case .refused: return finish(.failed(error.description, maybe: maybeWritten))
    }
  }

  private mutating func wait(_ error: StateStoreError) -> Action {
    if case .refused = error { return finish(.failed(error.description, maybe: maybeWritten)) }
    state = .waiting(error.description)
    return .awaitRetry
  }

  private mutating func finish(_ outcome: Outcome) -> Action {
    state = .finished
    return .finish(outcome)
  }
}
