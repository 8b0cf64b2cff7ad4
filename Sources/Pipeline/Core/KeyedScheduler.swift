// Which task may run now: tasks of one key run one at a time in the order they came, other keys pass by.
//
// Invariants: at most one running slot per key; at most `concurrency` running; at most `waitingMax` waiting, of one
// key at most `keyWaitingMax`. A waiting task occupies no worker. All storage is there from the start: per-slot links
// for the key's queue (FIFO), for the ready queue (free to run, no worker yet), and one hash index from key to the
// slot at the front of the key's queue. Two keys with equal hashes are merely run one after the other.
// What is ready starts in the order it became so (`startReady`), or as the owner lets it (`began`): workers take the next
// task themselves and say so later.
// Order rule: backbeat `lib/tasks/TaskScheduler.js`. A repeat of queued work is not refused as there: only the worker knows what an
// entry asks for, so it is told what the key's task before has done, and skips the same.
// It deliberately knows nothing of partitions, revokes or retries: the owner cancels the waiting tasks it has lost.

public struct KeyedScheduler: Sendable {
  public struct Limits: Hashable, Sendable {
    /// Tasks running at a time, at least 1.
    public var concurrency: Int
    /// Tasks waiting, for a worker or behind their key; at least 0.
    public var waitingMax: Int
    /// Of one key; at least 1.
    public var keyWaitingMax: Int
    /// Entries whose task has ended and that are not finished: their slots are in use, but nothing here counts them; at least 0.
    public var endedMax: Int

    public init(concurrency: Int = 10, waitingMax: Int = 10, keyWaitingMax: Int? = nil, endedMax: Int = 0) {
      self.concurrency = concurrency
      self.waitingMax = waitingMax
      self.keyWaitingMax = keyWaitingMax ?? max(1, waitingMax)
      self.endedMax = endedMax
    }
    /// Tasks that run or wait.
    public var taskMax: Int { concurrency + waitingMax }
    /// Slots needed: `InFlightTable(countMax:)` takes the same number.
    public var slotMax: Int { taskMax + endedMax }
  }

  public enum Admission: Hashable, Sendable {
    /// Start it now.
    case run
    /// Its key is free and it waits for a place, until `startReady` names it or the owner says that it `began`.
    case ready
    /// It is queued behind its key; `end` will name it when it is ready.
    case waiting
    /// Queued, and its key is at its cap now: pause that partition until `Ended.keyRelieved`.
    case waitingKeyAtCap
    /// Refused, its key is at its cap: pause that partition and fetch the entry again later.
    case keyFull
    /// Refused, nothing more may wait: stop taking and fetch the entry again later.
    case full
  }

  public struct Ended: Hashable, Sendable {
    /// The key's next task, which is ready now.
    public var ready: Int32?
    /// The task's key was at its cap and has half of it free again: its partition may go on.
    public var keyRelieved: Bool
  }

  private enum State: UInt8 { case idle, running, ready, chained }

  private struct Node {
    var key: UInt64 = 0
    var previousDone: UInt64 = 0
    var next: Int32 = -1
    var previous: Int32 = -1
    var readyNext: Int32 = -1
    var readyPrevious: Int32 = -1
    /// At the front of a key's queue only: its last slot and how many stand behind the front.
    var tail: Int32 = -1
    var behind: Int32 = 0
    var wasAtCap = false
    var state = State.idle
  }

  public let limits: Limits
  public private(set) var runningCount = 0
  public private(set) var waitingCount = 0

  private var nodes: [Node]
  private var fronts: HashIndex
  private var readyFirst: Int32 = -1
  private var readyLast: Int32 = -1

  public init(_ limits: Limits) {
    precondition(limits.concurrency >= 1 && limits.waitingMax >= 0 && limits.keyWaitingMax >= 1)
    self.limits = limits
    nodes = Array(repeating: Node(), count: limits.slotMax)
    fronts = HashIndex(countMax: limits.slotMax)
  }

