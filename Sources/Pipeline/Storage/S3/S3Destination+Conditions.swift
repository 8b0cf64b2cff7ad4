// Nobody else may have written between the look at a target and the write: a write names what was found (If-None-Match, If-Match;
// S3's conditional writes), and a service that does as it says refuses it when that is no longer so. The next attempt looks again.
//
// Services that never heard of conditions ignore them. One that refuses them, or writes that meet them, is found out: conditions
// are then left away, and the window between look and write is what it was.
internal import PipelineCore

/// What must still stand under the key when a copy takes it.
enum WriteCondition: Hashable {
  case none
  case isAbsent
  /// The ETag as the service gave it, quotes included.
  case isStill(String)

  /// Of what was found. A weak ETag names no bytes.
  init(_ there: S3ObjectHead) {
    guard let etag = there.head["etag"], etag.hasPrefix("\"") else {
      self = .none
      return
    }
    self = .isStill(etag)
  }

  func write(to headers: inout HeaderLines) {
    switch self {
    case .none: break
    case .isAbsent: headers.append("if-none-match", "*")
    case .isStill(let etag): headers.append("if-match", etag)
    }
  }
}

/// What a failed answer says of a write's condition.
enum ConditionAnswer: Hashable {
  case unmet
  /// "Not implemented", or a bad request that is said to be bad in no other way.
  case perhapsRefused
}

/// Whether a service takes conditions, as far as its answers have told.
struct WriteConditions {
  /// Keys that are tried without at a time; further ones fail as they are refused.
  static let unconditionalMax = 64

  private(set) var areTaken = true
  /// Refused as bad requests with a condition: the next attempt goes without, and tells whether the condition was it.
  private var unconditional: Set<String> = []

  func now(_ condition: WriteCondition, _ key: String) -> WriteCondition { areTaken && !unconditional.contains(key) ? condition : .none }

  /// True if the next attempt may succeed without.
  mutating func wasRefused(_ key: String) -> Bool {
    guard unconditional.count < Self.unconditionalMax else { return false }
    return unconditional.insert(key).inserted
  }

  mutating func wasWritten(_ key: String) {
    if unconditional.remove(key) != nil { giveUp() }
  }

  mutating func failedWithout(_ key: String) { unconditional.remove(key) }

  mutating func giveUp() {
    areTaken = false
    unconditional = []
  }
}

extension S3Destination {
  /// What a failed write says of the service's way with conditions.
  func judgeFailure(_ error: StoreError, of copy: S3Copy) async -> StoreError {
    guard copy.condition != .none else {
      conditions.failedWithout(copy.key)
      return error
    }
    switch error.condition {
    case nil: return error
    case .unmet:
      if await isStillSo(copy) { conditions.giveUp() }
      return error
    case .perhapsRefused: return conditions.wasRefused(copy.key) ? StoreError(error.reason, isRetryable: true, error.message) : error
    }
  }

  /// Refused, although what was demanded holds.
  private func isStillSo(_ copy: S3Copy) async -> Bool {
    do throws(StoreError) {
      switch try await client.finish(client.beginLook(placement.bucket, copy.key)) {
      case .nothing, .deleted: return copy.condition == .isAbsent
      case .object(let there): return copy.condition == WriteCondition(there)
      }
    } catch {
      // Nothing learnt; the refusal itself is what is told.
      return false
    }
  }
}
