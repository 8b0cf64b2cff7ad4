// One location on one node: what is desired (the stored state) against what is in effect (product contract 4 to 6).
//
// Wiring (the owner is `LocationController`, everything on the reactor thread, every event handled to its end before
// the next). Occasion -> event:
//   stored state read or changed (wake-up, watch, start)     -> desiredChanged(paused:, version:)
//   rd_kafka_assign was called with n partitions             -> assigned        (n may be 0: that too is confirmed)
//   unassign was called, or the assignment was lost          -> revoked
//   nothing is in flight any more and `wantsDrained`         -> drained         (at once if it was so already)
//   the commit numbered `commitTicket` and all sent before
//   it (also inside rebalances) are answered                 -> offsetsCommitted(ticket:, ok: nothing owned is uncommitted)
//   no answer within the owner's bound                       -> commitTimedOut(ticket:)
//   the timer asked for by `.armCommitRetry` fired           -> commitRetryDue
//   after `.unsubscribe`: nothing is assigned any more       -> leftGroup       (at once if nothing was assigned)
//   SIGTERM, location removed                                -> stopRequested
//   the consumer is closed                                   -> consumerClosed  (at once if there was none)
// Actions come in the order in which they are to be carried out:
//   stopTaking / startTaking            the gate in front of the poll: closed means no entry is taken from librdkafka
//   pausePartitions / resumePartitions  set the flag of all assigned partitions; call librdkafka only for those whose
//                                       flag differs (resuming a running partition makes 2.0.2 fetch again)
//   commitOffsets                       store and commit asynchronously what the ledgers have; answer with the ticket, at
//                                       once if nothing is uncommitted or unanswered; arm the bound for `commitTimedOut`
//   armCommitRetry                      a timer of `commitRetryDelayMs`
//   subscribe / unsubscribe / closeConsumer
//   report                              `effective` or `version` changed: publish the node report
//   stopped                             the end; the owner may be destroyed
// After each `handle` the owner checks `wantsDrained` against its in-flight count.
//
// Invariants: entries are taken only in `enabled`; `disabled` is reported only when nothing is in flight and what was
// finished is committed or no longer ours; a stored state older than the one known changes nothing.
// It deliberately has no count of tasks, no clock and no partitions: `RebalanceMachine` answers librdkafka's callbacks,
// and other reasons to hold partitions back (a key at its cap, an open breaker) are the owner's.

/// Orders stored states. Numbers are compared only within one life of the node that holds the state (ZooKeeper: czxid).
public struct StateVersion: Hashable, Sendable {
  public var epoch: Int64
  public var number: Int64

  public init(epoch: Int64 = 0, number: Int64) {
    self.epoch = epoch
    self.number = number
  }

  public func isOlder(than other: StateVersion) -> Bool { epoch == other.epoch && number < other.number }
}

/// What a node reports of a location.
public enum EffectiveState: String, Sendable, CaseIterable {
  case enabled, pausing, disabled, resuming
}

public enum PauseMode: String, Sendable, CaseIterable {
  /// Paused = partitions paused, assignment kept: resumes without a group join.
  case hold
  /// Paused = out of the group, as in Backbeat.
  case unsubscribe
}

public struct LocationMachine: Sendable {
  /// Wait before a failed commit is tried again.
  public static let commitRetryDelayMs: Int64 = 500

  public enum State: Hashable, Sendable {
    /// Start: the stored state is not read yet. Nothing is subscribed, nothing is taken.
    case waitingForState
    /// Should run, does not take yet.
    case resuming(Resuming)
    /// Takes entries. A rebalance does not end this state.
    case enabled
    /// Should be paused, is not yet.
    case pausing(Pausing)
    /// Paused: nothing is taken, nothing in flight, all that finished is committed.
    case disabled(Membership)
    /// On the way out; no stored state matters any more.
    case stopping(Stopping)
    /// The end.
    case stopped
  }

  public enum Resuming: Hashable, Sendable {
    /// Subscribed, the group has not given an assignment yet.
    case joining
    /// Resumed while leaving the group: subscribes again as soon as it is out.
    case leavingFirst
  }

