// Entries: taken while there is room, in order per key, finished exactly once. The hot path: nothing here allocates,
// logs or formats for an entry that is well-formed.
internal import Logging
internal import PipelineCore
internal import Reactor

extension LocationController {
  // MARK: Taking

  /// Room for entries now; 0 closes the gate.
  var credit: Int {
    guard machine.isTaking, announcedPauseTimer == nil, rebalance.mayDispatch, held.isEmpty, outbox.hasRoom else { return 0 }
    guard scheduler.hasRoom else { return 0 }
    let tasks = inFlight.count - acknowledgingCount
    return min(options.limits.taskMax - tasks, inFlight.countMax - inFlight.count)
  }

  func received(_ message: consuming KafkaMessage) {
    let partition = message.partition
    let offset = message.offset
    // The partition is paused as soon as its window is full, and a paused partition delivers nothing.
    guard let handle = ledgers.begin(partition, offset) else { preconditionFailure("[\(partition)] \(offset) was not asked for") }
    counters.taken += 1
    partitionFigures.took(partition.value, timestampMs: message.timestampMs, at: reactor.now)
    if ledgers.isFullSinceBegin { updateHolds { $0.insert(.window, partition) } }
    let head = message.withPayload { EntryDecoder.head($0) }
    switch head {
    case .entry(let entry):
      schedule(
        Held(
          handle: handle, offset: offset, assignment: rebalance.generation, orderKey: entry.orderKey, message: message.release()))
    case .canary, .bucketEntry:
      counters.skipped += 1
      finish(handle)
    case .deadLetter(let reason):
      let record = InFlight(
        handle: handle, offset: offset, assignment: rebalance.generation, orderKey: 0, stage: .acknowledging)
      // Room was checked before the poll: one slot for each message of the credit.
      guard let ticket = inFlight.insert(record) else { preconditionFailure("no slot for a message that was asked for") }
      acknowledgingCount += 1
      sendDeadLetter(ticket, message, reason)
    }
  }

  private func schedule(_ entry: Held) {
    let record = InFlight(
      handle: entry.handle, offset: entry.offset, assignment: entry.assignment, orderKey: entry.orderKey,
      stage: .waiting(entry.message))
    guard let ticket = inFlight.insert(record) else { return hold(entry) }
    switch scheduler.enqueue(key: entry.orderKey, slot: ticket.slot) {
    case .run: start(ticket, record)
    case .ready: standBy(ticket.slot)
    case .waiting: break
    case .waitingKeyAtCap: updateHolds { $0.insert(.key, entry.handle.partition) }
    case .keyFull, .full:
      _ = inFlight.remove(ticket)
      hold(entry)
    }
  }

  private func hold(_ entry: Held) {
    held.append(entry)
    updateHolds { $0.insert(.key, entry.handle.partition) }
  }

  private func start(_ ticket: InFlightTicket, _ record: InFlight) {
    let item = item(ticket, record)
    var running = record
    running.stage = .running(since: reactor.now)
    inFlight[ticket.slot] = running
    pool.submit(item)
  }

  func start(slot: Int32) {
    let (ticket, record) = waiting(slot)
    start(ticket, record)
  }

  func waiting(_ slot: Int32) -> (InFlightTicket, InFlight) {
    guard let ticket = inFlight.ticket(slot: slot), let record = inFlight[slot] else {
      preconditionFailure("the scheduler named a free slot")
    }
    return (ticket, record)
  }

  func item(_ ticket: InFlightTicket, _ record: InFlight) -> WorkItem {
    guard case .waiting(let message) = record.stage else { preconditionFailure("only what waits can start") }
    return WorkItem(location: poolIndex, ticket: ticket, message: message, previousDone: scheduler.previousDone(ticket.slot))
  }

  // MARK: Finishing

  func completed(_ completions: ArraySlice<WorkCompletion>) {
    for completion in completions { completed(completion) }
    fillPlaces()
    retryHeld()
    checkDrained()
    consumer.creditAvailable()
  }

  private func completed(_ completion: WorkCompletion) {
    if let successor = completion.successor { began(successor, at: completion.endedAt) }
    guard let record = inFlight[completion.ticket.slot], inFlight.isCurrent(completion.ticket) else {
      // Its slot was given up; nobody waits for the answer, but its bytes are ours to free.
      if let message = completion.message { _ = KafkaMessage(message) }
      return
    }
    let outcome = completion.outcome
    let ended = scheduler.end(completion.ticket.slot, done: completion.dedupe)
    count(outcome)
    if case .running(let since) = record.stage { time(since, completion.endedAt, outcome, record.handle.partition) }
    tell(outcome)
    conclude(completion, outcome, record)
    if let ready = ended.ready { standBy(ready) }
    if ended.keyRelieved { relieveKeys() }
  }

  private func conclude(_ completion: WorkCompletion, _ outcome: WorkOutcome, _ record: InFlight) {
    switch outcome {
    case .done, .alreadyThere, .skipped, .failed:
      if let messages = completion.messages { return acknowledge(completion.ticket, messages) }
      _ = inFlight.remove(completion.ticket)
      finish(record.handle)
    case .abandoned:
      // Not finished: the offset stays where it is and the entry comes again.
      _ = inFlight.remove(completion.ticket)
    case .deadLetter(let reason):
      guard let reference = completion.message else { preconditionFailure("a dead letter travels with its bytes") }
      awaitAcknowledgement(completion.ticket)
      sendDeadLetter(completion.ticket, KafkaMessage(reference), reason)
    }
  }

