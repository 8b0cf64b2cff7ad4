// A node's hot path: take, schedule, run, produce the status, finish in the ledger when that is acknowledged.

import PipelineCore
import TestSupport

extension SimNode {
  func wantsTurn(_ world: World) {
    guard isAlive, !isTurnDue, isGateOpen else { return }
    isTurnDue = true
    world.schedule(.turn, after: world.latency(5), node: index, life: life)
  }

  /// One turn of the poll: takes while there is room.
  func turn(_ world: World) {
    isTurnDue = false
    guard isGateOpen, rebalance.mayDispatch else { return }
    for _ in 0..<8 {
      guard scheduler.hasRoom, !table.isFull, let partition = fetchable(world) else { return }
      if !take(world, partition) { return }
    }
    wantsTurn(world)
  }

  private func fetchable(_ world: World) -> Int? {
    guard !assigned.isEmpty else { return nil }
    let first = world.random.below(assigned.count)
    for step in assigned.indices {
      let partition = assigned[(first + step) % assigned.count]
      let isHeld = isPaused[partition] || pausedByKey.values.contains { $0.contains(partition) }
      if !isHeld, positions[partition] < world.log[partition].count, !ledgers.isFull(Partition(Int32(partition))) {
        return partition
      }
    }
    return nil
  }

  /// - Returns: false if the entry was refused and stays where it is.
  private func take(_ world: World, _ partition: Int) -> Bool {
    let position = positions[partition]
    let entry = world.log[partition][position]
    if entry.kind == .skip {
      positions[partition] += 1
      if let handle = ledgers.begin(Partition(Int32(partition)), Offset(entry.offset)) { ledgers.finish(handle) }
      world.log[partition][position].isSettled = true
      return true
    }
    let task = Task(
      partition: partition, index: position, generation: rebalance.generation, delivery: deliveries[partition])
    guard let ticket = table.insert(task) else { return false }
    let admission = scheduler.enqueue(key: UInt64(entry.key), slot: ticket.slot)
    switch admission {
    case .keyFull, .full:
      // Not begun in the ledger: it is fetched again, as if it had never been seen.
      _ = table.remove(ticket)
      if admission == .keyFull { pausedByKey[entry.key, default: []].append(partition) }
      return false
    case .run, .ready, .waiting, .waitingKeyAtCap: break
    }
    positions[partition] += 1
    guard let handle = ledgers.begin(Partition(Int32(partition)), Offset(entry.offset)) else {
      world.fail("the ledger refused \(partition)/\(entry.offset)")
      return false
    }
    table[ticket.slot]?.handle = handle
    offsets[ticket] = Offset(entry.offset)
    if admission == .waitingKeyAtCap { pausedByKey[entry.key, default: []].append(partition) }
    if admission == .run { run(world, ticket.slot) }
    if admission == .ready { standBy(world, ticket.slot) }
    return true
  }

  /// librdkafka starts again at the committed offset: what lies above it is delivered a second time.
  func rewind(_ world: World, _ partition: Int) {
    guard hasAssignment, assigned.contains(partition) else { return }
    positions[partition] = min(positions[partition], world.index(partition, world.group.committed[partition]))
    world.note("node \(index): partition \(partition) is delivered again from \(world.group.committed[partition])")
    deliveries[partition] += 1
    world.hasRewound[partition] = true
    wantsTurn(world)
  }

  // MARK: Workers

