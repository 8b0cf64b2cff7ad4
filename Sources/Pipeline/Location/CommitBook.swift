// Offsets on their way to the broker: what is to be committed, what was sent and is not answered. An offset is forgotten
// only when the broker has it, so a failed commit is simply part of the next one.
internal import PipelineCore

struct CommitBook {
  /// Next to read, by partition; not known to be on the broker.
  private var pending: [Partition: Offset] = [:]
  /// Sent, by token: which of the location machine's tickets it answers (0: none).
  private var sent: [UInt64: UInt32] = [:]

  var isEmpty: Bool { pending.isEmpty }
  var isAnswerMissing: Bool { !sent.isEmpty }

  mutating func note(_ partition: Partition, _ offset: Offset) { pending[partition] = offset }

  var offsets: [(partition: Partition, offset: Offset)] {
    pending.map { ($0.key, $0.value) }.sorted { $0.partition < $1.partition }
  }

  mutating func didSend(_ token: UInt64, ticket: UInt32) { sent[token] = ticket }

  /// - Returns: the ticket the answer belongs to (0: none), nil for one not ours.
  mutating func answered(_ result: CommitResult) -> UInt32? {
    guard let ticket = sent.removeValue(forKey: result.token) else { return nil }
    if result.error == nil {
      for answer in result.partitions where answer.error == nil && pending[answer.partition] == answer.offset {
        pending[answer.partition] = nil
      }
    }
    return ticket
  }

  mutating func drop() {
    pending.removeAll(keepingCapacity: true)
    sent.removeAll(keepingCapacity: true)
  }
}
