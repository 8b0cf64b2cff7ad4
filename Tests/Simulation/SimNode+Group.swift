// A node's librdkafka: subscription, assignment, commits; each way to the broker and back keeps its order.

import TestSupport

@testable import PipelineCore

extension SimNode {
  // MARK: To and from the broker

  private func toBroker(_ world: World, _ kind: SimEvent.Kind, a: Int = 0) {
    lastSent = max(lastSent, world.now, world.brokerDownUntil) + world.latency(10)
    world.schedule(kind, after: lastSent - world.now, node: index, a: a, b: life)
  }

  func fromBroker(_ world: World, _ kind: SimEvent.Kind, life: Int, a: Int, b: Int = 0) {
    lastReceived = max(lastReceived, world.now) + world.latency(20)
    world.schedule(kind, after: lastReceived - world.now, node: index, life: life, a: a, b: b)
  }

  // MARK: Membership

  func sendJoin(_ world: World) {
    lastJoin = world.now
    isJoining = true
    toBroker(world, .joinArrives, a: membership)
  }

  /// Unsubscribe or close: what is assigned is revoked first, by a callback like any other.
  func leave(_ world: World) {
    isSubscribed = false
    if hasAssignment { rebalanceTell(world, .revoking(lost: false)) } else { left(world) }
  }

  private func left(_ world: World) {
    membership += 1
    isJoining = false
    toBroker(world, .leaveArrives)
    let delay = world.latency(world.random.chance(30) ? 200 : 5)
    world.schedule(isClosing ? .consumerClosed : .leftGroup, after: delay, node: index, life: life)
  }

  func revokeNotice(_ world: World, _ generation: Int) {
    guard isSubscribed, generation == memberGeneration || !hasAssignment else { return }
    // An empty assignment may be taken back without a callback.
    if hasAssignment, !(assigned.isEmpty && world.random.chance(50)) {
      rebalanceTell(world, .revoking(lost: false))
    } else if !isJoining {
      sendJoin(world)
    }
  }

  /// Thrown out: by the session time-out, or too late for a rebalance.
  func lostNotice(_ world: World, _ generation: Int) {
    guard isSubscribed, generation == memberGeneration, hasAssignment, !world.group.isMember(self) else { return }
    if rebalance.state == .draining, world.random.chance(50) {
      // Joins again by itself before the revoke is answered: the grant will overtake the drain.
      sendJoin(world)
    } else {
      rebalanceTell(world, .revoking(lost: true))
    }
  }

  func grant(_ world: World, _ generation: Int, membership: Int) {
    newestGrant = generation
    if membership == self.membership { isJoining = false }
    guard membership != self.membership || !isSubscribed else {
      rebalanceTell(world, .granted)
      // Not answered by an assign: the group waits for nothing, so an unassign will leave us a member of nothing.
      isJoining = memberGeneration != newestGrant
      return
    }
    // One that was under way while we left: librdkafka may hand it over all the same, then takes it back.
    guard world.random.chance(50), rebalance.state == .idle else { return }
    world.note("node \(index): a stale grant")
    rebalanceTell(world, .granted)
    rebalanceTell(world, .revoking(lost: true))
  }

  func assign(_ world: World) {
    hasAssignment = true
    memberGeneration = newestGrant
    assigned = world.group.granted(generation: newestGrant, node: index, life: life)
    pausedByKey = [:]
    ledgers.assign(assigned.map { Partition(Int32($0)) }, generation: rebalance.generation)
    for partition in assigned {
      positions[partition] = world.index(partition, world.group.committed[partition])
      acknowledged[partition] = world.group.committed[partition]
      // librdkafka may or may not remember that a partition was paused.
      if world.random.chance(50) { isPaused[partition] = false }
    }
    wantsTurn(world)
  }

  func unassign(_ world: World) {
    hasAssignment = false
    assigned = []
    pausedByKey = [:]
  }

  func unassigned(_ world: World) {
    guard isAlive else { return }
    if !isSubscribed { left(world) } else if !isJoining { sendJoin(world) }
  }

  // MARK: Commits

  func sendCommit(_ world: World, ticket: UInt32) {
    ledgers.takeDirty { _, _ in }
    let offsets = uncommitted
    if ticket > 0 {
      waitingTicket = ticket
      world.schedule(.commitTimeout, after: 400, node: index, life: life, a: Int(ticket))
    }
    if !offsets.isEmpty {
      let number = world.group.commits.count
      world.group.commits.append(Group.Commit(node: index, life: life, generation: memberGeneration, offsets: offsets))
      unanswered.insert(number)
      for (partition, _) in offsets { newestCommit[partition] = number }
      if !world.fault(8) { toBroker(world, .commitArrives, a: number) }
    }
    if ticket > 0, unanswered.isEmpty { world.schedule(.commitAnswer, after: 0, node: index, life: life, a: -1, b: 1) }
  }

  /// A pause in effect, a leave and a close: the broker has all that was finished, and nothing is on its way.
  func checkCommitted(_ world: World) {
    if !unanswered.isEmpty { world.fail("node \(index) goes on with commits unanswered") }
    for partition in assigned {
      guard let offset = ledgers.committable(Partition(Int32(partition))) else { continue }
      let committed = world.group.committed[partition]
      if committed < offset.value {
        world.fail("node \(index) goes on with partition \(partition) committed to \(committed), not \(offset)")
      }
    }
  }

  private var uncommitted: [(partition: Int, offset: Int64)] {
    assigned.compactMap { partition in
      guard let offset = ledgers.committable(Partition(Int32(partition))), offset.value != acknowledged[partition] else {
        return nil
      }
      return (partition, offset.value)
    }
  }

  /// - Parameter number: of the request; -1: there was nothing to ask.
  func commitAnswer(_ world: World, _ number: Int, ok: Bool) {
    if number >= 0 {
      let commit = world.group.commits[number]
      unanswered.remove(number)
      if ok, commit.generation == memberGeneration {
        // Entries that are delivered again take offsets back: only the last request says what the broker is left with.
        for (partition, offset) in commit.offsets where newestCommit[partition] == number { acknowledged[partition] = offset }
      }
    }
    guard let ticket = waitingTicket, unanswered.isEmpty else { return }
    waitingTicket = nil
    tell(world, .offsetsCommitted(ticket: ticket, ok: uncommitted.isEmpty))
  }

  func commitTimeout(_ world: World, _ ticket: UInt32) {
    guard waitingTicket == ticket else { return }
    waitingTicket = nil
    unanswered.removeAll()
    tell(world, .commitTimedOut(ticket: ticket))
  }
}
