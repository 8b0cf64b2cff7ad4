// Where a member stands in the life of its group. The library tells the generation to nobody but its own producer, for which it writes
// both into a block of bytes; the name of the layout stands before it, and one that is not known counts as no answer.

public struct GroupPlace: Hashable, Sendable {
  /// A member that was expelled comes back under another name.
  public let memberId: String
  /// Grows by one each time the group has assembled.
  public let generation: Int32

  public init(memberId: String, generation: Int32) {
    self.memberId = memberId
    self.generation = generation
  }

  /// `CGMDv2:`, generation in the machine's order of bytes, group and member as C strings.
  init?(serialized bytes: UnsafeRawBufferPointer) {
    let head = Array("CGMDv2:".utf8)
    let namesStart = head.count + MemoryLayout<Int32>.size
    guard bytes.count > namesStart, bytes.prefix(head.count).elementsEqual(head) else { return nil }
    generation = bytes.loadUnaligned(fromByteOffset: head.count, as: Int32.self)
    let names = bytes[namesStart...].split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
    guard names.count == 3 else { return nil }
    memberId = String(decoding: names[1], as: UTF8.self)
  }

  /// The same member, at the very next assembly: nobody had its partitions in between. One that was missed, because an answer of it
  /// was lost, may have given them to others.
  func isNext(after place: GroupPlace) -> Bool { memberId == place.memberId && generation == place.generation &+ 1 }
}
