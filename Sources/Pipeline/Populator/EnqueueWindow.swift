// How much a location may have in its embedded topic and not yet consumed. The broker inside the process drops the
// oldest messages of a partition at about 5 MB whether they were consumed or not, so an entry may only be produced
// while what is unconsumed stays far below that.
//
// Two halves, each on its own thread. `EnqueueWindow` is the lister's: it reserves room before an entry leaves.
// `UnconsumedEntries` is the reactor's: it knows which offset each entry got and turns a committed offset into credits,
// which travel back. Bytes are reserved from the moment an entry leaves the lister until its offset is committed, so
// the bound holds whatever is still on the way. Neither knows Kafka, a clock or a thread.

internal import DequeModule

/// Reserves room per partition.
public struct EnqueueWindow: Sendable {
  /// Bytes produced and not committed, per partition (the contract's bound for embedded mode).
  public static let bytesMax = 2 << 20
  /// What the broker keeps beside key and value when every entry travels alone: a record batch's 61-byte header, the
  /// record's own lengths and deltas, and the list entry. Measured by filling a partition until it drops.
  public static let messageOverheadBytes = 96

  public let bytesMax: Int
  private var reserved: [Int]

  public init(partitionCount: Int, bytesMax: Int = EnqueueWindow.bytesMax) {
    precondition(partitionCount > 0 && bytesMax > 0)
    self.bytesMax = bytesMax
    reserved = [Int](repeating: 0, count: partitionCount)
  }

  public var partitionCount: Int { reserved.count }

  /// What one entry counts for.
  public static func cost(keyBytes: Int, valueBytes: Int) -> Int { keyBytes + valueBytes + messageOverheadBytes }

  /// Takes room for one entry. An empty partition takes any entry: one larger than the window must not wait for ever.
  /// - Returns: false if there is no room now.
  public mutating func reserve(partition: Int, bytes: Int) -> Bool {
    guard reserved[partition] == 0 || reserved[partition] + bytes <= bytesMax else { return false }
    reserved[partition] += bytes
    return true
  }

  /// Gives room back: the entry was consumed and committed, or never got into the topic.
  public mutating func release(partition: Int, bytes: Int) {
    reserved[partition] -= bytes
    precondition(reserved[partition] >= 0, "more bytes given back than taken, partition \(partition)")
  }

  /// Bytes reserved in one partition.
  public func reserved(partition: Int) -> Int { reserved[partition] }
  public var isEmpty: Bool { reserved.allSatisfy { $0 == 0 } }
}

/// Room given back for one entry.
public struct EnqueueCredit: Hashable, Sendable {
  /// Index of the location in the populator.
  public var location: Int32
  public var partition: Int32
  public var bytes: Int32
  /// False: the entry never reached the topic and the location has to be listed again.
  public var wasEnqueued: Bool
  /// Which object it was (`LocationEnqueuer` tells queued objects by it).
  public var keyHash: UInt64

  public init(location: Int32, partition: Int32, bytes: Int32, wasEnqueued: Bool, keyHash: UInt64) {
    self.location = location
    self.partition = partition
    self.bytes = bytes
    self.wasEnqueued = wasEnqueued
    self.keyHash = keyHash
  }
}

/// The entries of one partition between the broker's acknowledgement and the consumer's commit.
public struct UnconsumedEntries: Sendable {
  private struct Entry: Sendable {
    var offset: Int64
    var credit: EnqueueCredit
  }

  private var entries: Deque<Entry> = []
  /// The next offset to read: everything below is done.
  private var committed: Int64 = 0

  public init() {}

  public var count: Int { entries.count }

  /// The broker stored an entry at `offset`.
  /// - Returns: its credit if the consumer has committed past it already (its acknowledgement came late), else nil.
  public mutating func produced(offset: Int64, _ credit: EnqueueCredit) -> EnqueueCredit? {
    if offset < committed { return credit }
    // Acknowledgements come in offset order except after a retry inside librdkafka: look for the place from the end.
    var index = entries.count
    while index > 0, entries[index - 1].offset > offset { index -= 1 }
    precondition(index == 0 || entries[index - 1].offset < offset, "offset \(offset) was acknowledged twice")
    entries.insert(Entry(offset: offset, credit: credit), at: index)
    return nil
  }

  /// The consumer committed `next` (the next offset to read); hands out the credits of everything below, oldest first.
  /// A lower value than before is ignored: after a rebalance an old commit may still be reported.
  public mutating func committed(next: Int64, _ give: (EnqueueCredit) -> Void) {
    committed = max(committed, next)
    while let first = entries.first, first.offset < committed {
      entries.removeFirst()
      give(first.credit)
    }
  }
}
