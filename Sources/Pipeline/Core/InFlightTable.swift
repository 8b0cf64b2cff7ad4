// The tasks taken and not yet finished: a bounded slab with a free list.
//
// Invariant: a ticket names one occupation of one slot; a completion that arrives for an earlier occupation (a task
// cancelled at a revoke, an answer from before a restart) finds nothing. Slots are reused last-in first-out, so the
// hot part of the table stays small. It deliberately knows no order and no limit per key: that is `KeyedScheduler`.

public struct InFlightTicket: Hashable, Sendable {
  public let slot: Int32
  public let generation: UInt32

  public init(slot: Int32, generation: UInt32) {
    self.slot = slot
    self.generation = generation
  }
}

public struct InFlightTable<Record: Sendable>: Sendable {
  /// One location on one node; far above any sensible `concurrency + waitingMax`.
  public static var countMaxLimit: Int { 1 << 20 }

  @usableFromInline var records: [Record?]
  @usableFromInline var generations: [UInt32]
  @usableFromInline var free: [Int32]

  /// - Parameter countMax: slots, all allocated here; 1 to 2^20.
  public init(countMax: Int) {
    precondition((1...Self.countMaxLimit).contains(countMax))
    records = Array(repeating: nil, count: countMax)
    generations = Array(repeating: 1, count: countMax)
    free = (0..<Int32(countMax)).reversed()
  }

  @inlinable public var countMax: Int { records.count }
  @inlinable public var count: Int { records.count - free.count }
  @inlinable public var isFull: Bool { free.isEmpty }
  @inlinable public var isEmpty: Bool { free.count == records.count }

  /// Occupies a slot.
  /// - Returns: nil when all are taken: the owner stops taking entries.
  @inlinable public mutating func insert(_ record: Record) -> InFlightTicket? {
    guard let slot = free.popLast() else { return nil }
    records[Int(slot)] = record
    return InFlightTicket(slot: slot, generation: generations[Int(slot)])
  }

  /// Frees the slot. - Returns: nil for a stale ticket.
  @inlinable public mutating func remove(_ ticket: InFlightTicket) -> Record? {
    guard isCurrent(ticket) else { return nil }
    let index = Int(ticket.slot)
    let record = records[index]
    records[index] = nil
    generations[index] &+= 1
    free.append(ticket.slot)
    return record
  }

  @inlinable public func isCurrent(_ ticket: InFlightTicket) -> Bool {
    let index = Int(ticket.slot)
    return index >= 0 && index < records.count && generations[index] == ticket.generation && records[index] != nil
  }

  /// The record of a slot, nil when free.
  @inlinable public subscript(slot: Int32) -> Record? {
    get { records[Int(slot)] }
    set {
      precondition(records[Int(slot)] != nil && newValue != nil, "a slot is occupied and freed by insert and remove only")
      records[Int(slot)] = newValue
    }
  }

  /// The ticket of the present occupation, nil when free.
  @inlinable public func ticket(slot: Int32) -> InFlightTicket? {
    records[Int(slot)] == nil ? nil : InFlightTicket(slot: slot, generation: generations[Int(slot)])
  }

  /// Every occupied slot, lowest first: O(countMax). `body` must not change the table; collect, then act.
  @inlinable public func visitOccupied(_ body: (InFlightTicket, Record) -> Void) {
    for index in records.indices {
      if let record = records[index] {
        body(InFlightTicket(slot: Int32(index), generation: generations[index]), record)
      }
    }
  }
}