  func run(_ world: World, _ slot: Int32) {
    guard let ticket = table.ticket(slot: slot), let task = table[slot] else {
      return world.fail("node \(index) was told to run an empty slot")
    }
    let entry = world.log[task.partition][task.index]
    world.note("node \(index) starts \(task.partition)/\(entry.offset) key \(entry.key)")
    world.checkStart(self, task.partition, task.index)
    if !runningKeys.insert(entry.key).inserted { world.fail("node \(index): two of key \(entry.key) at once") }
    if runningKeys.count > world.shape.limits.concurrency || table.count > world.shape.limits.slotMax {
      world.fail("node \(index): \(runningKeys.count) run and \(table.count) are taken with \(world.shape.limits)")
    }
    if let last = lastStarted[entry.key], last.generation == task.generation, last.delivery == task.delivery,
      last.offset >= entry.offset
    {
      world.fail("node \(index): key \(entry.key) runs \(entry.offset) after \(last.offset)")
    }
    lastStarted[entry.key] = (task.generation, task.delivery, entry.offset)
    let outlasts = entry.kind == .stuck && entry.runs == 1 && !world.faultsEnded
    scheduleEnd(world, ticket, after: outlasts ? 12_000 : world.latency(40))
  }

  private func scheduleEnd(_ world: World, _ ticket: InFlightTicket, after delay: Int64) {
    world.schedule(.taskEnd, after: delay, node: index, life: life, a: Int(ticket.slot), b: Int(ticket.generation))
  }

  func taskEnd(_ world: World, _ ticket: InFlightTicket) {
    guard table.isCurrent(ticket), let task = table[ticket.slot] else { return }
    let entry = world.log[task.partition][task.index]
    // A cancellation may come too late: then the effect is there, and its completion must move nothing.
    if task.isCancelled, world.random.chance(50) { return ends(world, ticket, hasEffect: false) }
    if entry.kind != .garbage, world.random.chance(15) {
      let policy = RetryPolicy(retriesMax: 3, delayMin: .milliseconds(10), delayMax: .milliseconds(100))
      let random = Double(world.random.below(100)) / 100
      if let delay = policy.delay(retries: task.retries, elapsed: .zero, random: random) {
        table[ticket.slot]?.retries += 1
        let ms = Int64(delay / .milliseconds(1))
        return world.schedule(.retryDue, after: ms, node: index, life: life, a: Int(ticket.slot), b: Int(ticket.generation))
      }
    }
    world.effect(task.partition, task.index)
    ends(world, ticket, hasEffect: true)
  }

  /// At the worker: takes what stands by, and says so later, with others.
  private func ends(_ world: World, _ ticket: InFlightTicket, hasEffect: Bool) {
    guard let task = table[ticket.slot] else { return }
    runningKeys.remove(world.log[task.partition][task.index].key)
    let successor = standby.isEmpty ? nil : standby.removeFirst()
    endings.append(Ending(ticket: ticket, hasEffect: hasEffect, successor: successor))
    world.schedule(.endsTold, after: world.random.chance(50) ? 0 : world.latency(10), node: index, life: life)
    if let successor { run(world, successor.slot) }
  }

  /// At the reactor.
  func endsTold(_ world: World) {
    let told = endings
    endings = []
    for ending in told {
      if let successor = ending.successor { began(successor) }
      guard table.isCurrent(ending.ticket), let task = table[ending.ticket.slot] else { continue }
      if ending.hasEffect, let handle = task.handle {
        produces.append(Produce(partition: task.partition, index: task.index, generation: task.generation, handle: handle))
        unproduced += 1
        produce(world, produces.count - 1)
      }
      free(world, ending.ticket)
    }
    fillPlaces(world)
  }

  private func began(_ ticket: InFlightTicket) {
    if table.isCurrent(ticket), scheduler.isReady(ticket.slot) { scheduler.began(ticket.slot) }
  }

  private func standBy(_ world: World, _ slot: Int32) {
    guard let ticket = table.ticket(slot: slot) else { return world.fail("node \(index): an empty slot is ready") }
    standby.append(ticket)
    fillPlaces(world)
  }

  private func fillPlaces(_ world: World) {
    while scheduler.runningCount < world.shape.limits.concurrency, !standby.isEmpty {
      let ticket = standby.removeFirst()
      began(ticket)
      run(world, ticket.slot)
    }
  }

