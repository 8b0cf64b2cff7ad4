// What runs for every entry on the reactor: the offset ledger, the in-flight table and the keyed scheduler.
import Benchmark
import BenchmarkSupport
import PipelineCore

private struct LedgerSubject {
  var ledger = OffsetLedger()
  var offset: Int64 = 0
  var handles: [OffsetLedger.Handle] = []
}

/// Begins and finishes `count` entries in windows of 32, the newest half first.
private func beginAndFinish(_ subject: inout LedgerSubject, _ count: Int) {
  for _ in 0..<count / 25 {
    for _ in 0..<25 {
      if let handle = subject.ledger.begin(Offset(subject.offset)) { subject.handles.append(handle) }
      subject.offset += 1
    }
    while let handle = subject.handles.popLast() { _ = subject.ledger.finish(handle) }
    blackHole(subject.ledger.takeCommittable())
  }
}

private struct SchedulerSubject {
  var scheduler = KeyedScheduler(.init(concurrency: 32, waitingMax: 32))
  var table = InFlightTable<UInt64>(countMax: 64)
  var running: [InFlightTicket] = []
  var key: UInt64 = 0
}

/// Takes and finishes `count` entries, of which each `repeatEvery`-th has the key of the one before.
private func takeAndFinish(_ subject: inout SchedulerSubject, _ count: Int, repeatEvery: UInt64) {
  var done = 0
  while done < count {
    while subject.scheduler.hasRoom, let ticket = subject.table.insert(subject.key) {
      subject.key &+= 1
      let key = subject.key % repeatEvery == 0 ? subject.key &- 1 : subject.key
      if subject.scheduler.enqueue(key: key &* 0x9E37_79B9_7F4A_7C15, slot: ticket.slot) == .run {
        subject.running.append(ticket)
      }
    }
    guard let ticket = subject.running.popLast() else { return }
    _ = subject.scheduler.end(ticket.slot)
    _ = subject.table.remove(ticket)
    done += 1
    if let next = subject.scheduler.startReady(), let waiting = subject.table.ticket(slot: next) { subject.running.append(waiting) }
  }
}

let benchmarks: @Sendable () -> Void = {
  registerEntryBenchmarks()

  measure("ledger: begin and finish") {
    LedgerSubject()
  } operations: {
    beginAndFinish(&$0, $1)
  }

  measure("ledger: begin and finish behind one stuck entry, a million wide") {
    var subject = LedgerSubject()
    _ = subject.ledger.begin(Offset(0))
    subject.offset = 1
    while subject.offset < 1_000_000 {
      if let handle = subject.ledger.begin(Offset(subject.offset)) { _ = subject.ledger.finish(handle) }
      subject.offset += 1
    }
    return subject
  } operations: {
    beginAndFinish(&$0, $1)
  }

  measure("scheduler: take and finish, all keys different") {
    SchedulerSubject()
  } operations: {
    takeAndFinish(&$0, $1, repeatEvery: .max)
  }
  measure("scheduler: take and finish, every fourth waits for its key") {
    SchedulerSubject()
  } operations: {
    takeAndFinish(&$0, $1, repeatEvery: 4)
  }
}
