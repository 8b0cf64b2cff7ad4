// What a `LocationMachine` asks of its owner: a set in one word, walked in the order of the cases. No allocation.
// The order is part of the contract: the gate closes before partitions are paused, partitions run before it opens,
// and a state is reported only after what makes it true was begun.

public struct LocationActions: Hashable, Sendable, Sequence, ExpressibleByArrayLiteral, CustomStringConvertible {
  public enum Action: UInt8, CaseIterable, Hashable, Sendable {
    case stopTaking, pausePartitions, resumePartitions, startTaking
    case commitOffsets, armCommitRetry
    case unsubscribe, subscribe, closeConsumer
    case report, stopped
  }

  private var bits: UInt16 = 0

  public init(arrayLiteral actions: Action...) {
    for action in actions { insert(action) }
  }

  public mutating func insert(_ action: Action) { bits |= 1 << UInt16(action.rawValue) }
  public func contains(_ action: Action) -> Bool { bits & 1 << UInt16(action.rawValue) != 0 }
  public var isEmpty: Bool { bits == 0 }

  public func makeIterator() -> Iterator { Iterator(bits: bits) }

  public struct Iterator: IteratorProtocol, Sendable {
    fileprivate var bits: UInt16

    public mutating func next() -> Action? {
      guard bits != 0 else { return nil }
      let action = Action(rawValue: UInt8(bits.trailingZeroBitCount))
      bits &= bits - 1
      return action
    }
  }

  public var description: String { "\(Array(self))" }
}
