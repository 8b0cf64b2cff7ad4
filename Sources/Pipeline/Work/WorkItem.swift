// What crosses between the reactor and the workers: an item out, a completion back. Both are small values in batches;
// the message's bytes stay where librdkafka put them and are freed by the worker.
public import PipelineCore
internal import Reactor

/// One entry to be carried out.
struct WorkItem: Sendable {
  /// Index of the location in the pool's table.
  let location: Int32
  let ticket: InFlightTicket
  /// Owned by this item: whoever takes it must turn it back into a `KafkaMessage`.
  let message: KafkaMessage.Reference
  /// Dedupe hash of the task of the same key that succeeded just before; an entry with the same one is a repetition.
  let previousDone: UInt64
}

/// What became of an entry. Everything but `abandoned` is final and already durable where the worker could make it so.
public enum WorkOutcome: Sendable {
  /// Written, with the bytes of content moved.
  case done(bytes: Int64)
  /// The destination had it already; nothing was written.
  case alreadyThere
  /// Not for this location.
  case skipped(SkipReason)
  /// Not an entry at all.
  case deadLetter(DeadLetterReason)
  /// Given up after its retries. Boxed: the others are copied for each entry.
  indirect case failed(ReplicationFailure)
  /// Cancelled before its end (revoke, shutdown): not finished, must not be committed.
  case abandoned
}

/// A message that must be acknowledged by the broker before the offset of the entry it is about may be committed.
public struct OutgoingMessage: Sendable {
  public var topic: String
  public var key: [UInt8]
  public var value: [UInt8]
  public var headers: [(name: String, value: [UInt8])]

  public init(topic: String, key: [UInt8], value: [UInt8], headers: [(name: String, value: [UInt8])] = []) {
    self.topic = topic
    self.key = key
    self.value = value
    self.headers = headers
  }
}

/// What a worker's part hands back for one entry.
public struct WorkResult: Sendable {
  public var outcome: WorkOutcome
  /// Of the copy at the target; nil where targets have no versions.
  public var targetVersionId: String?
  /// What the source said of the bytes that were copied; nil if none were.
  public var source: ObjectInfo?
  /// Must be on the broker before the entry counts as finished.
  public var messages: [OutgoingMessage] = []

  public init(_ outcome: WorkOutcome, targetVersionId: String? = nil, source: ObjectInfo? = nil) {
    self.outcome = outcome
    self.targetVersionId = targetVersionId
    self.source = source
  }
}

/// The answer to one `WorkItem`. Copied from array to array on its way, so it holds a single reference, which is nil for
/// whatever neither failed nor has something to say.
struct WorkCompletion: Sendable {
  /// `WorkOutcome` without what the outcome says.
  private enum Verdict: Sendable {
    case done(bytes: Int64)
    case alreadyThere
    case skipped(SkipReason)
    case deadLetter(DeadLetterReason)
    case failed
    case abandoned
  }

  private final class Rest: Sendable {
    let failure: ReplicationFailure?
    let messages: [OutgoingMessage]

    init(_ failure: ReplicationFailure?, _ messages: [OutgoingMessage]) {
      self.failure = failure
      self.messages = messages
    }
  }

  let location: Int32
  let ticket: InFlightTicket
  /// Which worker answers.
  let worker: UInt8
  private let verdict: Verdict
  private let rest: Rest?
  /// Of what was done, for the key's next task; 0 otherwise.
  let dedupe: UInt64
  /// When the entry ended, by the worker's clock: the start of its turn.
  let endedAt: Instant
  /// What has begun in its place, on the same worker (`Standby`); nil: nothing, the place is free.
  let successor: InFlightTicket?
  /// Handed back for outcomes that still need the bytes (dead letter); else freed by the worker.
  let message: KafkaMessage.Reference?

  init(
    _ item: WorkItem, worker: UInt8, outcome: WorkOutcome, dedupe: UInt64 = 0, messages: [OutgoingMessage] = [],
    message: KafkaMessage.Reference? = nil, endedAt: Instant, successor: InFlightTicket? = nil
  ) {
    location = item.location
    ticket = item.ticket
    self.worker = worker
    self.dedupe = dedupe
    self.endedAt = endedAt
    self.successor = successor
    self.message = message
    var failure: ReplicationFailure?
    switch outcome {
    case .done(let bytes): verdict = .done(bytes: bytes)
    case .alreadyThere: verdict = .alreadyThere
    case .skipped(let reason): verdict = .skipped(reason)
    case .deadLetter(let reason): verdict = .deadLetter(reason)
    case .abandoned: verdict = .abandoned
    case .failed(let what):
      verdict = .failed
      failure = what
    }
    rest = failure == nil && messages.isEmpty ? nil : Rest(failure, messages)
  }

  var outcome: WorkOutcome {
    switch verdict {
    case .done(let bytes): return .done(bytes: bytes)
    case .alreadyThere: return .alreadyThere
    case .skipped(let reason): return .skipped(reason)
    case .deadLetter(let reason): return .deadLetter(reason)
    case .abandoned: return .abandoned
    case .failed:
      guard let failure = rest?.failure else { preconditionFailure("a failure travels with what it was") }
      return .failed(failure)
    }
  }

  /// The entry is finished when all of them are acknowledged; nil for none.
  var messages: [OutgoingMessage]? {
    guard let rest, !rest.messages.isEmpty else { return nil }
    return rest.messages
  }
}

/// What a running item is about.
struct TaskName: Hashable, Sendable {
  let ticket: InFlightTicket
  let bucket: String
  let key: String
  let versionId: String?
}

/// Why an object version could not be replicated: for the status, the failed list and the log.
public struct ReplicationFailure: Hashable, Sendable {
  public var bucket: String
  public var key: String
  public var versionId: String?
  /// Stable code, for example `SourceUnreadable`.
  public var code: String
  /// Names the thing and the way out.
  public var message: String
  public var attempts: Int

  public init(bucket: String, key: String, versionId: String?, code: String, message: String, attempts: Int) {
    self.bucket = bucket
    self.key = key
    self.versionId = versionId
    self.code = code
    self.message = message
    self.attempts = attempts
  }
}
