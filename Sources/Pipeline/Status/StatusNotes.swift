// What a status message carries besides Backbeat's value: why and after how many attempts a copy failed, and which state of
// the source was copied. Headers, so that the value stays exactly what Backbeat reads and writes; a message of Backbeat has
// none of them and is understood all the same.
public import PipelineCore

public struct StatusNotes: Hashable, Sendable {
  /// Stable code of a failure, for example `TargetFull`.
  public var reason: String?
  /// One line for a person.
  public var message: String?
  public var attempts: Int?
  /// Bytes of the source when it was copied.
  public var sourceSize: Int64?
  /// Nanoseconds since 1970; nil where the source has no such time.
  public var sourceModifiedNs: Int64?

  static let reasonName = "downbeat-reason"
  static let messageName = "downbeat-message"
  static let attemptsName = "downbeat-attempts"
  static let sourceStateName = "downbeat-source-state"
  /// Of the message for a person; a longer one is cut.
  static let messageBytesMax = 1_024

  public init() {}

  init(of kafka: borrowing KafkaMessage) {
    reason = Self.text(kafka.header(Self.reasonName))
    message = Self.text(kafka.header(Self.messageName))
    attempts = Self.text(kafka.header(Self.attemptsName)).flatMap(Int.init)
    let state = Self.text(kafka.header(Self.sourceStateName))?.split(separator: ":").map { Int64($0) } ?? []
    if let size = state.first { sourceSize = size }
    if state.count == 2 { sourceModifiedNs = state[1] }
  }

  init(_ result: WorkResult) {
    if case .failed(let failure) = result.outcome {
      reason = failure.code
      message = String(decoding: failure.message.utf8.prefix(Self.messageBytesMax), as: UTF8.self)
      attempts = failure.attempts
    }
    sourceSize = result.source?.size
    sourceModifiedNs = result.source?.modifiedNs
  }

  private static func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

  var headers: [(name: String, value: [UInt8])] {
    var pairs: [(name: String, value: [UInt8])] = []
    if let reason { pairs.append((Self.reasonName, Array(reason.utf8))) }
    if let message { pairs.append((Self.messageName, Array(message.utf8))) }
    if let attempts { pairs.append((Self.attemptsName, Array(String(attempts).utf8))) }
    if let sourceSize {
      let state = [UInt8](bytesMax: 2 * OutputSpan<UInt8>.decimalBytesMax + 1) { state in
        state.append(decimal: sourceSize)
        if let sourceModifiedNs {
          state.append(UInt8(ascii: ":"))
          state.append(decimal: sourceModifiedNs)
        }
      }
      pairs.append((Self.sourceStateName, state))
    }
    return pairs
  }

  /// The status entry of a finished task (backbeat-behaviour 4.2).
  /// - Returns: nil for an outcome that says nothing of a copy.
  static func message(_ result: WorkResult, _ entry: ReplicationEntry, site: String, topic: String) -> OutgoingMessage? {
    let status: ReplicationStatus
    switch result.outcome {
    case .done, .alreadyThere: status = .completed
    case .failed: status = .failed
    case .skipped, .deadLetter, .abandoned: return nil
    }
    return OutgoingMessage(
      topic: topic, key: EntryEncoder.messageKey(bucket: entry.bucket, key: entry.key),
      value: EntryEncoder.republished(entry, as: .status(site: site, status, versionId: result.targetVersionId)),
      headers: StatusNotes(result).headers)
  }
}

/// What a status entry says: this site's copy of this object is in this state.
public struct StatusReport: Sendable {
  public let site: String
  public let status: ReplicationStatus
  /// Of the copy; empty where the target has no versions.
  public let targetVersionId: String
  public let notes: StatusNotes

  /// - Returns: nil for an entry that is no report, or one of a status no report may carry (backbeat-behaviour 6.1).
  init?(_ entry: ReplicationEntry, _ notes: StatusNotes) {
    guard let site = entry.envelopeSite, let backend = entry.backends.first(where: { $0.site == site }) else { return nil }
    switch backend.status {
    case .pending?, .completed?, .failed?: status = backend.status!
    case .processing?, .replica?, nil: return nil
    }
    self.site = site
    targetVersionId = backend.dataStoreVersionId
    self.notes = notes
  }
}
