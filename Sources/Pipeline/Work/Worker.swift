// One worker: a thread with a reactor of its own, and this actor isolated to it. No-op entries complete in the same
// turn they arrive in, without a task; everything else has a task, which takes the next entry when it is done with one: a new
// task, and the memory its calls need, would cost a small copy a twentieth. The next entry is in `Standby`, if any may begin.
// Completions leave in one batch a turn, or a little later while nothing waits for what they say.
internal import PipelineCore
internal import Reactor

actor Worker {
  /// What is known of a location here: its recipe and, once it was needed, its replicator. A class: looked at for each entry.
  private final class Place {
    let location: WorkerLocation
    let standby: Standby?
    var replicator: (any EntryReplicator)?
    var processor: (any EntryProcessor)?
    var memory: EntryMemory

    init(_ location: WorkerLocation, _ standby: Standby?) {
      self.location = location
      self.standby = standby
      if case .processor = location.kind { memory = EntryMemory(site: nil) } else { memory = EntryMemory(site: location.site) }
    }
  }

  /// Its place in the pool.
  private let number: UInt8
  nonisolated let handle: ReactorHandle
  nonisolated var unownedExecutor: UnownedSerialExecutor { handle.executor.asUnownedSerialExecutor() }

  private let completions: Inbox<WorkCompletion>
  private let mode: FileOperationsMode
  private let plainCalls: PlainCalls
  private var context: WorkerContext?
  private var places: [Place?] = []
  private var lanes: [Lane] = []
  /// Those that wait for an entry, the one used last at the end.
  private var idleLanes: [Int] = []
  /// Places of lanes that have ended.
  private var endedLanes: [Int] = []
  private var isClosed = false
  /// Taken from where they stood by, in place of what has ended; begun before the turn is over.
  private var successors: [WorkItem] = []
  /// Not yet handed over: until the end of the turn, or longer (`handOver`).
  private var finished: [WorkCompletion] = []
  /// Of those, one has left its place empty, or few stand by: the reactor must know at the end of the turn.
  private var isHandOverDue = false
  private var handOverTimer: TimerToken?
  /// This thread's; nil before it was needed.
  private lazy var reactor = Reactor.current

  /// What a task is to do.
  private struct Job {
    let item: WorkItem
    let entry: ReplicationEntry
    let report: StatusReport?
  }

  /// A task that does one job after the other.
  private struct Lane {
    /// Given to it, until it is done.
    var job: Job?
    /// While it waits for a job.
    var waiter: UnsafeContinuation<Void, Never>?
    var task: Task<Void, Never>?
  }

  /// Lanes that may wait for entries, of some 16 KiB each; more of them end.
  private static let idleLanesMax = 64
  /// How long a completion may be kept while each one before it has passed its place on.
  private static let keptMax = Duration.milliseconds(2)

  init(
    number: UInt8, handle: ReactorHandle, completions: Inbox<WorkCompletion>, mode: FileOperationsMode, plainCalls: PlainCalls
  ) {
    self.number = number
    self.handle = handle
    self.mode = mode
    self.plainCalls = plainCalls
    self.completions = completions
  }

  /// - Thread: the worker's, before its loop runs.
  nonisolated func start(_ reactor: Reactor, items: Inbox<WorkItem>) {
    reactor.attach(items) { _, batch in self.assumeIsolated { $0.take(&batch) } }
    _ = reactor.addBeforeSleep { _ in self.assumeIsolated { $0.handOver() } }
  }

  /// - Parameter standby: where its next items are found when one has ended; nil: all are handed over.
  func setLocation(_ index: Int32, _ location: WorkerLocation?, _ standby: Standby?) {
    while places.count <= Int(index) { places.append(nil) }
    places[Int(index)] = location.map { Place($0, standby) }
  }

  private func take(_ batch: inout [WorkItem]) {
    // Mostly of one location.
    var place: Place?
    var index: Int32 = -1
    for item in batch {
      if item.location != index {
        index = item.location
        place = self.place(index)
      }
      begin(item, place)
    }
  }

  /// Begins what was found in place of what has ended; what ends at once is followed by the next.
  private func beginSuccessors() {
    var next = 0
    while next < successors.count {
      begin(successors[next], place(successors[next].location))
      next += 1
    }
    successors.removeAll(keepingCapacity: true)
  }

  private func begin(_ item: WorkItem, _ place: Place?) {
    let message = KafkaMessage(item.message)
    guard let place else { return finish(item, nil, .abandoned) }  // removed while the item was on its way
    switch place.location.kind {
    case .noop:
      switch message.withPayload({ EntryDecoder.decodeRouting($0, &place.memory) }) {
      case .replicate(let routing):
        let isRepeated = routing.dedupeHash == item.previousDone
        conclude(item, place, message, isRepeated ? .alreadyThere : .done(bytes: 0), dedupe: routing.dedupeHash)
      case .skip(let reason): conclude(item, place, message, .skipped(reason))
      case .deadLetter(let reason): conclude(item, place, message, .deadLetter(reason))
      }
    case .replicator:
      let decoded = message.withPayload { EntryDecoder.decode($0, &place.memory) }
      switch decoded {
      case .skip(let reason): conclude(item, place, message, .skipped(reason))
      case .deadLetter(let reason): conclude(item, place, message, .deadLetter(reason))
      case .replicate(let entry):
        guard entry.dedupeHash != item.previousDone else { return finish(item, place, .alreadyThere, dedupe: entry.dedupeHash) }
        place.location.figures.begins(lastModified: entry.lastModified)
        spawn(item, entry)
      }
    case .processor:
      let decoded = message.withPayload { EntryDecoder.decode($0, &place.memory) }
      switch decoded {
      case .skip(let reason): conclude(item, place, message, .skipped(reason))
      case .deadLetter(let reason): conclude(item, place, message, .deadLetter(reason))
      case .replicate(let entry):
        guard let report = StatusReport(entry, StatusNotes(of: message)) else {
          return conclude(item, place, message, .deadLetter(.fieldWrongType))
        }
        spawn(item, entry, report)
      }
    }
  }

  /// A dead letter needs its bytes once more, so it travels back with them.
  private func conclude(
    _ item: WorkItem, _ place: Place, _ message: consuming KafkaMessage, _ outcome: WorkOutcome, dedupe: UInt64 = 0
  ) {
    if case .deadLetter = outcome {
      finish(item, place, outcome, message: message.release())
    } else {
      finish(item, place, outcome, dedupe: dedupe)
    }
  }

  private func finish(
    _ item: WorkItem, _ place: Place?, _ outcome: WorkOutcome, dedupe: UInt64 = 0, messages: [OutgoingMessage] = [],
    message: KafkaMessage.Reference? = nil
  ) {
    let successor = takeSuccessor(place)
    finished.append(
      WorkCompletion(
        item, worker: number, outcome: outcome, dedupe: dedupe, messages: messages, message: message,
        endedAt: reactor?.now ?? .nowUncached(), successor: successor))
  }

  private func takeSuccessor(_ place: Place?) -> InFlightTicket? {
    guard let standby = place?.standby, let (item, left) = standby.take() else {
      isHandOverDue = true
      return nil
    }
    // While the reactor fills it up again the other half is used.
    if left < standby.countMax / 2 { isHandOverDue = true }
    successors.append(item)
    return item.ticket
  }

  private func spawn(_ item: WorkItem, _ entry: ReplicationEntry, _ report: StatusReport? = nil) {
    let job = Job(item: item, entry: entry, report: report)
    if let lane = idleLanes.popLast() { return wake(lane, job) }
    let lane = endedLanes.popLast() ?? lanes.count
    if lane == lanes.count { lanes.append(Lane()) }
    lanes[lane].job = job
    lanes[lane].task = Task.detached(executorPreference: handle.executor) { await self.serve(lane) }
  }

  private func wake(_ lane: Int, _ job: Job?) {
    lanes[lane].job = job
    let waiter = lanes[lane].waiter.take()
    waiter?.resume()
  }

  private func serve(_ lane: Int) async {
    // What was cancelled stays cancelled.
    while await doJob(of: lane), !Task.isCancelled, !isClosed, idleLanes.count < Self.idleLanesMax {
      idleLanes.append(lane)
      // Unsafe in that a lost continuation goes unnoticed: `spawn` and `close` resume what is among the idle ones.
      await withUnsafeContinuation { continuation in
        // There may be a job again before this body runs.
        if lanes[lane].job == nil, !isClosed { lanes[lane].waiter = continuation } else { continuation.resume() }
      }
    }
    lanes[lane] = Lane()
    endedLanes.append(lane)
  }

  /// - Returns: false if there was none.
  private func doJob(of lane: Int) async -> Bool {
    guard let job = lanes[lane].job else { return false }
    let (item, entry, report) = (job.item, job.entry, job.report)
    let result = await result(of: item, entry, report)
    lanes[lane].job = nil
    let place = place(item.location)
    switch result.outcome {
    case .done, .alreadyThere:
      finish(item, place, result.outcome, dedupe: report == nil ? entry.dedupeHash : 0, messages: result.messages)
    case .skipped, .deadLetter, .failed: finish(item, place, result.outcome, messages: result.messages)
    case .abandoned: finish(item, place, result.outcome)
    }
    return true
  }

  private func result(of item: WorkItem, _ entry: ReplicationEntry, _ report: StatusReport?) async -> WorkResult {
    var result = WorkResult(.abandoned)
    do throws(WorkerLocationError) {
      if let report {
        if let processor = try processor(of: item.location) { result = await processor.process(entry, report) }
      } else if let replicator = try replicator(of: item.location) {
        result = await replicator.replicate(entry)
      }
    } catch {
      result.outcome = .failed(
        ReplicationFailure(
          bucket: entry.bucket, key: entry.key, versionId: entry.versionId, code: "LocationUnavailable",
          message: error.description, attempts: 1))
    }
    if report == nil, let location = place(item.location)?.location { conclude(&result, entry, of: location) }
    return result
  }

  /// Counts a copy's end, and says it where statuses go.
  private func conclude(_ result: inout WorkResult, _ entry: ReplicationEntry, of location: WorkerLocation) {
    let hasData = entry.hasData || entry.content.isEmpty && !entry.isDeleteMarker
    switch result.outcome {
    case .done, .alreadyThere: location.figures.ended(isFailure: false, hasData: hasData)
    case .failed: location.figures.ended(isFailure: true, hasData: hasData)
    case .skipped, .deadLetter, .abandoned: return
    }
    guard let topic = location.statusTopic,
      let status = StatusNotes.message(result, entry, site: location.site.name, topic: topic)
    else { return }
    result.messages.append(status)
  }

  private func place(_ index: Int32) -> Place? { Int(index) < places.count ? places[Int(index)] : nil }

  private func sharedContext() -> WorkerContext? {
    if let context { return context }
    context = reactor.map { WorkerContext(reactor: $0, mode: mode, plainCalls: plainCalls) }
    return context
  }

  private func replicator(of index: Int32) throws(WorkerLocationError) -> (any EntryReplicator)? {
    guard let place = place(index) else { return nil }
    if let replicator = place.replicator { return replicator }
    guard case .replicator(let make) = place.location.kind, let context = sharedContext() else { return nil }
    let replicator = try make(context)
    replicator.count(into: place.location.figures)
    place.replicator = replicator
    return replicator
  }

  private func processor(of index: Int32) throws(WorkerLocationError) -> (any EntryProcessor)? {
    guard let place = place(index) else { return nil }
    if let processor = place.processor { return processor }
    guard case .processor(let make) = place.location.kind, let context = sharedContext() else { return nil }
    let processor = try make(context)
    place.processor = processor
    return processor
  }

  /// Tells the tasks to end early; they answer `.abandoned` in their own time.
  func cancel(location: Int32, tickets: [InFlightTicket]) {
    let there = lanes(of: location)
    for ticket in tickets { if let lane = there[ticket] { lanes[lane].task?.cancel() } }
  }

  /// What these tasks are about; those that do not run here are left out.
  func names(location: Int32, tickets: [InFlightTicket]) -> [TaskName] {
    let there = lanes(of: location)
    return tickets.compactMap { ticket in
      guard let entry = there[ticket].flatMap({ lanes[$0].job?.entry }) else { return nil }
      return TaskName(ticket: ticket, bucket: entry.bucket, key: entry.key, versionId: entry.versionId)
    }
  }

  private func lanes(of location: Int32) -> [InFlightTicket: Int] {
    var there: [InFlightTicket: Int] = [:]
    for (lane, state) in lanes.enumerated() {
      if let item = state.job?.item, item.location == location { there[item.ticket] = lane }
    }
    return there
  }

  /// Frees what the kernel holds for this worker, and ends its thread. Nothing may be running any more.
  /// - Blocking: until the last file operation has ended.
  func close() {
    isClosed = true
    for lane in idleLanes { wake(lane, nil) }
    idleLanes.removeAll()
    places.removeAll()
    context?.close()
    context = nil
    // Behind the idle tasks, which are to end before.
    if !handle.post({ $0.stop() }) { handle.stop() }
  }

  /// What has begun in the place of something needs no answer, and each answer wakes the reactor's thread: such completions wait for
  /// each other, until half of what stood by is used up or `keptMax` is over.
  private func handOver() {
    beginSuccessors()
    guard !finished.isEmpty else { return }
    guard isHandOverDue else { return keep() }
    isHandOverDue = false
    // Cannot be refused while the inbox holds one place for each slot of all locations; if it is, try next turn.
    if !completions.push(emptying: &finished) {
      isHandOverDue = true
      handle.post { _ in }
    }
  }

  private func keep() {
    guard handOverTimer == nil else { return }
    handOverTimer = reactor?.schedule(after: Self.keptMax) { _ in
      self.assumeIsolated { worker in
        worker.handOverTimer = nil
        worker.isHandOverDue = true
      }
    }
  }
}
