// Timers in a hierarchical wheel: six levels of 64 slots, one millisecond a tick. Arming, cancelling and firing cost
// the same with ten timers as with a million: a slot is a doubly linked list through a slab, and a bitmap a level
// finds the next occupied one. (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987, scheme 7.)
//
// Pure: the caller says what time it is. Timers never fire early; those of one advance fire in the order of their
// deadlines, equal ones in the order they were armed.

/// Names an armed timer; dead once it fired or was cancelled.
public struct TimerToken: Hashable, Sendable {
  let index: Int32
  let generation: UInt32
}

struct TimerWheel {
  enum Action {
    case none
    case closure((Reactor) -> Void)
    case target(any TimerTarget, payload: UInt64)
  }

  private struct Node {
    var deadlineNs: Int64 = 0
    var sequence: UInt64 = 0
    var next: Int32 = -1
    var previous: Int32 = -1
    /// level * 64 + slot while linked; -1 when free or due.
    var place: Int32 = -1
    var generation: UInt32 = 1
    var action: Action = .none
  }

  private static let levelCount = 6
  private static let tickNs: Int64 = 1_000_000
  /// Farther deadlines wait in the last level and are placed again when it comes round (2 years).
  private static let ticksMax: Int64 = 1 << (6 * 6)

  private var nodes: [Node] = []
  private var freeHead: Int32 = -1
  private var heads = [Int32](repeating: -1, count: levelCount * 64)
  private var occupied = [UInt64](repeating: 0, count: levelCount)
  private let originNs: Int64
  /// Ticks up to and including this one have been dealt with.
  private var elapsed: Int64 = 0
  private var sequence: UInt64 = 0
  private(set) var count = 0
  private var due: [Int32] = []

  init(now: Instant) { originNs = now.ns }

  // MARK: Arming

  mutating func insert(at deadline: Instant, _ action: Action) -> TimerToken {
    let index = allocate()
    sequence += 1
    nodes[Int(index)].deadlineNs = deadline.ns
    nodes[Int(index)].sequence = sequence
    nodes[Int(index)].action = action
    count += 1
    link(index)
    return TimerToken(index: index, generation: nodes[Int(index)].generation)
  }

  mutating func remove(_ token: TimerToken) -> Bool {
    let index = Int(token.index)
    guard index < nodes.count, nodes[index].generation == token.generation else { return false }
    unlink(token.index)
    release(token.index)
    return true
  }

  // MARK: Firing

  /// Collects what is due at `now`; `popDue` then hands it out one by one, so that a timer cancelled by an earlier
  /// one of the same advance does not fire.
  mutating func advance(to now: Instant) {
    let target = (now.ns - originNs) / Self.tickNs
    while let (level, slot, tick) = nextExpiration(), tick <= target {
      elapsed = max(elapsed, tick)
      var index = heads[level * 64 + slot]
      heads[level * 64 + slot] = -1
      occupied[level] &= ~(1 << UInt64(slot))
      while index >= 0 {
        let next = nodes[Int(index)].next
        nodes[Int(index)].place = -1
        if level == 0 || tickOf(index) <= elapsed { due.append(index) } else { link(index) }
        index = next
      }
    }
    elapsed = max(elapsed, target)
    guard due.count > 1 else { return }
    var sorted: [Int32] = []
    swap(&sorted, &due)
    sorted.sort { a, b in
      let (left, right) = (nodes[Int(a)], nodes[Int(b)])
      return (left.deadlineNs, left.sequence) > (right.deadlineNs, right.sequence)  // taken from the end
    }
    swap(&sorted, &due)
  }

  /// - Returns: the next action collected by `advance`, or nil.
  mutating func popDue() -> Action? {
    while let index = due.popLast() {
      let action = nodes[Int(index)].action
      let wasCancelled = if case .none = action { true } else { false }
      freeNode(index)
      if wasCancelled { continue }
      count -= 1
      nodes[Int(index)].generation &+= 1
      return action
    }
    return nil
  }

  /// When to look again, at the latest: exact for timers of the current 64 ms, else the start of a slot.
  var nextWake: Instant? {
    guard let (_, _, tick) = nextExpiration() else { return nil }
    return Instant(ns: originNs + tick * Self.tickNs)
  }

  // MARK: Slab and lists

  private func tickOf(_ index: Int32) -> Int64 {
    // Rounded up, so that a timer never fires before its deadline.
    (nodes[Int(index)].deadlineNs - originNs + Self.tickNs - 1) / Self.tickNs
  }

  private mutating func link(_ index: Int32) {
    // At the earliest the next tick: timers made while timers fire run in a later turn of the loop.
    let tick = min(max(tickOf(index), elapsed + 1), elapsed + Self.ticksMax - 1)
    let differing = UInt64(tick ^ elapsed) | 63
    let level = min((63 - differing.leadingZeroBitCount) / 6, Self.levelCount - 1)
    let slot = Int(tick >> Int64(6 * level)) & 63
    let place = level * 64 + slot
    let head = heads[place]
    nodes[Int(index)].next = head
    nodes[Int(index)].previous = -1
    nodes[Int(index)].place = Int32(place)
    if head >= 0 { nodes[Int(head)].previous = index }
    heads[place] = index
    occupied[level] |= 1 << UInt64(slot)
  }

  private mutating func unlink(_ index: Int32) {
    let node = nodes[Int(index)]
    guard node.place >= 0 else { return }
    if node.next >= 0 { nodes[Int(node.next)].previous = node.previous }
    if node.previous >= 0 {
      nodes[Int(node.previous)].next = node.next
    } else {
      heads[Int(node.place)] = node.next
      if node.next < 0 { occupied[Int(node.place) / 64] &= ~(1 << UInt64(Int(node.place) % 64)) }
    }
  }

  private mutating func release(_ index: Int32) {
    count -= 1
    let isDue = nodes[Int(index)].place < 0
    nodes[Int(index)].generation &+= 1
    nodes[Int(index)].action = .none
    // A due one still stands in `due`; popDue frees it.
    if !isDue { freeNode(index) }
  }

  private mutating func allocate() -> Int32 {
    if freeHead >= 0 {
      let index = freeHead
      freeHead = nodes[Int(index)].next
      return index
    }
    precondition(nodes.count < Int(Int32.max), "2^31 timers")
    nodes.append(Node())
    return Int32(nodes.count - 1)
  }

  private mutating func freeNode(_ index: Int32) {
    nodes[Int(index)].action = .none
    nodes[Int(index)].place = -1
    nodes[Int(index)].next = freeHead
    freeHead = index
  }

  /// The first occupied slot in time. Level 0 before level 1 and so on: what stands higher is always later, because a
  /// timer is placed by the highest bit in which its tick differs from the present one.
  private func nextExpiration() -> (level: Int, slot: Int, tick: Int64)? {
    for level in 0..<Self.levelCount where occupied[level] != 0 {
      let shift = Int64(6 * level)
      let here = Int(elapsed >> shift) & 63
      let bits = occupied[level]
      let rotated = here == 0 ? bits : (bits >> UInt64(here)) | (bits << UInt64(64 - here))
      let slot = (rotated.trailingZeroBitCount + here) & 63
      let levelRange: Int64 = 1 << (shift + 6)
      var tick = (elapsed & ~(levelRange - 1)) + (Int64(slot) << shift)
      if tick <= elapsed && (level == Self.levelCount - 1 || tick < elapsed) { tick += levelRange }
      return (level, slot, tick)
    }
    return nil
  }
}