  /// Takes back what stands by: what is ready and not there has begun.
  private func recall() {
    let waiting = Set(standby.map(\.slot))
    standby = []
    var begun: [Int32] = []
    scheduler.visitReady { if !waiting.contains($0) { begun.append($0) } }
    for slot in begun { if let ticket = table.ticket(slot: slot) { began(ticket) } }
  }

  private func standByAgain(_ world: World) {
    var ready: [Int32] = []
    scheduler.visitReady { ready.append($0) }
    for slot in ready { standBy(world, slot) }
  }

  func runAgain(_ world: World, _ ticket: InFlightTicket) {
    guard table.isCurrent(ticket) else { return }
    scheduleEnd(world, ticket, after: world.latency(40))
  }

  private func free(_ world: World, _ ticket: InFlightTicket) {
    guard let task = table.remove(ticket) else { return }
    offsets[ticket] = nil
    let key = world.log[task.partition][task.index].key
    let ended = scheduler.end(ticket.slot)
    if ended.keyRelieved { pausedByKey[key] = nil }
    if let ready = ended.ready { standBy(world, ready) }
    wantsTurn(world)
  }

  // MARK: Status and dead letters

  private func produce(_ world: World, _ number: Int) {
    let delay = max(0, world.brokerDownUntil - world.now) + world.latency(15)
    world.schedule(.produceArrives, after: delay, node: index, a: number, b: life)
  }

  /// The broker has it, or has not.
  func produceArrives(_ world: World, _ number: Int, life: Int) {
    guard life == self.life, number < produces.count else { return }
    let ok = !world.fault(5)
    let item = produces[number]
    if ok { world.log[item.partition][item.index].isSettled = true }
    world.schedule(.produced, after: world.latency(10), node: index, life: life, a: number, b: ok ? 1 : 0)
  }

  func produced(_ world: World, _ number: Int, ok: Bool) {
    guard !produces[number].isAcknowledged else { return }
    guard ok else { return produce(world, number) }
    produces[number].isAcknowledged = true
    unproduced -= 1
    ledgers.finish(produces[number].handle)
    wantsTurn(world)
  }

  // MARK: Revokes

  /// Tasks that wait, and above which nothing of their partition was started: whoever gets the partition fetches
  /// them. The others run to the end, else what finished above them would be done twice.
  func dropTail(_ world: World) {
    recall()
    var highest: [Int: Offset] = [:]
    table.visitOccupied { ticket, task in
      guard self.scheduler.isRunning(ticket.slot), let offset = self.offsets[ticket] else { return }
      highest[task.partition] = max(highest[task.partition] ?? offset, offset)
    }
    for item in produces where !item.isAcknowledged {
      let offset = Offset(world.log[item.partition][item.index].offset)
      highest[item.partition] = max(highest[item.partition] ?? offset, offset)
    }
    dropWaiting { ticket, task in
      let cut = ledgers.firstDroppable(Partition(Int32(task.partition)), highestStarted: highest[task.partition])
      return offsets[ticket].map { $0 >= cut } ?? true
    }
    standByAgain(world)
  }

  private func dropWaiting(_ isChosen: (InFlightTicket, Task) -> Bool) {
    var chosen: [InFlightTicket] = []
    table.visitOccupied { ticket, task in
      if self.scheduler.isWaiting(ticket.slot), isChosen(ticket, task) { chosen.append(ticket) }
    }
    for ticket in chosen {
      guard scheduler.cancelWaiting(ticket.slot) != nil else { continue }
      _ = table.remove(ticket)
      offsets[ticket] = nil
    }
  }

  /// - Parameter generation: newest that is cancelled.
  func cancelRunning(_ world: World, upTo generation: UInt32) {
    recall()
    dropWaiting { _, task in task.generation <= generation }
    var running: [Int32] = []
    table.visitOccupied { ticket, task in
      if task.generation <= generation { running.append(ticket.slot) }
    }
    for slot in running { table[slot]?.isCancelled = true }
    standByAgain(world)
  }
}
