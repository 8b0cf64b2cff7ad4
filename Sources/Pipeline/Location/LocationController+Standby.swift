// Entries that wait for nothing but a place: put where workers find them, started from there where a place is free, and taken back
// when partitions go. A worker that takes one says so later, with what it ended: until then the entry counts as waiting here.
internal import PipelineCore
internal import Reactor

extension LocationController {
  /// A waiting entry has a free key now. Where nothing stands by the scheduler keeps it.
  func standBy(_ slot: Int32) {
    guard let standby else { return }
    let (ticket, record) = waiting(slot)
    standby.push(item(ticket, record))
    fillPlaces()
  }

  /// Starts what waits for a place while places are free. Also of what stands by: a worker that ends an entry finds nothing if it
  /// comes before this thread has put something there.
  func fillPlaces() {
    guard let standby else {
      while let slot = scheduler.startReady() { start(slot: slot) }
      return
    }
    while scheduler.runningCount < options.limits.concurrency, let (item, _) = standby.take() {
      began(item.ticket, at: reactor.now)
      pool.submit(item)
    }
  }

  /// It runs; said for the second time if it was called back while it began.
  func began(_ ticket: InFlightTicket, at since: Instant) {
    guard inFlight.isCurrent(ticket), case .waiting = inFlight[ticket.slot]?.stage else { return }
    scheduler.began(ticket.slot)
    inFlight[ticket.slot]?.stage = .running(since: since)
  }

  /// Takes back what stands by, so that it is known of each entry whether it has begun. Nothing stands by then until `standByAgain`.
  func recall() {
    guard let standby else { return }
    let waiting = Set(standby.withdraw().map(\.ticket.slot))
    var begun: [Int32] = []
    scheduler.visitReady { if !waiting.contains($0) { begun.append($0) } }
    for slot in begun {
      if let ticket = inFlight.ticket(slot: slot) { began(ticket, at: reactor.now) }
    }
  }

  /// After `recall`: what is still to be done.
  func standByAgain() {
    var ready: [Int32] = []
    scheduler.visitReady { ready.append($0) }
    for slot in ready { standBy(slot) }
  }
}