  /// Keys with something queued or running.
  var keyCount: Int { fronts.count }
  /// Any entry is admitted, except one of a key at its cap. While false but `runningCount < concurrency`, an entry of
  /// a free key would still run, one of a busy key be refused.
  public var hasRoom: Bool { waitingCount < limits.waitingMax || runningCount < limits.concurrency }

  /// Takes a task in.
  /// - Parameter key: hash of bucket and key (`EntryHead.orderKey`).
  /// - Parameter slot: free slot of the in-flight table, below `limits.slotMax`.
  public mutating func enqueue(key: UInt64, slot: Int32) -> Admission {
    precondition(nodes[Int(slot)].state == .idle, "slot \(slot) is taken")
    let front = fronts.find(key)
    return front < 0 ? admitFront(key: key, slot: slot) : admitBehind(front, key: key, slot: slot)
  }

  /// A running task ended. Its slot is free; what comes in its place is the owner's to say (`startReady`, `began`).
  /// - Parameter done: its dedupe hash if it succeeded, else 0; handed to the key's next task as `previousDone`.
  public mutating func end(_ slot: Int32, done: UInt64 = 0) -> Ended {
    precondition(nodes[Int(slot)].state == .running, "slot \(slot) is not running")
    runningCount -= 1
    let successor = nodes[Int(slot)].next
    let relieved = successor >= 0 ? promote(successor, over: slot) : closeKey(slot)
    if successor >= 0 {
      nodes[Int(successor)].previousDone = done != 0 ? done : nodes[Int(slot)].previousDone
      nodes[Int(successor)].state = .ready
      appendReady(successor)
    }
    nodes[Int(slot)] = Node()
    return Ended(ready: successor >= 0 ? successor : nil, keyRelieved: relieved)
  }

  /// A task that was ready has started, as its owner decided. Until it is told which task made place for it, one more than
  /// `concurrency` may seem to run.
  public mutating func began(_ slot: Int32) {
    precondition(isReady(slot), "slot \(slot) is not ready")
    unlinkReady(slot)
    nodes[Int(slot)].state = .running
    waitingCount -= 1
    runningCount += 1
  }

  /// Calls back for each task that is ready, the one that is for longest first.
  public func visitReady(_ body: (Int32) -> Void) {
    var slot = readyFirst
    while slot >= 0 {
      body(slot)
      slot = nodes[Int(slot)].readyNext
    }
  }

  /// Drops a task that waits (its partition was lost). - Returns: nil if it does not wait, else whether its key was
  /// at its cap and is relieved now.
  public mutating func cancelWaiting(_ slot: Int32) -> Bool? {
    let node = nodes[Int(slot)]
    var relieved = false
    switch node.state {
    case .idle, .running: return nil
    case .ready:
      if node.next >= 0 {
        relieved = promote(node.next, over: slot)
        nodes[Int(node.next)].previousDone = node.previousDone
        nodes[Int(node.next)].state = .ready
        replaceReady(slot, with: node.next)
      } else {
        relieved = closeKey(slot)
        unlinkReady(slot)
      }
    case .chained:
      let front = Int(fronts.find(node.key))
      nodes[Int(node.previous)].next = node.next
      if node.next >= 0 { nodes[Int(node.next)].previous = node.previous } else { nodes[front].tail = node.previous }
      nodes[front].behind -= 1
      relieved = relieve(front)
    }
    waitingCount -= 1
    nodes[Int(slot)] = Node()
    return relieved
  }

  /// Starts what is ready for longest. - Returns: nil when nothing is, or nothing may.
  public mutating func startReady() -> Int32? {
    guard runningCount < limits.concurrency, readyFirst >= 0 else { return nil }
    let slot = readyFirst
    began(slot)
    return slot
  }

  /// Dedupe hash of the task of this key that succeeded last while others of the key were already waiting; else 0.
  /// The worker skips a task whose own hash is equal.
  public func previousDone(_ slot: Int32) -> UInt64 { nodes[Int(slot)].previousDone }

