// Offsets on their way to the broker: what is to be committed, what was sent and is not answered. An offset is forgotten
// only when the broker has it, so a failed commit is simply part of the next one.
//
// That holds across a rebalance as well: a broker may refuse commits while its group assembles, and a partition that comes back
// to the same member, which nobody else had in between, goes on from what was finished here instead of from what was committed.
internal import PipelineCore

struct CommitBook {
  /// Next to read, by partition; not known to be on the broker.
  private var pending: [Partition: Offset] = [:]
  /// Of the assignment before, refused or not answered yet: ours again if the next assignment brings the partition back.
  private var carried: [Partition: Offset] = [:]
  /// Sent and not answered, by token.
  private var sent: Set<UInt64> = []
  /// The last request that named a partition. Offsets go back when entries are delivered again: what an earlier one was answered is
  /// not what the broker is left with.
  private var newest: [Partition: UInt64] = [:]

  var isEmpty: Bool { pending.isEmpty }
  /// Offsets wait for the next assignment.
  var isCarrying: Bool { !carried.isEmpty }
  var isAnswerMissing: Bool { !sent.isEmpty }

  mutating func note(_ partition: Partition, _ offset: Offset) { pending[partition] = offset }

  var offsets: [(partition: Partition, offset: Offset)] {
    pending.map { ($0.key, $0.value) }.sorted { $0.partition < $1.partition }
  }

  /// All of `offsets`.
  mutating func didSend(_ token: UInt64) {
    sent.insert(token)
    for partition in pending.keys { newest[partition] = token }
  }

  /// - Returns: false for one not ours or given up.
  mutating func answered(_ result: CommitResult) -> Bool {
    guard sent.remove(result.token) != nil else { return false }
    if result.error == nil {
      for answer in result.partitions where answer.error == nil && newest[answer.partition] == result.token {
        if pending[answer.partition] == answer.offset { pending[answer.partition] = nil }
        if carried[answer.partition] == answer.offset { carried[answer.partition] = nil }
      }
    }
    return true
  }

  /// The assignment was given back in order. What was sent for it is still answered, and waited for by a pause or a stop.
  mutating func carry() {
    carried = pending
    pending.removeAll(keepingCapacity: true)
  }

  /// The next assignment of the same member. - Returns: where those that came back go on.
  mutating func adopt(_ partitions: [Partition]) -> [Partition: Offset] {
    let starts = carried.filter { partitions.contains($0.key) }
    pending.merge(starts) { _, new in new }
    carried.removeAll(keepingCapacity: true)
    return starts
  }

  /// The assignment is gone, or others may have had it since.
  mutating func drop() {
    pending.removeAll(keepingCapacity: true)
    carried.removeAll(keepingCapacity: true)
    newest.removeAll(keepingCapacity: true)
  }

  /// The bound for answers is over.
  mutating func giveUpAnswers() { sent.removeAll(keepingCapacity: true) }
}