  public enum Pausing: Hashable, Sendable {
    /// The gate is closed, entries taken before are finishing.
    case draining
    /// All finished; the commit waits for its answer. Any ticket from `since` on carries these very offsets.
    case committing(since: UInt32)
    /// The commit failed; the retry timer runs.
    case commitBackoff
    /// Committed; leaves the group (mode `unsubscribe`, or nothing to hold on to).
    case leaving
  }

  public enum Membership: Hashable, Sendable {
    /// In the group, partitions paused, now and through every rebalance.
    case held
    /// Not subscribed: left, or never joined since the start.
    case out
  }

  public enum Stopping: Hashable, Sendable {
    /// As in `pausing`, on the way to the end.
    case draining
    case committing(since: UInt32)
    case commitBackoff
    /// The consumer is being closed.
    case closing
  }

  public enum Event: Hashable, Sendable {
    case desiredChanged(paused: Bool, version: StateVersion)
    case assigned
    case revoked
    case drained
    case offsetsCommitted(ticket: UInt32, ok: Bool)
    case commitTimedOut(ticket: UInt32)
    case commitRetryDue
    case leftGroup
    case stopRequested
    case consumerClosed
  }

  public private(set) var state = State.waitingForState
  /// Version of the newest stored state known; nil before the first.
  public private(set) var version: StateVersion?
  /// The desired state, as stored; nil before the first.
  public private(set) var desiredPaused: Bool?
  /// Number of the newest commit asked for.
  public private(set) var commitTicket: UInt32 = 0
  /// The group has confirmed an assignment (of any size) that was not revoked since.
  public private(set) var hasAssignment = false
  /// Looked at when a drain ends; what is in effect stays as it is.
  public var mode: PauseMode

  public init(mode: PauseMode) { self.mode = mode }

  /// Entries may be taken from librdkafka.
  public var isTaking: Bool { state == .enabled }

  /// The machine waits for `drained`: to be sent as soon as nothing is in flight.
  public var wantsDrained: Bool { state == .pausing(.draining) || state == .stopping(.draining) }

  /// On the way out for good.
  public var isStopping: Bool { if case .stopping = state { true } else { false } }

  /// A consumer that is in its group or on its way in or out.
  public var isSubscribed: Bool {
    switch state {
    case .waitingForState, .disabled(.out), .stopped: false
    case .resuming, .enabled, .pausing, .disabled(.held), .stopping: true
    }
  }

  public var effective: EffectiveState {
    switch state {
    // Who is only leaving has nothing in flight and nothing to commit: paused in effect.
    case .waitingForState, .disabled, .pausing(.leaving), .stopping(.closing), .stopped: .disabled
    case .resuming: .resuming
    case .enabled: .enabled
    case .pausing(.draining), .pausing(.committing), .pausing(.commitBackoff), .stopping(.draining), .stopping(.committing),
      .stopping(.commitBackoff):
      .pausing
    }
  }

  /// Takes one event in.
  /// - Thread: the owner's. - Blocking: never; allocation free.
  /// - Returns: what the owner must do now, in this order.
  public mutating func handle(_ event: Event) -> LocationActions {
    let before = effective
    var actions = react(to: event)
    if effective != before { actions.insert(.report) }
    return actions
  }

  private mutating func react(to event: Event) -> LocationActions {
    switch event {
    case .desiredChanged(let paused, let version): desiredChanged(paused: paused, version: version)
    case .assigned: assigned()
    case .revoked: revoked()
    case .drained: drained()
    case .offsetsCommitted(let ticket, let ok): offsetsCommitted(ticket: ticket, ok: ok)
    case .commitTimedOut(let ticket): commitTimedOut(ticket: ticket)
    case .commitRetryDue: commitRetryDue()
    case .leftGroup: leftGroup()
    case .stopRequested: stopRequested()
    case .consumerClosed: consumerClosed()
    }
  }
}

// MARK: - One function per event, one line per state