  /// The entry is finished when the broker has all of its messages, a status that is lost would never be told again; or has said that
  /// it will never take one, which the outbox has put into the log.
  private func acknowledge(_ ticket: InFlightTicket, _ messages: [OutgoingMessage]) {
    awaitAcknowledgement(ticket)
    var missing = messages.count
    for message in messages {
      outbox.send(message) { [weak self] _ in
        missing -= 1
        if missing == 0 { self?.acknowledged(ticket) }
      }
    }
  }

  private func awaitAcknowledgement(_ ticket: InFlightTicket) {
    inFlight[ticket.slot]?.stage = .acknowledging
    acknowledgingCount += 1
  }

  private func acknowledged(_ ticket: InFlightTicket) {
    guard let record = inFlight.remove(ticket) else { return }
    acknowledgingCount -= 1
    finish(record.handle)
    checkDrained()
    consumer.creditAvailable()
  }

  private func finish(_ handle: LedgerTable.Handle) {
    ledgers.finish(handle)
    let partition = handle.partition
    if holds.isWindowHeld(partition), !ledgers.isFull(partition) { updateHolds { $0.remove(.window, partition) } }
  }

  private func tell(_ outcome: WorkOutcome) {
    if case .failed(let failure) = outcome { observer?.location(self, failed: failure) }
    if machine.effective == .pausing { observer?.locationIsDraining(self) }
  }

  private func time(_ since: Instant, _ endedAt: Instant, _ outcome: WorkOutcome, _ partition: Partition) {
    // Each thread reads the clock when its turn begins: an end may seem to come before the beginning.
    let ns = max(0, endedAt.ns - since.ns)
    switch outcome {
    case .failed: partitionFigures.ended(partition.value, ns: ns, isFailure: true)
    case .done, .alreadyThere: partitionFigures.ended(partition.value, ns: ns, isFailure: false)
    case .skipped, .deadLetter, .abandoned: break
    }
  }

  private func count(_ outcome: WorkOutcome) {
    switch outcome {
    case .done(let bytes):
      counters.done += 1
      counters.bytes += bytes
    case .alreadyThere: counters.alreadyThere += 1
    case .skipped: counters.skipped += 1
    case .failed: counters.failed += 1
    case .deadLetter: break  // when it is acknowledged
    case .abandoned: counters.abandoned += 1
    }
  }

  private func relieveKeys() {
    let stillHeld = Set(held.map(\.handle.partition))
    updateHolds { holds in
      for partition in holds.partitions(heldFor: .key) where !stillHeld.contains(partition) { holds.remove(.key, partition) }
    }
  }

  private func retryHeld() {
    guard !held.isEmpty else { return }
    let waiting = held
    held.removeAll(keepingCapacity: true)
    for entry in waiting { schedule(entry) }
    if held.isEmpty { relieveKeys() }
  }

  // MARK: Dead letters

  private func sendDeadLetter(_ ticket: InFlightTicket, _ message: consuming KafkaMessage, _ reason: DeadLetterReason) {
    log.warning(
      "entry to the dead letters",
      metadata: [
        "topic": "\(options.consumer.topic)", "partition": "\(message.partition)", "offset": "\(message.offset)",
        "reason": "\(reason.code)",
      ])
    outbox.sendDeadLetter(message, topic: options.deadLetterTopic, reason: reason) { [weak self] isDelivered in
      self?.deadLetterEnded(ticket, isDelivered)
    }
  }

  private func deadLetterEnded(_ ticket: InFlightTicket, _ isDelivered: Bool) {
    counters.deadLettered += isDelivered && inFlight.isCurrent(ticket) ? 1 : 0
    acknowledged(ticket)
  }

  // MARK: Giving up

  /// At a revoke: drops what waits and has nothing started above it in its partition. The rest still runs, else what
  /// finished above it would be done a second time by the next owner.
  func dropTail() {
    recall()
    var highest: [Partition: Offset] = [:]
    inFlight.visitOccupied { _, record in
      if case .waiting = record.stage { return }
      let partition = record.handle.partition
      highest[partition] = max(highest[partition] ?? record.offset, record.offset)
    }
    let current = rebalance.generation
    dropWaiting { assignment, partition, offset in
      assignment < current || offset >= ledgers.firstDroppable(partition, highestStarted: highest[partition])
    }
    standByAgain()
  }

  /// Drops what waits of what is chosen (assignment, partition, offset); whoever owns the partition fetches it again.
  /// - Precondition: after `recall`: what stands by is not ours to drop.
  func dropWaiting(_ isChosen: (UInt32, Partition, Offset) -> Bool) {
    var tickets: [(InFlightTicket, KafkaMessage.Reference)] = []
    inFlight.visitOccupied { ticket, record in
      if case .waiting(let message) = record.stage, isChosen(record.assignment, record.handle.partition, record.offset) {
        tickets.append((ticket, message))
      }
    }
    for (ticket, message) in tickets {
      _ = scheduler.cancelWaiting(ticket.slot)
      _ = inFlight.remove(ticket)
      _ = KafkaMessage(message)  // frees it
    }
    let dropped = held.filter { isChosen($0.assignment, $0.handle.partition, $0.offset) }
    for entry in dropped { _ = KafkaMessage(entry.message) }
    held.removeAll { entry in dropped.contains { $0.handle == entry.handle } }
  }

  /// Drops what waits and aborts what runs, of the assignments chosen.
  func cancelRunning(_ isChosen: (UInt32) -> Bool) {
    recall()
    dropWaiting { assignment, _, _ in isChosen(assignment) }
    var tickets: [InFlightTicket] = []
    inFlight.visitOccupied { ticket, record in
      if case .running = record.stage, isChosen(record.assignment) { tickets.append(ticket) }
    }
    if !tickets.isEmpty { pool.cancel(location: poolIndex, tickets: tickets) }
    standByAgain()
  }
}
