// Order per key and bounds (upstream rows 64-69), and random schedules against a naive model.

import TestSupport
import Testing

@testable import PipelineCore

/// A free list beside the scheduler, as the in-flight table is in the daemon.
private struct Bench {
  var scheduler: KeyedScheduler
  var free: [Int32]
  var key: [Int32: UInt64] = [:]

  init(_ limits: KeyedScheduler.Limits) {
    scheduler = KeyedScheduler(limits)
    free = (0..<Int32(limits.slotMax)).reversed()
  }

  mutating func push(_ key: UInt64) -> (slot: Int32, admission: KeyedScheduler.Admission)? {
    guard let slot = free.popLast() else { return nil }
    let admission = scheduler.enqueue(key: key, slot: slot)
    switch admission {
    case .run, .ready, .waiting, .waitingKeyAtCap: self.key[slot] = key
    case .keyFull, .full: free.append(slot)
    }
    return (slot, admission)
  }

  mutating func end(_ slot: Int32, done: UInt64 = 0) -> KeyedScheduler.Ended {
    free.append(slot)
    key[slot] = nil
    return scheduler.end(slot, done: done)
  }

  /// - Returns: what starts in its place.
  mutating func finish(_ slot: Int32, done: UInt64 = 0) -> (next: Int32?, keyRelieved: Bool) {
    let ended = end(slot, done: done)
    return (scheduler.startReady(), ended.keyRelieved)
  }
}

