// The failed list for the rest of the process: an actor on a reactor thread that may block, around a `FailedLog`. What
// arrives in one turn of that reactor is written together and made durable with one sync, so a million failures do not
// cost a million syncs, and a call returns only when its own part is durable.

public import Reactor

public actor FailedList {
  private enum Change {
    case record(FailedRecord)
    case clear(FailedVersion)
  }

  private struct Waiting {
    var change: Change
    var done: CheckedContinuation<Errno?, Never>
  }

  private let executor: ReactorExecutor
  private let log: FailedLog
  /// Hashes of what is on the list, for `mayHold` on other threads.
  private nonisolated let hashes: Lock<Set<UInt64>>
  private var waiting: [Waiting] = []
  private var hook: HookToken?

  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// - Parameters:
  ///   - log: opened by the caller, who does not use it any more.
  ///   - handle: the reactor whose thread may block for the log's writes (never the main one).
  public init(log: sending FailedLog, on handle: ReactorHandle) {
    executor = handle.executor
    hashes = Lock(log.hashes)
    self.log = log
  }

  /// False: the object is certainly not on the list, and nothing needs to be cleared when it succeeds.
  /// - Thread: any. - Blocking: never.
  public nonisolated func mayHold(_ version: FailedVersion) -> Bool {
    let hash = version.hash
    return hashes.withLock { $0.contains(hash) }
  }

  /// Records on the list.
  /// - Thread: any. - Blocking: never.
  public nonisolated var count: Int { hashes.withLock { $0.count } }

  /// Notes a failure. Durable when it returns nil, not noted when it returns an error.
  public func record(_ record: FailedRecord) async -> Errno? { await change(.record(record)) }

  /// Takes an object off the list: it was replicated after all, or a retry took it. Durable when it returns nil.
  public func clear(_ version: FailedVersion) async -> Errno? {
    guard mayHold(version) else { return nil }
    return await change(.clear(version))
  }

  /// What an earlier listing had noted and a complete one that began at `ms` did not repeat.
  public func clearListingFailures(before ms: Int64) throws(Errno) {
    try log.clearListingFailures(before: ms)
    publish()
  }

  public func page(markerMs: Int64? = nil) throws(Errno) -> FailedListPage {
    defer { publish() }
    return try log.page(markerMs: markerMs)
  }

  public func record(of version: FailedVersion) throws(Errno) -> FailedRecord? {
    defer { publish() }
    return try log.record(of: version)
  }

  /// Records on the list that have not expired.
  public func countNow() -> Int {
    log.expire(nowMs: WallClock.nowMs())
    publish()
    return log.count
  }

  // MARK: Writing together

  private func change(_ change: Change) async -> Errno? {
    await withCheckedContinuation { done in
      waiting.append(Waiting(change: change, done: done))
      if hook == nil { flushBeforeSleep() }
    }
  }

  /// The hook runs after all jobs of this turn, still on this actor's thread.
  private func flushBeforeSleep() {
    hook = Reactor.current?.addBeforeSleep { _ in self.assumeIsolated { $0.flush() } }
    precondition(hook != nil, "a failed list lives on a reactor")
  }

  private func flush() {
    if let hook { Reactor.current?.removeBeforeSleep(hook) }
    hook = nil
    let batch = waiting
    waiting = []
    // In order: a failure and a success of the same object may be in one batch.
    var start = 0
    while start < batch.count {
      let end = batch[start...].firstIndex { !Self.alike($0.change, batch[start].change) } ?? batch.count
      let error = write(batch[start..<end].map(\.change))
      for entry in batch[start..<end] { entry.done.resume(returning: error) }
      start = end
    }
  }

  private static func alike(_ a: Change, _ b: Change) -> Bool {
    switch (a, b) {
    case (.record, .record), (.clear, .clear): true
    case (.record, .clear), (.clear, .record): false
    }
  }

  private func write(_ changes: [Change]) -> Errno? {
    let dropped: [UInt64]
    do throws(Errno) {
      dropped = try log.record(changes.compactMap { if case .record(let record) = $0 { record } else { nil } })
      try log.clear(changes.compactMap { if case .clear(let version) = $0 { version } else { nil } })
    } catch {
      return error
    }
    hashes.withLock { hashes in
      for change in changes {
        switch change {
        case .record(let record): hashes.insert(record.version.hash)
        case .clear(let version): hashes.remove(version.hash)
        }
      }
      hashes.subtract(dropped)
    }
    return nil
  }

  /// After expiry.
  private func publish() {
    // Nothing but expiry goes unpublished, and that only takes away.
    guard log.count != count else { return }
    let now = log.hashes
    hashes.withLock { $0 = now }
  }
}
