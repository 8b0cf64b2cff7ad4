// The broker's side: the consumer group with eager rebalances, and committed offsets.
//
// As in Kafka: a change of members makes every member give its partitions back and join again; who does not join in time
// is out; commits count only from a member of the present generation. Messages between one node and the broker keep
// their order. What a member that was thrown out still believes it owns is its own problem, and the subject of the test.

import PipelineCore
import TestSupport

final class Group {
  struct Member {
    var node: Int
    var life: Int
    /// Counts the times this life of the node joined afresh: answers to an earlier one are stale.
    var membership: Int
    var hasJoined: Bool
  }

  private struct Grant: Hashable {
    var generation: Int
    var node: Int
    var life: Int
  }

  struct Commit {
    var node: Int
    var life: Int
    var generation: Int
    var offsets: [(partition: Int, offset: Int64)]
  }

  var committed: [Int64]
  private(set) var members: [Member] = []
  private(set) var generation = 0
  private(set) var isRebalancing = false
  private var rebalances = 0
  /// Partitions per generation and node: what a grant under way carries.
  private var grants: [Grant: [Int]] = [:]
  var commits: [Commit] = []

  init(partitions: Int) { committed = Array(repeating: 0, count: partitions) }

  func granted(generation: Int, node: Int, life: Int) -> [Int] {
    grants[Grant(generation: generation, node: node, life: life)] ?? []
  }

  func isMember(_ node: SimNode) -> Bool { members.contains { $0.node == node.index && $0.life == node.life } }

  // MARK: Membership

  func join(_ world: World, node: Int, life: Int, membership: Int) {
    if let index = members.firstIndex(where: { $0.node == node && $0.life == life }) {
      // A member that joins again without a change of members asked for one: so it is with librdkafka after a reset.
      members[index].hasJoined = true
      members[index].membership = membership
      if !isRebalancing { startRebalance(world) }
    } else {
      members.append(Member(node: node, life: life, membership: membership, hasJoined: true))
      if !isRebalancing { startRebalance(world) }
    }
    completeIfAllJoined(world)
  }

  func remove(_ world: World, node: Int, life: Int) {
    guard let index = members.firstIndex(where: { $0.node == node && $0.life == life }) else { return }
    members.remove(at: index)
    if !isRebalancing { startRebalance(world) }
    completeIfAllJoined(world)
  }

  private func startRebalance(_ world: World) {
    isRebalancing = true
    rebalances += 1
    for member in members where !member.hasJoined {
      world.nodes[member.node].fromBroker(world, .revokeNotice, life: member.life, a: generation)
    }
    world.schedule(.rebalanceDeadline, after: world.shape.rebalanceTimeoutMs, a: rebalances)
  }

  func rebalanceDeadline(_ world: World, number: Int) {
    guard isRebalancing, number == rebalances else { return }
    for member in members where !member.hasJoined {
      world.note("group throws out node \(member.node)")
      world.nodes[member.node].fromBroker(world, .lostNotice, life: member.life, a: generation)
    }
    members.removeAll { !$0.hasJoined }
    completeIfAllJoined(world)
  }

  private func completeIfAllJoined(_ world: World) {
    guard isRebalancing, members.allSatisfy(\.hasJoined) else { return }
    isRebalancing = false
    generation += 1
    guard !members.isEmpty else { return }
    var partitions = Array(committed.indices)
    partitions.shuffle(using: &world.random)
    for (turn, partition) in partitions.enumerated() {
      let member = members[turn % members.count]
      grants[Grant(generation: generation, node: member.node, life: member.life), default: []].append(partition)
    }
    for index in members.indices {
      members[index].hasJoined = false
      let member = members[index]
      world.nodes[member.node].fromBroker(world, .grant, life: member.life, a: generation, b: member.membership)
    }
    world.note(
      "group generation \(generation): "
        + "\(members.map { "\($0.node):\(granted(generation: generation, node: $0.node, life: $0.life))" })")
  }

  // MARK: Commits

  /// - Returns: whether it counts.
  func accept(_ world: World, _ commit: Commit) -> Bool {
    guard commit.generation == generation, members.contains(where: { $0.node == commit.node && $0.life == commit.life }) else {
      return false
    }
    for (partition, offset) in commit.offsets {
      world.checkCommit(partition, offset)
      committed[partition] = offset
    }
    return true
  }
}