  public func isRunning(_ slot: Int32) -> Bool { nodes[Int(slot)].state == .running }
  public func isReady(_ slot: Int32) -> Bool { nodes[Int(slot)].state == .ready }
  public func isWaiting(_ slot: Int32) -> Bool { nodes[Int(slot)].state == .ready || nodes[Int(slot)].state == .chained }

  private mutating func admitFront(key: UInt64, slot: Int32) -> Admission {
    let runs = runningCount < limits.concurrency && readyFirst < 0
    guard runs || waitingCount < limits.waitingMax else { return .full }
    nodes[Int(slot)] = Node(key: key, tail: slot, state: runs ? .running : .ready)
    fronts.set(key, slot)
    if runs {
      runningCount += 1
      return .run
    }
    appendReady(slot)
    waitingCount += 1
    return .ready
  }

  private mutating func admitBehind(_ front: Int32, key: UInt64, slot: Int32) -> Admission {
    let head = Int(front)
    guard nodes[head].behind < limits.keyWaitingMax else {
      nodes[head].wasAtCap = true
      return .keyFull
    }
    guard waitingCount < limits.waitingMax else { return .full }
    let last = nodes[head].tail
    nodes[Int(slot)] = Node(key: key, previous: last, state: .chained)
    nodes[Int(last)].next = slot
    nodes[head].tail = slot
    nodes[head].behind += 1
    waitingCount += 1
    guard nodes[head].behind >= limits.keyWaitingMax else { return .waiting }
    nodes[head].wasAtCap = true
    return .waitingKeyAtCap
  }

  /// The key's next task comes to the front in place of `slot`. - Returns: whether the key was relieved.
  private mutating func promote(_ successor: Int32, over slot: Int32) -> Bool {
    let old = nodes[Int(slot)]
    let new = Int(successor)
    nodes[new].previous = -1
    nodes[new].tail = old.tail
    nodes[new].behind = old.behind - 1
    nodes[new].wasAtCap = old.wasAtCap
    fronts.set(old.key, successor)
    return relieve(new)
  }

  /// The key has nothing left. - Returns: whether it was at its cap before.
  private mutating func closeKey(_ slot: Int32) -> Bool {
    fronts.remove(nodes[Int(slot)].key)
    return nodes[Int(slot)].wasAtCap
  }

  private mutating func relieve(_ front: Int) -> Bool {
    guard nodes[front].wasAtCap, Int(nodes[front].behind) <= limits.keyWaitingMax / 2 else { return false }
    nodes[front].wasAtCap = false
    return true
  }

  private mutating func appendReady(_ slot: Int32) {
    nodes[Int(slot)].readyPrevious = readyLast
    nodes[Int(slot)].readyNext = -1
    if readyLast >= 0 { nodes[Int(readyLast)].readyNext = slot } else { readyFirst = slot }
    readyLast = slot
  }

  private mutating func unlinkReady(_ slot: Int32) {
    let next = nodes[Int(slot)].readyNext
    let previous = nodes[Int(slot)].readyPrevious
    if previous >= 0 { nodes[Int(previous)].readyNext = next } else { readyFirst = next }
    if next >= 0 { nodes[Int(next)].readyPrevious = previous } else { readyLast = previous }
    nodes[Int(slot)].readyNext = -1
    nodes[Int(slot)].readyPrevious = -1
  }

  private mutating func replaceReady(_ slot: Int32, with successor: Int32) {
    let node = nodes[Int(slot)]
    nodes[Int(successor)].readyPrevious = node.readyPrevious
    nodes[Int(successor)].readyNext = node.readyNext
    if node.readyPrevious >= 0 { nodes[Int(node.readyPrevious)].readyNext = successor } else { readyFirst = successor }
    if node.readyNext >= 0 { nodes[Int(node.readyNext)].readyPrevious = successor } else { readyLast = successor }
  }
}