@Test func tasksOfOneKeyRunInOrderOneAtATime() throws {
  var bench = Bench(.init(concurrency: 10, waitingMax: 100))
  var random = SeededRandom(seed: 64)
  var value: [Int32: (key: UInt64, number: Int)] = [:]
  var running: [Int32] = []
  for number in 0..<10 {
    for key in 1...10 {
      let (slot, admission) = try unwrap(bench.push(UInt64(key)))
      value[slot] = (UInt64(key), number)
      #expect(admission == (number == 0 ? .run : .waiting))
      if admission == .run { running.append(slot) }
    }
  }
  var done: [UInt64: [Int]] = [:]
  while !running.isEmpty {
    let slot = running.remove(at: random.below(running.count))
    let item = try #require(value[slot])
    done[item.key, default: []].append(item.number)
    if let next = bench.finish(slot).next { running.append(next) }
  }
  for key in 1...10 { #expect(done[UInt64(key)] == Array(0..<10)) }
  #expect(bench.scheduler.keyCount == 0)
}

@Test func aKeysNextTaskIsToldWhatWasDoneBefore() throws {
  var bench = Bench(.init(concurrency: 2, waitingMax: 4))
  let first = try unwrap(bench.push(1)).slot
  let second = try unwrap(bench.push(1)).slot
  let third = try unwrap(bench.push(1)).slot
  expectEqual(bench.finish(first, done: 77).next, second)
  #expect(bench.scheduler.previousDone(second) == 77)
  // The second fails: what the first has done is still the last thing done.
  expectEqual(bench.finish(second).next, third)
  #expect(bench.scheduler.previousDone(third) == 77)
  _ = bench.finish(third)
  // Whoever comes when none waited knows nothing of it.
  let fourth = try unwrap(bench.push(1))
  #expect(fourth.admission == .run && bench.scheduler.previousDone(fourth.slot) == 0)
}

@Test func waitingTasksHoldNoWorkerAndOtherKeysPassBy() throws {
  var bench = Bench(.init(concurrency: 2, waitingMax: 3))
  let hot = try unwrap(bench.push(1))
  #expect(hot.admission == .run)
  expectEqual(try unwrap(bench.push(1)).admission, .waiting)
  expectEqual(try unwrap(bench.push(1)).admission, .waiting)
  expectEqual(try unwrap(bench.push(2)).admission, .run)
  let third = try unwrap(bench.push(3))
  #expect(third.admission == .ready)
  #expect(bench.scheduler.runningCount == 2)
  // The hot key's next task was ready last: the other key goes first.
  expectEqual(bench.finish(hot.slot).next, third.slot)
}

@Test func aKeyAtItsCapIsReportedAndRelievedAtHalf() throws {
  var bench = Bench(.init(concurrency: 2, waitingMax: 10, keyWaitingMax: 4))
  var front = try unwrap(bench.push(1)).slot
  for _ in 0..<3 { expectEqual(try unwrap(bench.push(1)).admission, .waiting) }
  expectEqual(try unwrap(bench.push(1)).admission, .waitingKeyAtCap)
  expectEqual(try unwrap(bench.push(1)).admission, .keyFull)
  expectEqual(try unwrap(bench.push(2)).admission, .run)
  var relieved: [Bool] = []
  for _ in 0..<5 {
    let finished = bench.finish(front)
    relieved.append(finished.keyRelieved)
    front = finished.next ?? -1
  }
  #expect(relieved == [false, true, false, false, false])
}

@Test func nothingWaitsBeyondTheBound() throws {
  var bench = Bench(.init(concurrency: 1, waitingMax: 2, keyWaitingMax: 5))
  let first = try unwrap(bench.push(1)).slot
  expectEqual(try unwrap(bench.push(2)).admission, .ready)
  expectEqual(try unwrap(bench.push(3)).admission, .ready)
  #expect(!bench.scheduler.hasRoom)
  expectEqual(bench.push(4)?.slot, nil)
  _ = bench.finish(first)
  #expect(bench.scheduler.hasRoom)
}

@Test func whileAFreeWorkerIsLeftAFreeKeyRunsAndABusyOneIsRefused() throws {
  var bench = Bench(.init(concurrency: 3, waitingMax: 1))
  expectEqual(try unwrap(bench.push(1)).admission, .run)
  expectEqual(try unwrap(bench.push(1)).admission, .waitingKeyAtCap)
  #expect(bench.scheduler.hasRoom)
  expectEqual(try unwrap(bench.push(2)).admission, .run)
  expectEqual(try unwrap(bench.push(2)).admission, .full)
  expectEqual(try unwrap(bench.push(3)).admission, .run)
  #expect(!bench.scheduler.hasRoom)
}

@Test func cancelledTasksNeverRunAndTheirKeyGoesOn() throws {
  var bench = Bench(.init(concurrency: 1, waitingMax: 10))
  let running = try unwrap(bench.push(1)).slot
  let ready = try unwrap(bench.push(2)).slot
  let behindReady = try unwrap(bench.push(2)).slot
  let behindRunning = try unwrap(bench.push(1)).slot
  let last = try unwrap(bench.push(1)).slot
  expectEqual(bench.scheduler.cancelWaiting(running), nil)
  expectEqual(bench.scheduler.cancelWaiting(ready), false)
  expectEqual(bench.scheduler.cancelWaiting(behindRunning), false)
  #expect(bench.scheduler.waitingCount == 2)
  expectEqual(bench.finish(running).next, behindReady)
  expectEqual(bench.finish(behindReady).next, last)
  expectEqual(bench.finish(last).next, nil)
  #expect(bench.scheduler.keyCount == 0)
}

@Test func theOwnerMayStartWhatIsReadyAsItLikes() throws {
  var bench = Bench(.init(concurrency: 1, waitingMax: 10))
  let running = try unwrap(bench.push(1)).slot
  let behind = try unwrap(bench.push(1)).slot
  let second = try unwrap(bench.push(2)).slot
  let third = try unwrap(bench.push(3)).slot
  #expect(bench.scheduler.isReady(second) && !bench.scheduler.isReady(behind))
  var ready: [Int32] = []
  bench.scheduler.visitReady { ready.append($0) }
  #expect(ready == [second, third])
  // It began before its owner heard of the end that made place for it.
  bench.scheduler.began(third)
  #expect(bench.scheduler.runningCount == 2 && bench.scheduler.waitingCount == 2)
  expectEqual(bench.end(running).ready, behind)
  expectEqual(bench.scheduler.startReady(), nil)
  expectEqual(bench.finish(third).next, second)
  expectEqual(bench.finish(second).next, behind)
  expectEqual(bench.finish(behind).next, nil)
  #expect(bench.scheduler.keyCount == 0 && bench.scheduler.waitingCount == 0)
}

@Test(arguments: 0..<60)
func randomSchedulesAgreeWithTheNaiveModel(seed: Int) throws {
  var random = SeededRandom(seed: UInt64(seed))
  let limits = KeyedScheduler.Limits(
    concurrency: 1 + random.below(6), waitingMax: random.below(20), keyWaitingMax: 1 + random.below(8))
  var bench = Bench(limits)
  var queues: [UInt64: [Int32]] = [:]
  var running: Set<Int32> = []
  func start(_ slot: Int32) throws {
    let key = try #require(bench.key[slot])
    #expect(queues[key]?.first == slot, "seed \(seed): out of order")
    expectEqual(running.insert(slot).inserted, true)
    #expect(running.count <= limits.concurrency, "seed \(seed): too many run")
  }
  for _ in 0..<2000 {
    switch random.below(100) {
    case 0..<55:
      let key = UInt64(random.below(7)) &* 0x1_0000_0001
      guard let (slot, admission) = bench.push(key) else { continue }
      switch admission {
      case .run:
        queues[key, default: []].append(slot)
        try start(slot)
      case .ready:
        #expect(queues[key, default: []].isEmpty, "seed \(seed): ready behind another")
        queues[key, default: []].append(slot)
      case .waiting, .waitingKeyAtCap: queues[key, default: []].append(slot)
      case .keyFull: #expect(queues[key]?.count == limits.keyWaitingMax + 1, "seed \(seed)")
      case .full: #expect(bench.scheduler.waitingCount == limits.waitingMax, "seed \(seed)")
      }
    case 55..<95:
      guard let slot = running.randomElement(using: &random) else { continue }
      running.remove(slot)
      let key = try #require(bench.key[slot])
      queues[key]?.removeFirst()
      let ended = bench.end(slot)
      #expect(ended.ready == queues[key]?.first, "seed \(seed)")
      var ready: [Int32] = []
      bench.scheduler.visitReady { ready.append($0) }
      // The one that is ready for longest, or any.
      if random.below(2) == 0, let chosen = ready.randomElement(using: &random) {
        bench.scheduler.began(chosen)
        try start(chosen)
      } else {
        let next = bench.scheduler.startReady()
        #expect(next == ready.first, "seed \(seed)")
        if let next { try start(next) }
      }
    default:
      let waiting = queues.values.joined().filter { !running.contains($0) }.sorted()
      guard !waiting.isEmpty else { continue }
      let slot = waiting[random.below(waiting.count)]
      _ = try unwrap(bench.scheduler.cancelWaiting(slot))
      queues[try #require(bench.key[slot])]?.removeAll { $0 == slot }
      bench.key[slot] = nil
      bench.free.append(slot)
    }
    let total = queues.values.reduce(0) { $0 + $1.count }
    #expect(bench.scheduler.runningCount == running.count)
    #expect(bench.scheduler.waitingCount == total - running.count)
    #expect(bench.scheduler.keyCount == queues.values.filter { !$0.isEmpty }.count)
    // Nobody idles while something is ready.
    let ready = queues.values.filter { queue in queue.first.map { !running.contains($0) } ?? false }.count
    #expect(ready == 0 || running.count == limits.concurrency, "seed \(seed)")
  }
}
