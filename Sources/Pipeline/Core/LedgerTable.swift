// The ledgers of all partitions one consumer owns, and which of them moved since they were last stored.
//
// Invariant: a handle counts only while its partition belongs to the assignment it was begun under; after a revoke
// (or a grant that overtook it) late completions move nothing. Look-up is an array index: no hashing per entry.
// It deliberately does not decide when to commit, and knows no topic: there is one table per consumer, one consumer per topic.

public struct LedgerTable: Sendable {
  /// Kafka itself is not run with more partitions than this in one topic.
  public static let partitionMax: Int32 = 100_000

  public struct Handle: Hashable, Sendable {
    public let partition: Partition
    let entry: OffsetLedger.Handle
  }

  private struct Row {
    var partition: Partition
    var ledger: OffsetLedger
    var isDirty = false
  }

  private var rows: [Row] = []
  /// Partition number -> index in `rows`, -1 where not owned.
  private var rowIndex: [Int32] = []
  private var dirty: [Int32] = []
  private let windowMax: Int

  /// Whether the entry begun last was the last that fitted into its partition's window.
  public private(set) var isFullSinceBegin = false

  /// Entries begun and not finished, of the partitions owned now.
  public private(set) var inFlightCount = 0

  /// - Parameter windowMax: entries per partition, see `OffsetLedger`.
  public init(windowMax: Int = OffsetLedger.windowMaxDefault) { self.windowMax = windowMax }

  /// Partitions owned, in the order of assignment.
  public var partitions: [Partition] { rows.map(\.partition) }

  /// Replaces the whole assignment (the assignor is eager). Handles of earlier ones are dead from here on.
  /// - Parameter generation: different from all earlier ones, as `RebalanceMachine.generation` is.
  public mutating func assign(_ partitions: some Sequence<Partition>, generation: UInt32) {
    dropAll()
    for partition in partitions where row(of: partition) < 0 {
      precondition((0..<Self.partitionMax).contains(partition.value), "partition \(partition) is out of bounds")
      let index = Int(partition.value)
      if index >= rowIndex.count { rowIndex.append(contentsOf: repeatElement(-1, count: index + 1 - rowIndex.count)) }
      rowIndex[index] = Int32(rows.count)
      rows.append(Row(partition: partition, ledger: OffsetLedger(generation: generation, windowMax: windowMax)))
    }
  }

  /// The assignment was lost or given back.
  public mutating func dropAll() {
    for row in rows { rowIndex[Int(row.partition.value)] = -1 }
    rows.removeAll(keepingCapacity: true)
    dirty.removeAll(keepingCapacity: true)
    inFlightCount = 0
  }

  /// An entry was delivered.
  /// - Returns: nil when the partition is not owned or its window is full; the entry must then be fetched again.
  public mutating func begin(_ partition: Partition, _ offset: Offset) -> Handle? {
    let index = row(of: partition)
    guard index >= 0 else { return nil }
    let before = rows[index].ledger.inFlightCount
    guard let entry = rows[index].ledger.begin(offset) else { return nil }
    inFlightCount += rows[index].ledger.inFlightCount - before
    isFullSinceBegin = rows[index].ledger.isFull
    markDirty(index)
    return Handle(partition: partition, entry: entry)
  }

  /// An entry is done: its effect and its status are durable.
  /// - Returns: false if the partition was lost or the offset re-delivered since: nothing moved.
  @discardableResult
  public mutating func finish(_ handle: Handle) -> Bool {
    let index = row(of: handle.partition)
    guard index >= 0, rows[index].ledger.finish(handle.entry) else { return false }
    inFlightCount -= 1
    markDirty(index)
    return true
  }

  /// No further entry of that partition fits (or it is not owned): pause it.
  public func isFull(_ partition: Partition) -> Bool {
    let index = row(of: partition)
    return index < 0 || rows[index].ledger.isFull
  }

  /// "Next to read" of one partition; nil when it is not owned or nothing was delivered. To compare with a model.
  func committable(_ partition: Partition) -> Offset? {
    let index = row(of: partition)
    return index < 0 ? nil : rows[index].ledger.committable
  }

  /// From which offset on an entry that still waits may be left to the partition's next owner: everything below has
  /// something started above it, which would be done a second time if the commit stayed behind.
  /// - Parameter highestStarted: of the entries of this partition that run or whose status is not acknowledged yet.
  public func firstDroppable(_ partition: Partition, highestStarted: Offset?) -> Offset {
    let index = row(of: partition)
    let finished = index < 0 ? nil : rows[index].ledger.highestFinished
    let highest = max(finished?.value ?? -1, highestStarted?.value ?? -1)
    return Offset(highest + 1)
  }

  /// Whether `takeDirty` has something to give.
  public var hasDirty: Bool { !dirty.isEmpty }

  /// Calls `store` once for each partition whose committable offset moved since the last call. Allocation free.
  public mutating func takeDirty(_ store: (Partition, Offset) -> Void) {
    for index in dirty.indices {
      let row = Int(dirty[index])
      rows[row].isDirty = false
      if let offset = rows[row].ledger.takeCommittable() { store(rows[row].partition, offset) }
    }
    dirty.removeAll(keepingCapacity: true)
  }

  private func row(of partition: Partition) -> Int {
    let index = Int(partition.value)
    return index >= 0 && index < rowIndex.count ? Int(rowIndex[index]) : -1
  }

  private mutating func markDirty(_ index: Int) {
    guard !rows[index].isDirty else { return }
    rows[index].isDirty = true
    dirty.append(Int32(index))
  }
}
