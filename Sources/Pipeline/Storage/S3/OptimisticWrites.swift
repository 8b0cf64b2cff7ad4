// When a copy may be written without a look at the target first: `If-None-Match: *` alone then keeps it from covering anything, and
// a third of the requests of a small object is saved.
//
// Only where the service was seen to refuse such a write because something stood there. That is found out where it can do no harm:
// a small object just written is written a second time, in the same bytes. And only in a bucket without versions: above a delete
// marker the condition holds, and a redelivery would bring back what was deleted.
internal import Reactor

struct OptimisticWrites {
  /// Looks in a row that find nothing, before it is worth while to leave them away.
  static let absentMin = 16
  /// How long a service is taken to refuse what it was seen to refuse. It may be another one by then.
  static let proofLasts: Duration = .seconds(60)
  /// Of an object that is written twice.
  static let trialBytesMax: Int64 = 65_536

  /// What became of the second write.
  enum Trial {
    case refused(endpoint: Int)
    case covered
    /// It failed in another way, or there was none.
    case undecided
  }

  private enum Proof {
    case none
    /// Somebody is finding out.
    case underWay
    case seen(endpoint: Int, at: Instant)
    /// The service covers what stands there, or the bucket has versions.
    case ruledOut
  }

  private var proof = Proof.none
  private var absentInARow = 0

  /// - Parameter endpoint: the one in use; what one does says nothing of the others.
  func mayWrite(endpoint: Int, now: Instant) -> Bool { absentInARow >= Self.absentMin && isProved(endpoint, now) }

  private func isProved(_ endpoint: Int, _ now: Instant) -> Bool {
    guard case .seen(endpoint, let at) = proof else { return false }
    return now - at < Self.proofLasts
  }

  /// What a look found.
  mutating func looked(foundNothing: Bool) { absentInARow = foundNothing ? min(absentInARow + 1, Self.absentMin) : 0 }

  /// The bucket has versions.
  mutating func sawVersion() { proof = .ruledOut }

  /// Whether the object that is about to be written should be written twice. True means that it will be: `endTrial` follows.
  mutating func beginTrial(bytes: Int64, endpoint: Int, now: Instant) -> Bool {
    switch proof {
    case .underWay, .ruledOut: return false
    case .none, .seen: break
    }
    guard absentInARow >= Self.absentMin, bytes <= Self.trialBytesMax, !isProved(endpoint, now) else { return false }
    proof = .underWay
    return true
  }

  mutating func endTrial(_ trial: Trial, now: Instant) {
    guard case .underWay = proof else { return }
    switch trial {
    case .refused(let endpoint): proof = .seen(endpoint: endpoint, at: now)
    case .covered: proof = .ruledOut
    case .undecided:
      proof = .none
      absentInARow = 0
    }
  }

  /// A write was refused because something stood there: where there is one there are more, which a look finds for less.
  mutating func wasRefused() { absentInARow = 0 }
}

/// In place of a look, where none is needed.
final class UnseenTarget: TargetLook {
  let key: String
  init(_ key: String) { self.key = key }
  func cancel() {}
}
