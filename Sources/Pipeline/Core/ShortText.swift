// The first 24 bytes of a text in three words, to be compared with known names without touching memory again.
// Generated constants: the bytes of the name, the first in the lowest; a test decodes an entry that holds each of them.

struct ShortText: Hashable, Sendable {
  var word0: UInt64 = 0
  var word1: UInt64 = 0
  var word2: UInt64 = 0
  /// Bytes of the text; above 24 it equals none of the names.
  var count: Int = 0

  static let countMax = 24

  private init(_ word0: UInt64, _ word1: UInt64, _ word2: UInt64, _ count: Int) {
    (self.word0, self.word1, self.word2, self.count) = (word0, word1, word2, count)
  }

  /// Equal to no text.
  static let none = ShortText(0, 0, 0, -1)

  /// A text that is no part of an entry.
  init(plain text: [UInt8]) {
    self.init(0, 0, 0, text.count)
    for index in 0..<min(count, Self.countMax) { set(text[index], at: index) }
  }

  /// The text a slice means, escapes undone.
  @inline(__always)
  init(_ slice: TextSlice, in text: Span<UInt8>) {
    if slice.isEscaped {
      self = Self.unescaped(slice, in: text)
      return
    }
    let start = Int(slice.start)
    count = Int(slice.end) - start
    if count < 8, start + 8 <= text.count {
      word0 = ByteScan.word(text, start) & ((1 << UInt64(count &* 8)) &- 1)
    } else if start + Self.countMax <= text.count {
      word0 = ByteScan.word(text, start)
      word1 = ByteScan.word(text, start + 8) & Self.mask(count - 8)
      if count > 16 { word2 = ByteScan.word(text, start + 16) & Self.mask(count - 16) }
    } else {
      for index in 0..<min(count, Self.countMax) { set(text[start + index], at: index) }
    }
  }

  /// Keeps the lowest `count` bytes of a word.
  @inline(__always)
  private static func mask(_ count: Int) -> UInt64 {
    if count >= 8 { return ~0 }
    return count <= 0 ? 0 : (1 << UInt64(count &* 8)) &- 1
  }

  private static func unescaped(_ slice: TextSlice, in text: Span<UInt8>) -> ShortText {
    var result = ShortText(0, 0, 0, 0)
    var reader = TextReader(slice)
    while let byte = reader.next(text) {
      if result.count < countMax { result.set(byte, at: result.count) }
      result.count += 1
    }
    return result
  }

  private mutating func set(_ byte: UInt8, at index: Int) {
    let bits = UInt64(byte) << UInt64(index & 7 * 8)
    switch index >> 3 {
    case 0: word0 |= bits
    case 1: word1 |= bits
    default: word2 |= bits
    }
  }

  /// Begins with `x-amz-meta-`.
  var isUserMetadata: Bool { word0 == 0x656D_2D7A_6D61_2D78 && word1 & 0xFF_FFFF == 0x2D_6174 }

  // The entry itself (backbeat-behaviour 4.1, 4.2).
  static let type = ShortText(0x6570_7974, 0, 0, 4)
  static let bucket = ShortText(0x7465_6B63_7562, 0, 0, 6)
  static let key = ShortText(0x79_656B, 0, 0, 3)
  static let value = ShortText(0x65_756C_6176, 0, 0, 5)
  static let canary = ShortText(0x7972_616E_6163, 0, 0, 6)
  static let bootstrapId = ShortText(0x6172_7473_746F_6F62, 0x64_4970, 0, 11)
  static let site = ShortText(0x6574_6973, 0, 0, 4)
  static let replayCount = ShortText(0x6F43_7961_6C70_6572, 0x74_6E75, 0, 11)
  static let ignore = ShortText(0x6572_6F6E_6769, 0, 0, 6)
  static let put = ShortText(0x74_7570, 0, 0, 3)
  static let del = ShortText(0x6C_6564, 0, 0, 3)
  static let usersBucket = ShortText(0x622E_2E73_7265_7375, 0x74_656B_6375, 0, 13)

  // The metadata inside `value`.
  static let contentLength = ShortText(0x2D74_6E65_746E_6F63, 0x6874_676E_656C, 0, 14)
  static let originOp = ShortText(0x704F_6E69_6769_726F, 0, 0, 8)
  static let contentMD5 = ShortText(0x2D74_6E65_746E_6F63, 0x35_646D, 0, 11)
  static let lastModified = ShortText(0x646F_6D2D_7473_616C, 0x64_6569_6669, 0, 13)
  static let versionId = ShortText(0x496E_6F69_7372_6576, 0x64, 0, 9)
  static let tags = ShortText(0x7367_6174, 0, 0, 4)
  static let isDeleteMarker = ShortText(0x6574_656C_6544_7369, 0x7265_6B72_614D, 0, 14)
  static let replicationInfo = ShortText(0x7461_6369_6C70_6572, 0x6F_666E_496E_6F69, 0, 15)
  static let mdBucketModelVersion = ShortText(0x7465_6B63_7542_646D, 0x7265_566C_6564_6F4D, 0x6E6F_6973, 20)
  static let attributes = ShortText(0x7475_6269_7274_7461, 0x7365, 0, 10)

  // `replicationInfo` and its back ends.
  static let status = ShortText(0x7375_7461_7473, 0, 0, 6)
  static let backends = ShortText(0x7364_6E65_6B63_6162, 0, 0, 8)
  static let content = ShortText(0x74_6E65_746E_6F63, 0, 0, 7)
  static let storageClass = ShortText(0x4365_6761_726F_7473, 0x7373_616C, 0, 12)
  static let dataStoreVersionId = ShortText(0x726F_7453_6174_6164, 0x6E6F_6973_7265_5665, 0x6449, 18)

  // Members of `content`.
  static let dataKind = ShortText(0x4154_4144, 0, 0, 4)
  static let metadataKind = ShortText(0x4154_4144_4154_454D, 0, 0, 8)
  static let mpuKind = ShortText(0x55_504D, 0, 0, 3)
  static let putTaggingKind = ShortText(0x4747_4154_5F54_5550, 0x47_4E49, 0, 11)
  static let deleteTaggingKind = ShortText(0x545F_4554_454C_4544, 0x474E_4947_4741, 0, 14)
  static let putRetentionKind = ShortText(0x4554_4552_5F54_5550, 0x4E_4F49_544E, 0, 13)
  static let putLegalHoldKind = ShortText(0x4147_454C_5F54_5550, 0x444C_4F48_5F4C, 0, 14)

  // Statuses.
  static let pendingStatus = ShortText(0x47_4E49_444E_4550, 0, 0, 7)
  static let processingStatus = ShortText(0x4953_5345_434F_5250, 0x474E, 0, 10)
  static let completedStatus = ShortText(0x4554_454C_504D_4F43, 0x44, 0, 9)
  static let failedStatus = ShortText(0x4445_4C49_4146, 0, 0, 6)
  static let replicaStatus = ShortText(0x41_4349_4C50_4552, 0, 0, 7)
}