extension LocationMachine {
  private mutating func desiredChanged(paused: Bool, version new: StateVersion) -> LocationActions {
    if let version, new.isOlder(than: version) { return [] }
    let isNews = version != new
    version = new
    desiredPaused = paused
    var actions = paused ? pause() : resume()
    // Even if nothing changes in effect, the others wait until this node has reported the version.
    if isNews { actions.insert(.report) }
    return actions
  }

  private mutating func pause() -> LocationActions {
    switch state {
    case .waitingForState: return enter(.disabled(.out))
    case .resuming(.joining), .enabled: return enter(.pausing(.draining), [.stopTaking, .pausePartitions])
    case .resuming(.leavingFirst): return enter(.pausing(.leaving))
    case .pausing, .disabled: return []
    case .stopping, .stopped: return []
    }
  }

  private mutating func resume() -> LocationActions {
    switch state {
    case .waitingForState, .disabled(.out): return enter(.resuming(.joining), [.subscribe])
    case .resuming, .enabled: return []
    // Still in the group: the drain is called off. A commit under way ends as it likes.
    case .pausing(.draining), .pausing(.committing), .pausing(.commitBackoff), .disabled(.held): return take()
    case .pausing(.leaving): return enter(.resuming(.leavingFirst))
    case .stopping, .stopped: return []
    }
  }

  private mutating func assigned() -> LocationActions {
    hasAssignment = true
    switch state {
    case .resuming(.joining), .enabled: return take()
    // Paused stays paused through any rebalance; librdkafka may or may not have kept the flag of a partition.
    case .pausing, .disabled(.held): return [.pausePartitions]
    case .stopping(.draining), .stopping(.committing), .stopping(.commitBackoff): return [.pausePartitions]
    // A grant that was under way when we left: nothing may flow from it; its revoke follows.
    case .waitingForState, .resuming(.leavingFirst), .disabled(.out), .stopping(.closing), .stopped: return [.pausePartitions]
    }
  }

  private mutating func revoked() -> LocationActions {
    hasAssignment = false
    switch state {
    case .waitingForState, .resuming, .enabled, .disabled, .stopped: return []
    case .pausing(.draining), .pausing(.leaving), .stopping(.draining), .stopping(.closing): return []
    // The commit is on its way and may well be accepted: its answer is still waited for.
    case .pausing(.committing), .stopping(.committing): return []
    // The revoke sent a commit of its own: that one is waited for.
    case .pausing(.commitBackoff), .stopping(.commitBackoff): return commit()
    }
  }

  private mutating func drained() -> LocationActions {
    switch state {
    // Also without an assignment: commits sent inside a rebalance may still be unanswered.
    case .pausing(.draining), .stopping(.draining): return commit()
    // Nobody asked: an owner that says so each time it runs empty does no harm.
    case .waitingForState, .resuming, .enabled, .disabled, .stopped: return []
    case .pausing(.committing), .pausing(.commitBackoff), .pausing(.leaving): return []
    case .stopping(.committing), .stopping(.commitBackoff), .stopping(.closing): return []
    }
  }

  private mutating func offsetsCommitted(ticket: UInt32, ok: Bool) -> LocationActions {
    switch state {
    case .pausing(.committing(let since)), .stopping(.committing(let since)):
      if ok, ticket >= since { return committed() }
      return ticket == commitTicket ? commitFailed() : []
    // A late answer: to the commit of a drain that was called off or ended by a revoke, or one given up as timed out.
    case .pausing(.draining), .pausing(.commitBackoff), .pausing(.leaving): return []
    case .stopping(.draining), .stopping(.commitBackoff), .stopping(.closing): return []
    case .waitingForState, .resuming, .enabled, .disabled, .stopped: return []
    }
  }

  private mutating func commitTimedOut(ticket: UInt32) -> LocationActions {
    switch state {
    case .pausing(.committing), .stopping(.committing):
      guard ticket == commitTicket else { return [] }
      return hasAssignment ? commit() : committed()
    case .pausing(.draining), .pausing(.commitBackoff), .pausing(.leaving): return []
    case .stopping(.draining), .stopping(.commitBackoff), .stopping(.closing): return []
    case .waitingForState, .resuming, .enabled, .disabled, .stopped: return []
    }
  }

