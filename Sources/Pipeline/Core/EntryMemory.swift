// What entries of one stream have in common: objects of one bucket share owner, ACL, storage class and where they go to, to the last
// byte. So the bytes of an entry that were the same in the entry before are compared instead of read again, which takes a tenth of the
// time. What follows from it: nothing but that. Only what was read and found right is remembered, and the same bytes in the same place
// mean the same.
//
// One for each location and worker: 37 KiB, allocated once, with the first entry.

public struct EntryMemory: Sendable {
  /// Whose entries are read; nil: everybody's.
  public let site: Site?

  var envelope: RunMemory<EnvelopeMember>
  var metadata: RunMemory<MetadataMember>
  /// Of `replicationInfo`.
  var info: InfoMemory

  public init(site: Site?) { self.init(site: site, isKept: true) }

  private init(site: Site?, isKept: Bool) {
    self.site = site
    envelope = RunMemory(isKept: isKept)
    metadata = RunMemory(isKept: isKept)
    info = InfoMemory(isKept: isKept)
  }

  /// For a single entry.
  static func none(_ site: Site?) -> EntryMemory { EntryMemory(site: site, isKept: false) }
}

/// When something else takes the place of what is remembered: not at once, or streams of several buckets would copy all the time; and
/// ever more seldom, for what differs in each entry.
struct TurnTaking: Sendable {
  private static let patienceMin: UInt8 = 8
  private static let patienceMax: UInt8 = 128

  private var different: UInt8 = 0
  private var patience = patienceMin

  /// Something else stood there. - Returns: whether it takes the place.
  mutating func differs() -> Bool {
    different += 1
    guard different >= patience else { return false }
    different = 0
    patience = min(patience, Self.patienceMax / 2) * 2
    return true
  }
}
