// One worker: a thread with a reactor of its own, and this actor isolated to it. No-op entries complete in the same
// turn they arrive in, without a task; everything else is one task an entry. Completions leave in one batch a turn.
internal import PipelineCore
internal import Reactor

actor Worker {
  /// What is known of a location here: its recipe and, once it was needed, its replicator.
  private struct Place {
    let location: WorkerLocation
    var replicator: (any EntryReplicator)?
  }

  nonisolated let handle: ReactorHandle
  nonisolated var unownedExecutor: UnownedSerialExecutor { handle.executor.asUnownedSerialExecutor() }

  private let completions: Inbox<WorkCompletion>
  private let mode: FileOperationsMode
  private var context: WorkerContext?
  private var places: [Place?] = []
  private var running: [RunningTask: Task<Void, Never>] = [:]
  /// Not yet handed over: until the end of the turn, or longer while the inbox is full.
  private var finished: [WorkCompletion] = []

  private struct RunningTask: Hashable {
    let location: Int32
    let ticket: InFlightTicket
  }

  init(handle: ReactorHandle, completions: Inbox<WorkCompletion>, mode: FileOperationsMode) {
    self.handle = handle
    self.mode = mode
    self.completions = completions
  }

  /// - Thread: the worker's, before its loop runs.
  nonisolated func start(_ reactor: Reactor, items: Inbox<WorkItem>) {
    reactor.attach(items) { _, batch in self.assumeIsolated { $0.take(&batch) } }
    _ = reactor.addBeforeSleep { _ in self.assumeIsolated { $0.handOver() } }
  }

  func setLocation(_ index: Int32, _ location: WorkerLocation?) {
    while places.count <= Int(index) { places.append(nil) }
    places[Int(index)] = location.map { Place(location: $0) }
  }

  private func take(_ batch: inout [WorkItem]) {
    for item in batch { begin(item) }
  }

  private func begin(_ item: WorkItem) {
    let message = KafkaMessage(item.message)
    guard Int(item.location) < places.count, let place = places[Int(item.location)] else {
      return finish(item, .abandoned)  // removed while the item was on its way
    }
    switch place.location.kind {
    case .noop:
      switch message.withPayload({ EntryDecoder.decodeRouting($0, site: place.location.site) }) {
      case .replicate(let routing):
        let isRepeated = routing.dedupeHash == item.previousDone
        conclude(item, message, isRepeated ? .alreadyThere : .done(bytes: 0), dedupe: routing.dedupeHash)
      case .skip(let reason): conclude(item, message, .skipped(reason))
      case .deadLetter(let reason): conclude(item, message, .deadLetter(reason))
      }
    case .replicator:
      let decoded = message.withPayload { EntryDecoder.decode($0, site: place.location.site) }
      switch decoded {
      case .skip(let reason): conclude(item, message, .skipped(reason))
      case .deadLetter(let reason): conclude(item, message, .deadLetter(reason))
      case .replicate(let entry):
        guard entry.dedupeHash != item.previousDone else { return finish(item, .alreadyThere, dedupe: entry.dedupeHash) }
        spawn(item, entry)
      }
    }
  }

  /// A dead letter needs its bytes once more, so it travels back with them.
  private func conclude(_ item: WorkItem, _ message: consuming KafkaMessage, _ outcome: WorkOutcome, dedupe: UInt64 = 0) {
    if case .deadLetter = outcome {
      finished.append(
        WorkCompletion(location: item.location, ticket: item.ticket, outcome: outcome, message: message.release()))
    } else {
      finish(item, outcome, dedupe: dedupe)
    }
  }

  private func finish(_ item: WorkItem, _ outcome: WorkOutcome, dedupe: UInt64 = 0) {
    finished.append(WorkCompletion(location: item.location, ticket: item.ticket, outcome: outcome, dedupe: dedupe))
  }

  private func spawn(_ item: WorkItem, _ entry: ReplicationEntry) {
    let id = RunningTask(location: item.location, ticket: item.ticket)
    running[id] = Task.detached(executorPreference: handle.executor) {
      await self.run(item, entry)
    }
  }

  private func run(_ item: WorkItem, _ entry: ReplicationEntry) async {
    let outcome: WorkOutcome
    do throws(WorkerLocationError) {
      outcome = try await replicator(of: item.location)?.replicate(entry) ?? .abandoned
    } catch {
      outcome = .failed(
        ReplicationFailure(
          bucket: entry.bucket, key: entry.key, versionId: entry.versionId, code: "LocationUnavailable",
          message: error.description, attempts: 1))
    }
    running[RunningTask(location: item.location, ticket: item.ticket)] = nil
    switch outcome {
    case .done, .alreadyThere: finish(item, outcome, dedupe: entry.dedupeHash)
    case .skipped, .deadLetter, .failed, .abandoned: finish(item, outcome)
    }
  }

  private func replicator(of index: Int32) throws(WorkerLocationError) -> (any EntryReplicator)? {
    guard Int(index) < places.count, let place = places[Int(index)] else { return nil }
    if let replicator = place.replicator { return replicator }
    guard case .replicator(let make) = place.location.kind, let reactor = Reactor.current else { return nil }
    let context = self.context ?? WorkerContext(reactor: reactor, mode: mode)
    self.context = context
    let replicator = try make(context)
    places[Int(index)]?.replicator = replicator
    return replicator
  }

  /// Tells the tasks to end early; they answer `.abandoned` in their own time.
  func cancel(location: Int32, tickets: [InFlightTicket]) {
    for ticket in tickets { running[RunningTask(location: location, ticket: ticket)]?.cancel() }
  }

  /// Frees what the kernel holds for this worker. Nothing may be running any more.
  /// - Blocking: until the last file operation has ended.
  func close() {
    places.removeAll()
    context?.files.close()
    context = nil
  }

  private func handOver() {
    guard !finished.isEmpty else { return }
    let accepted = completions.push(contentsOf: finished)
    if accepted == finished.count {
      finished.removeAll(keepingCapacity: true)
    } else {
      // Cannot happen while the inbox holds one place for each slot of all locations; if it does, try next turn.
      finished.removeFirst(accepted)
      handle.post { _ in }
    }
  }
}
