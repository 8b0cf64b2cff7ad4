// What of one partition is in process, and up to where it may be committed (backbeat `lib/OffsetLedger.js`).
//
// Invariant: `committable` never passes an entry that was begun and is not finished. Entries are kept in the order
// of delivery in a ring that grows in powers of two, so a gap in the offsets (compaction, transaction markers)
// costs nothing and one stuck entry may hold a window of a million finished ones behind it.
// A delivery at or below the last one is a re-delivery: everything from that offset on is forgotten and begins
// again, and the handles of the forgotten run finish nothing. The same holds for handles from before `dropAll`.
// It deliberately knows neither partitions nor brokers: `LedgerTable` holds one of these per assigned partition.

public struct OffsetLedger: Sendable {
  /// Entries between the lowest unfinished one and the newest. The owner pauses the partition when `isFull`.
  public static let windowMaxDefault = 1 << 20
  /// Ring storage kept when the window is empty again; a larger ring is given back.
  static let capacityKept = 4096
  static let capacityFirst = 16

  /// Names one delivery of one entry. Worthless after a re-delivery of that offset or `dropAll`.
  public struct Handle: Hashable, Sendable {
    let sequence: Int
    let stamp: UInt64
  }

  private struct Entry {
    var offset: Int64
    /// Run it was begun in; the top bit says finished.
    var stamp: UInt64
  }

  private static let finishedBit: UInt64 = 1 << 63

  private var ring: [Entry]
  private var mask: Int
  /// Sequence numbers: `head` is the oldest entry still held, `tail` the next to be given out.
  private var head = 0
  private var tail = 0
  /// Generation of the assignment in the upper half, re-deliveries seen in the lower.
  private var stamp: UInt64
  private var latest: Int64 = -1
  private var lastTaken: Int64 = -1
  private let windowMax: Int

  /// Entries begun and not finished.
  public private(set) var inFlightCount = 0

  /// - Parameter generation: of the assignment this partition came with; below 2^31.
  /// - Parameter windowMax: entries, at least 1.
  public init(generation: UInt32 = 0, windowMax: Int = OffsetLedger.windowMaxDefault) {
    precondition(windowMax > 0 && generation < 1 << 31)
    self.windowMax = windowMax
    stamp = UInt64(generation) << 32
    ring = Array(repeating: Entry(offset: 0, stamp: 0), count: Self.capacityFirst)
    mask = Self.capacityFirst - 1
  }

  /// Entries between the lowest unfinished one and the newest, finished ones included.
  public var windowCount: Int { tail - head }
  /// No further entry fits until the oldest finishes: pause the partition.
  public var isFull: Bool { tail - head >= windowMax }
  /// The last offset delivered, nil before the first.
  public var latestConsumed: Offset? { latest < 0 ? nil : Offset(latest) }
  /// The lowest offset that is not finished, else the one after the newest; nil before the first delivery.
  public var committable: Offset? {
    if head < tail { return Offset(ring[head & mask].offset) }
    return latest < 0 ? nil : Offset(latest + 1)
  }

  /// An entry was delivered.
  /// - Parameter offset: at least 0. At or below the last one it is a re-delivery: all entries from it on are dropped.
  /// - Returns: nil when the window is full; the entry is then unknown to the ledger and must be fetched again.
  public mutating func begin(_ offset: Offset) -> Handle? {
    precondition(offset.value >= 0, "offset \(offset) is no position")
    if offset.value <= latest { rewind(to: offset.value) }
    guard !isFull else { return nil }
    if tail - head > mask { grow() }
    let handle = Handle(sequence: tail, stamp: stamp)
    ring[tail & mask] = Entry(offset: offset.value, stamp: stamp)
    tail += 1
    latest = offset.value
    inFlightCount += 1
    return handle
  }

  /// An entry is done: its effect and its status are durable.
  /// - Returns: false for a handle of a dropped run (re-delivered, revoked) and for one finished before.
  @discardableResult
  public mutating func finish(_ handle: Handle) -> Bool {
    guard handle.sequence >= head, handle.sequence < tail else { return false }
    let index = handle.sequence & mask
    guard ring[index].stamp == handle.stamp else { return false }
    ring[index].stamp |= Self.finishedBit
    inFlightCount -= 1
    if handle.sequence == head { advance() }
    return true
  }

  /// The committable offset if it moved since the last call (to be stored once before sleeping).
  public mutating func takeCommittable() -> Offset? {
    guard let offset = committable, offset.value != lastTaken else { return nil }
    lastTaken = offset.value
    return offset
  }

  /// Forgets everything: the partition was lost. Late handles finish nothing from here on.
  /// - Parameter generation: of the assignment it comes back with, different from all before.
  public mutating func dropAll(generation: UInt32) {
    precondition(generation < 1 << 31)
    stamp = UInt64(generation) << 32
    head = 0
    tail = 0
    latest = -1
    lastTaken = -1
    inFlightCount = 0
    giveBack()
  }

  /// Offsets begun and not finished, ascending. For export and tests: allocates, and costs the whole window.
  public var unfinished: [Offset] {
    (head..<tail).compactMap {
      let entry = ring[$0 & mask]
      return entry.stamp & Self.finishedBit == 0 ? Offset(entry.offset) : nil
    }
  }

  /// The newest finished entry that the commit has not passed, nil if there is none. Costs up to the whole window.
  public var highestFinished: Offset? {
    var sequence = tail
    while sequence > head {
      sequence -= 1
      if ring[sequence & mask].stamp & Self.finishedBit != 0 { return Offset(ring[sequence & mask].offset) }
    }
    return nil
  }

  private mutating func advance() {
    while head < tail, ring[head & mask].stamp & Self.finishedBit != 0 { head += 1 }
    if head == tail { giveBack() }
  }

  private mutating func rewind(to offset: Int64) {
    while tail > head, ring[(tail - 1) & mask].offset >= offset {
      tail -= 1
      if ring[tail & mask].stamp & Self.finishedBit == 0 { inFlightCount -= 1 }
    }
    stamp += 1
    latest = -1
    // What was finished and handed out may lie above the new position: the next take must see the move back.
    lastTaken = -1
    advance()
  }

  private mutating func giveBack() {
    guard mask + 1 > Self.capacityKept else { return }
    ring = Array(repeating: Entry(offset: 0, stamp: 0), count: Self.capacityKept)
    mask = Self.capacityKept - 1
  }

  private mutating func grow() {
    let capacity = (mask + 1) * 2
    var larger = Array(repeating: Entry(offset: 0, stamp: 0), count: capacity)
    for sequence in head..<tail { larger[sequence & (capacity - 1)] = ring[sequence & mask] }
    ring = larger
    mask = capacity - 1
  }
}