  private mutating func commitRetryDue() -> LocationActions {
    switch state {
    case .pausing(.commitBackoff), .stopping(.commitBackoff): return commit()
    // The timer of a drain that was called off.
    case .pausing(.draining), .pausing(.committing), .pausing(.leaving): return []
    case .stopping(.draining), .stopping(.committing), .stopping(.closing): return []
    case .waitingForState, .resuming, .enabled, .disabled, .stopped: return []
    }
  }

  private mutating func leftGroup() -> LocationActions {
    switch state {
    case .pausing(.leaving):
      hasAssignment = false
      return enter(.disabled(.out))
    case .resuming(.leavingFirst):
      hasAssignment = false
      return enter(.resuming(.joining), [.subscribe])
    // While closing, the leave that was under way may still be told.
    case .stopping, .stopped: return []
    case .waitingForState, .resuming(.joining), .enabled, .disabled: return []
    case .pausing(.draining), .pausing(.committing), .pausing(.commitBackoff): return []
    }
  }

  private mutating func stopRequested() -> LocationActions {
    switch state {
    case .waitingForState, .disabled, .pausing(.leaving), .resuming(.leavingFirst):
      return enter(.stopping(.closing), [.closeConsumer])
    case .resuming(.joining), .enabled: return enter(.stopping(.draining), [.stopTaking, .pausePartitions])
    case .pausing(.draining): return enter(.stopping(.draining))
    case .pausing(.committing(let since)): return enter(.stopping(.committing(since: since)))
    case .pausing(.commitBackoff): return enter(.stopping(.commitBackoff))
    case .stopping, .stopped: return []
    }
  }

  private mutating func consumerClosed() -> LocationActions {
    switch state {
    case .stopping(.closing):
      hasAssignment = false
      return enter(.stopped, [.stopped])
    // The consumer died under us; only the owner can know why. It closes for good.
    case .waitingForState, .resuming, .enabled, .pausing, .disabled, .stopping(.draining), .stopping(.committing),
      .stopping(.commitBackoff):
      hasAssignment = false
      return enter(.stopped, [.stopTaking, .stopped])
    case .stopped: return []
    }
  }
}

// MARK: - Steps

extension LocationMachine {
  private mutating func enter(_ new: State, _ actions: LocationActions = []) -> LocationActions {
    state = new
    return actions
  }

  /// Takes entries if the group has given an assignment, else waits for one.
  private mutating func take() -> LocationActions {
    guard hasAssignment else { return enter(.resuming(.joining)) }
    return enter(.enabled, [.resumePartitions, .startTaking])
  }

  private mutating func commit() -> LocationActions {
    commitTicket &+= 1
    switch state {
    case .pausing(.committing), .stopping(.committing): break
    case .stopping: state = .stopping(.committing(since: commitTicket))
    case .waitingForState, .resuming, .enabled, .pausing, .disabled, .stopped: state = .pausing(.committing(since: commitTicket))
    }
    return [.commitOffsets]
  }

  /// Refused. What is not ours any more, nobody can commit: its next owner takes it from there.
  private mutating func commitFailed() -> LocationActions {
    guard hasAssignment else { return committed() }
    switch state {
    case .stopping: return enter(.stopping(.commitBackoff), [.armCommitRetry])
    case .waitingForState, .resuming, .enabled, .pausing, .disabled, .stopped:
      return enter(.pausing(.commitBackoff), [.armCommitRetry])
    }
  }

  /// Nothing is in flight and nothing is left to commit.
  private mutating func committed() -> LocationActions {
    if case .stopping = state { return enter(.stopping(.closing), [.closeConsumer]) }
    return switch mode {
    case .hold: enter(.disabled(.held))
    case .unsubscribe: enter(.pausing(.leaving), [.unsubscribe])
    }
  }
}
