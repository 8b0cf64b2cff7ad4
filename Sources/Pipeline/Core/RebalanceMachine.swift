// Answers librdkafka's rebalance callbacks: one assignment at a time (eager assignor), each with a generation.
//
// Wiring. Occasion -> event:
//   rebalance callback ASSIGN                                      -> granted
//   rebalance callback REVOKE                                      -> revoking(lost: rd_kafka_assignment_lost)
//   no task of the assignment is left and all their statuses are
//   acknowledged, and `wantsDrained`                               -> drained        (at once if so already)
//   the timer asked for by `.armDrainTimer` fired                  -> drainTimedOut(generation:)
// The callback itself may return first; `assign` and `unassign` are called when the machine says so. Actions, in order:
//   disarmDrainTimer
//   stopDispatch       take nothing more of these partitions; of the tasks that wait, drop those from which on nothing runs or
//                      is finished (`LedgerTable.firstDroppable`): the next owner fetches them. The others still run, else
//                      what finished above them would be done twice
//   cancelRunning      the bound is over or the partitions are others' already: drop what waits, abort what runs
//   commitWithoutWait  store what the ledgers have and send the commit; no answer is awaited inside a rebalance
//   unassign           rd_kafka_assign(NULL)
//   dropLedgers        forget all offsets: completions that come later commit nothing
//   assign             ledgers for `generation`, rd_kafka_assign(partitions of the newest grant)
//   armDrainTimer      `drainMaxMs`, with the generation as payload
// then tell the location: `revoked` after an `unassign` (and before an `assign` that overtook it), `assigned` after `assign`.
//
// Invariants: each grant gets a new generation; what belongs to an older one can neither unassign nor commit; a revoke
// is answered within `drainMaxMs` whatever tasks or broker do. A grant that overtakes a revoke still draining ends
// that revoke there and then, without an unassign, which would throw the new assignment away.
// It deliberately knows no partitions, no pause (`LocationMachine` re-applies it on `assigned`) and no clock.

public struct RebalanceMachine: Sendable {
  /// Time for tasks of revoked partitions to finish. Far below `max.poll.interval.ms` and the group's rebalance time-out.
  public static let drainMaxMs: Int64 = 10_000

  public enum State: Hashable, Sendable {
    /// Nothing is assigned.
    case idle
    /// The assignment numbered `generation` is ours.
    case owning
    /// Revoked by the group, still ours: running tasks may finish and count.
    case draining
  }

  public enum Event: Hashable, Sendable {
    case granted
    case revoking(lost: Bool)
    case drained
    case drainTimedOut(generation: UInt32)
  }

  public private(set) var state = State.idle
  /// Of the newest assignment; 0 before the first.
  public private(set) var generation: UInt32 = 0

  public init() {}

  /// Waits for `drained`: to be sent as soon as no task of the assignment is left and no status of it unacknowledged.
  /// Not as soon as the ledgers are empty: entries dropped by `stopDispatch` stay unfinished in them.
  public var wantsDrained: Bool { state == .draining }
  /// Tasks of the assignment may be started.
  public var mayDispatch: Bool { state == .owning }

  /// - Thread: the owner's. - Blocking: never; allocation free.
  public mutating func handle(_ event: Event) -> RebalanceActions {
    switch (state, event) {
    case (.idle, .granted): return grant([.assign])
    // Two grants without a revoke between: librdkafka replaces the assignment, so do we.
    case (.owning, .granted): return grant([.stopDispatch, .cancelRunning, .dropLedgers, .assign])
    // The grant overtook the drain.
    case (.draining, .granted): return grant([.disarmDrainTimer, .cancelRunning, .dropLedgers, .assign])

    // librdkafka waits for an answer to every revoke, even if there is nothing to give back.
    case (.idle, .revoking): return [.unassign]
    case (.owning, .revoking(lost: false)):
      state = .draining
      return [.stopDispatch, .armDrainTimer]
    // Others own the partitions already: nothing can be committed, and what runs must not go on writing.
    case (.owning, .revoking(lost: true)):
      return release([.stopDispatch, .cancelRunning, .unassign, .dropLedgers])
    case (.draining, .revoking(lost: false)): return []
    case (.draining, .revoking(lost: true)):
      return release([.disarmDrainTimer, .cancelRunning, .unassign, .dropLedgers])

    case (.draining, .drained): return release([.disarmDrainTimer, .commitWithoutWait, .unassign, .dropLedgers])
    case (.idle, .drained), (.owning, .drained): return []

    case (.draining, .drainTimedOut(let of)):
      guard of == generation else { return [] }
      return release([.cancelRunning, .commitWithoutWait, .unassign, .dropLedgers])
    // The timer of a drain that ended otherwise.
    case (.idle, .drainTimedOut), (.owning, .drainTimedOut): return []
    }
  }

  private mutating func grant(_ actions: RebalanceActions) -> RebalanceActions {
    generation += 1
    state = .owning
    return actions
  }

  private mutating func release(_ actions: RebalanceActions) -> RebalanceActions {
    state = .idle
    return actions
  }
}

/// What a `RebalanceMachine` asks of its owner: a set in one byte, walked in the order of the cases.
public struct RebalanceActions: Hashable, Sendable, Sequence, ExpressibleByArrayLiteral, CustomStringConvertible {
  public enum Action: UInt8, CaseIterable, Hashable, Sendable {
    case disarmDrainTimer, stopDispatch, cancelRunning, commitWithoutWait, unassign, dropLedgers, assign, armDrainTimer
  }

  private var bits: UInt8 = 0

  public init(arrayLiteral actions: Action...) {
    for action in actions { bits |= 1 << action.rawValue }
  }

  public func contains(_ action: Action) -> Bool { bits & 1 << action.rawValue != 0 }
  public var isEmpty: Bool { bits == 0 }

  public func makeIterator() -> Iterator { Iterator(bits: bits) }

  public struct Iterator: IteratorProtocol, Sendable {
    fileprivate var bits: UInt8

    public mutating func next() -> Action? {
      guard bits != 0 else { return nil }
      let action = Action(rawValue: UInt8(bits.trailingZeroBitCount))
      bits &= bits - 1
      return action
    }
  }

  public var description: String { "\(Array(self))" }
}
