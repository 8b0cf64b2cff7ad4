// The world of one schedule: virtual time, the log, the stored state, the nodes, and what must hold.
//
// One seed decides everything: the shape of the world, each latency, each fault. A broken promise is recorded with the
// trace that led to it; nothing else stops a run early.

import PipelineCore
import TestSupport

/// What a schedule is made of.
struct Shape {
  /// Without kills, freezes, losses and tasks that outlast a drain: then every entry must run exactly once.
  var isCalm: Bool
  var mode: PauseMode
  var nodes: Int
  var partitions: Int
  var keys: Int
  var entries: Int
  var limits: KeyedScheduler.Limits
  /// Virtual milliseconds until the faults end.
  var length: Int64
  var operations: Int
  var sessionTimeoutMs: Int64
  var rebalanceTimeoutMs: Int64
  var drainMs: Int64
  var commitIntervalMs: Int64
  /// Commits the broker refuses or loses, in percent.
  var refusals: Int

  init(_ random: inout SeededRandom) {
    isCalm = random.chance(40)
    mode = random.chance(50) ? .hold : .unsubscribe
    nodes = 1 + random.below(3)
    partitions = 1 + random.below(4)
    keys = 1 + random.below(6)
    entries = 4 + random.below(28)
    limits = KeyedScheduler.Limits(
      concurrency: 1 + random.below(4), waitingMax: random.below(5), keyWaitingMax: 1 + random.below(3))
    length = 200 + Int64(random.below(3000))
    operations = random.below(12)
    sessionTimeoutMs = 300 + Int64(random.below(300))
    // Short ones end before a drain does: then a grant can overtake it.
    rebalanceTimeoutMs = isCalm ? 60_000 : random.chance(40) ? 40 + Int64(random.below(300)) : 20_000
    // In a calm schedule longer than any task, yet short enough for the timer of one drain to fire within another.
    drainMs = isCalm ? 1500 + Int64(random.below(1000)) : 60 + Int64(random.below(400))
    refusals = random.chance(30) ? 50 : 8
    commitIntervalMs = random.chance(30) ? 0 : Int64(random.below(400))
  }
}

struct LogEntry {
  enum Kind: UInt8 { case copy, stuck, garbage, skip }
  var offset: Int64
  var key: Int
  var kind: Kind
  /// Its effect and its status (or its dead letter) are durable.
  var isSettled = false
  /// Dispatches to a worker, over all nodes and lives.
  var runs = 0
  /// One of them has ended, whatever became of its status.
  var hasEffect = false
}

final class World {
  let seed: UInt64
  let shape: Shape
  var random: SeededRandom
  var now: Int64 = 0
  var events = EventQueue()
  var log: [[LogEntry]]
  var nodes: [SimNode] = []
  let group: Group
  let control: ControlPlane
  /// RPCs wait until the broker is back.
  var brokerDownUntil: Int64 = 0
  var faultsEnded = false
  var coverage = Coverage()
  var hasRewound: [Bool]
  private(set) var violation: String?
  private var trace: [String] = []
  let isTracing: Bool
  /// Newest effect per key, to see the order in which the target was written.
  private var lastEffect: [Int64]

  /// Entries still to be appended, and their partitions by key.
  private var unappended: Int

  init(seed: UInt64, isTracing: Bool = false) {
    self.seed = seed
    self.isTracing = isTracing
    random = SeededRandom(seed: seed)
    shape = Shape(&random)
    log = Array(repeating: [], count: shape.partitions)
    lastEffect = Array(repeating: -1, count: shape.keys)
    unappended = shape.entries
    hasRewound = Array(repeating: false, count: shape.partitions)
    group = Group(partitions: shape.partitions)
    control = ControlPlane(paused: random.chance(25))
    nodes = (0..<shape.nodes).map { SimNode(index: $0, shape: shape) }
  }

  // MARK: Time

