// Which objects have an entry on the way, and of which state of the file: listing again (after a pause, an overflow, every
// 30 s without watches) must not enqueue again what only waits to be consumed. By hash: two keys with one hash cost a
// needless second entry or, if even size and time agree, one that comes with the next change or listing.

struct OutstandingObjects {
  /// The state of a file an entry was made for.
  struct Fingerprint: Hashable {
    var size: Int64
    var modifiedNs: Int64
    var permissions: UInt32?

    static let deleted = Fingerprint(size: -1, modifiedNs: 0)

    init(size: Int64, modifiedNs: Int64, permissions: UInt32? = nil) {
      self.size = size
      self.modifiedNs = modifiedNs
      self.permissions = permissions
    }

    init(_ file: WalkedFile) { self.init(size: file.size, modifiedNs: file.modifiedNs, permissions: file.permissions) }
  }

  /// Of what is to be copied: a removal moves none.
  private static func bytes(_ state: Fingerprint) -> Int64 { max(0, state.size) }

  private struct Waiting {
    var last: Fingerprint
    var entries: Int
  }

  private var waiting: [UInt64: Waiting] = [:]
  /// Entries, not objects.
  private(set) var count = 0
  /// Of the objects, each in the state of its last entry.
  private(set) var bytes: Int64 = 0

  /// True if the last entry on the way for this object was made for exactly this state.
  func holds(_ keyHash: UInt64, _ fingerprint: Fingerprint) -> Bool { waiting[keyHash]?.last == fingerprint }

  /// True if any entry is on the way for this object.
  func isWaiting(_ keyHash: UInt64) -> Bool { waiting[keyHash] != nil }

  mutating func insert(_ keyHash: UInt64, _ fingerprint: Fingerprint) {
    bytes += Self.bytes(fingerprint) - (waiting[keyHash].map { Self.bytes($0.last) } ?? 0)
    waiting[keyHash, default: Waiting(last: fingerprint, entries: 0)].entries += 1
    waiting[keyHash]!.last = fingerprint
    count += 1
  }

  /// One of the object's entries arrived, or never will.
  mutating func remove(_ keyHash: UInt64) {
    guard let entry = waiting[keyHash] else { preconditionFailure("a credit for an object that was not enqueued") }
    count -= 1
    if entry.entries > 1 {
      waiting[keyHash]!.entries -= 1
    } else {
      waiting[keyHash] = nil
      bytes -= Self.bytes(entry.last)
    }
  }
}

/// FNV-1a over the message key, finished so that its low bits choose partitions evenly.
func objectKeyHash(_ bytes: [UInt8]) -> UInt64 {
  var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
  hash = (hash ^ (hash >> 32)) &* 0x9E37_79B9_7F4A_7C15
  return hash ^ (hash >> 29)
}
