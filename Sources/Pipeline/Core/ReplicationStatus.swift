// The status of one site's copy and of an object over all its sites (backbeat-behaviour 5.8, product contract 7).

/// Of a site, or of the object as a whole. Raw values as in the stored metadata.
public enum ReplicationStatus: String, Hashable, Sendable, CaseIterable {
  /// Nothing done yet.
  case pending = "PENDING"
  /// Of the whole only: some sites done, some pending.
  case processing = "PROCESSING"
  case completed = "COMPLETED"
  case failed = "FAILED"
  /// The object itself is a copy.
  case replica = "REPLICA"

  init?(_ slice: TextSlice, in text: Span<UInt8>) {
    switch ShortText(slice, in: text) {
    case .pendingStatus: self = .pending
    case .processingStatus: self = .processing
    case .completedStatus: self = .completed
    case .failedStatus: self = .failed
    case .replicaStatus: self = .replica
    default: return nil
    }
  }
}