  func schedule(_ kind: SimEvent.Kind, after delay: Int64, node: Int = -1, life: Int = 0, a: Int = 0, b: Int = 0) {
    events.push(SimEvent(at: now + delay, order: 0, kind: kind, node: node, life: life, a: a, b: b))
  }

  func latency(_ max: Int) -> Int64 { Int64(1 + random.below(max)) }

  /// True with that chance, never in a calm schedule or after the faults.
  func fault(_ percent: Int) -> Bool { !shape.isCalm && !faultsEnded && random.chance(percent) }

  func note(_ text: @autoclosure () -> String) {
    if isTracing { trace.append("\(now) \(text())") }
  }

  func fail(_ text: @autoclosure () -> String) {
    guard violation == nil else { return }
    violation = "at \(now) ms: \(text())"
    if isTracing { trace.append("VIOLATION \(violation ?? "")") }
  }

  var history: String { trace.suffix(400).joined(separator: "\n") }

  // MARK: The log

  func append() {
    guard unappended > 0 else { return }
    unappended -= 1
    let key = random.below(shape.keys)
    let partition = key % shape.partitions
    // Gaps: compaction, transaction markers.
    let last = log[partition].last?.offset ?? Int64(random.below(5)) - 1
    let kind: LogEntry.Kind =
      switch random.below(20) {
      case 0: .skip
      case 1: .garbage
      case 2 where !shape.isCalm: .stuck
      default: .copy
      }
    log[partition].append(LogEntry(offset: last + 1 + (random.chance(20) ? Int64(random.below(50)) : 0), key: key, kind: kind))
    for node in nodes { node.wantsTurn(self) }
  }

  func appendAll() { while unappended > 0 { append() } }

  /// Index of the first entry at or above an offset.
  func index(_ partition: Int, _ offset: Int64) -> Int {
    log[partition].firstIndex { $0.offset >= offset } ?? log[partition].count
  }

  // MARK: What must hold

  /// A commit reached the broker and was accepted.
  func checkCommit(_ partition: Int, _ offset: Int64) {
    for entry in log[partition] where entry.offset < offset && !entry.isSettled {
      fail("partition \(partition) committed to \(offset) over unfinished \(entry.offset)")
    }
    // Only a delivery from further back moves a commit back (the topic may have been made anew).
    if offset < group.committed[partition], !hasRewound[partition] {
      fail("the commit of partition \(partition) moved back to \(offset)")
    }
  }

  func checkStart(_ node: SimNode, _ partition: Int, _ entryIndex: Int) {
    log[partition][entryIndex].runs += 1
    let entry = log[partition][entryIndex]
    // Repeated or not, faults or not: nobody begins what is newer before what is older has been done by somebody.
    if entry.runs == 1,
      let older = log[partition][..<entryIndex].last(where: { $0.key == entry.key && $0.kind != .skip && !$0.hasEffect })
    {
      fail("key \(entry.key): \(partition)/\(entry.offset) begins before \(older.offset) has been done")
    }
    if shape.isCalm, entry.runs > 1 { fail("entry \(partition)/\(entry.offset) runs a second time in a calm schedule") }
    if node.location.effective == .disabled { fail("node \(node.index) starts \(partition)/\(entry.offset) while disabled") }
    // What `?wait` promises: every live node has reported the stored pause as in effect, so nothing may start anywhere.
    if control.state.isPaused, nodes.allSatisfy({ !$0.isAlive || $0.hasReportedPause(control.version) }) {
      fail("node \(node.index) starts \(partition)/\(entry.offset) after every node reported the pause")
    }
  }

  func effect(_ partition: Int, _ entryIndex: Int) {
    log[partition][entryIndex].hasEffect = true
    let entry = log[partition][entryIndex]
    if shape.isCalm, lastEffect[entry.key] > entry.offset {
      fail("key \(entry.key): \(entry.offset) written after \(lastEffect[entry.key])")
    }
    lastEffect[entry.key] = entry.offset
  }
}
