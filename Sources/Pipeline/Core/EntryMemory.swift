// What entries of one stream have in common: objects of one bucket share owner, ACL, storage class and where they go to, to the last
// byte. So the bytes of an entry that were the same in the entry before are compared instead of read again, which takes a tenth of the
// time. What follows from it: nothing but that. Only whole members that were read and found right are remembered, and the same bytes
// in the same place mean the same.
//
// One for each location and worker; a few KiB, allocated once.

public struct EntryMemory: Sendable {
  /// Runs of members nothing is wanted of, between two members that something is wanted of.
  static let runsMax = 8
  static let runBytesMax = 1_024
  /// Not worth remembering.
  static let runBytesMin = 16
  /// One of so many that differ from what is remembered takes its place: streams of several buckets do not copy all the time.
  static let differentMax: UInt8 = 8

  /// Whose entries are read; nil: everybody's.
  public let site: Site?

  /// The runs, `runBytesMax` each; empty: nothing is remembered.
  private var bytes: [UInt8]
  /// 0: none.
  private var counts = SIMD8<Int32>()
  private var different = SIMD8<UInt8>()
  /// By bit: the run stands at the object's beginning, without a comma.
  private var isFirst: UInt8 = 0
  /// The run of this entry that comes next.
  private var next = 0

  /// Of `replicationInfo`.
  var info: InfoMemory

  public init(site: Site?) {
    self.site = site
    bytes = [UInt8](repeating: 0, count: Self.runsMax * Self.runBytesMax)
    info = InfoMemory(isKept: true)
  }

  private init(withoutMemory site: Site?) {
    self.site = site
    bytes = []
    info = InfoMemory(isKept: false)
  }

  /// For a single entry.
  static func none(_ site: Site?) -> EntryMemory { EntryMemory(withoutMemory: site) }

  // MARK: Runs of members

  /// Another entry's metadata begin.
  mutating func begin() { next = 0 }

  /// Passes the members remembered here, if they stand here.
  /// - Parameter isAtFirst: no member was passed yet.
  @inline(__always)
  mutating func passRun(_ text: Span<UInt8>, _ at: inout Int, isAtFirst: inout Bool) -> Bool {
    guard next < Self.runsMax else { return false }
    let count = Int(counts[next])
    guard count > 0, at &+ count < text.count, isAtFirst == (isFirst & 1 << UInt8(next) != 0) else { return false }
    // A number that goes on behind them would be another number.
    let behind = text[at &+ count]
    guard behind == UInt8(ascii: ",") || behind == UInt8(ascii: "}") else { return false }
    guard ByteScan.isSame(text, at, bytes.span, next &* Self.runBytesMax, count) else { return false }
    at &+= count
    next &+= 1
    isAtFirst = false
    return true
  }

  /// Members that were read, and of which nothing was wanted.
  mutating func keepRun(_ text: Span<UInt8>, _ range: Range<Int>, isAtFirst: Bool) {
    guard next < Self.runsMax, !bytes.isEmpty else { return }
    let slot = next
    next += 1
    guard (Self.runBytesMin...Self.runBytesMax).contains(range.count) else { return }
    if counts[slot] > 0 {
      different[slot] &+= 1
      guard different[slot] >= Self.differentMax else { return }
    }
    different[slot] = 0
    counts[slot] = Int32(range.count)
    isFirst = isFirst & ~(1 << UInt8(slot)) | (isAtFirst ? 1 << UInt8(slot) : 0)
    for index in 0..<range.count { bytes[slot * Self.runBytesMax + index] = text[range.lowerBound + index] }
  }
}

extension ByteScan {
  /// - Precondition: `count` bytes from there on in both, and at least 8.
  @inline(__always)
  static func isSame(_ one: Span<UInt8>, _ oneStart: Int, _ other: Span<UInt8>, _ otherStart: Int, _ count: Int) -> Bool {
    precondition(count >= 8 && oneStart >= 0 && otherStart >= 0 && oneStart &+ count <= one.count && otherStart &+ count <= other.count)
    var index = 0
    while index &+ 16 <= count {
      // Within the bounds above, as the last ones are.
      let left = unsafe one.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: oneStart &+ index, as: SIMD2<UInt64>.self)
      let right = unsafe other.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: otherStart &+ index, as: SIMD2<UInt64>.self)
      if left != right { return false }
      index &+= 16
    }
    while index < count {
      // The last eight may be looked at twice.
      let place = min(index, count &- 8)
      let left = unsafe one.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: oneStart &+ place, as: UInt64.self)
      let right = unsafe other.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: otherStart &+ place, as: UInt64.self)
      if left != right { return false }
      index &+= 8
    }
    return true
  }
}
