// Offsets on their way to the broker: what is to be committed, what was sent and is not answered. An offset is forgotten
// only when the broker has it, so a failed commit is simply part of the next one.
internal import PipelineCore

struct CommitBook {
  /// Next to read, by partition; not known to be on the broker.
  private var pending: [Partition: Offset] = [:]
  /// Sent and not answered, by token.
  private var sent: Set<UInt64> = []

  var isEmpty: Bool { pending.isEmpty }
  var isAnswerMissing: Bool { !sent.isEmpty }

  mutating func note(_ partition: Partition, _ offset: Offset) { pending[partition] = offset }

  var offsets: [(partition: Partition, offset: Offset)] {
    pending.map { ($0.key, $0.value) }.sorted { $0.partition < $1.partition }
  }

  mutating func didSend(_ token: UInt64) { sent.insert(token) }

  /// - Returns: false for one not ours or given up.
  mutating func answered(_ result: CommitResult) -> Bool {
    guard sent.remove(result.token) != nil else { return false }
    if result.error == nil {
      for answer in result.partitions where answer.error == nil && pending[answer.partition] == answer.offset {
        pending[answer.partition] = nil
      }
    }
    return true
  }

  /// The assignment is gone. What was sent for it is still answered, and waited for by a pause or a stop.
  mutating func drop() { pending.removeAll(keepingCapacity: true) }

  /// The bound for answers is over.
  mutating func giveUpAnswers() { sent.removeAll(keepingCapacity: true) }
}
