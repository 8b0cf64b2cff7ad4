// The members of an entry, and of the metadata inside it, that reading it stops at. All others are passed.

/// Members of one object, by name. The numbers are bits of `SeenNames`.
protocol KnownMember: RawRepresentable<UInt8>, Sendable {
  associatedtype Level: JSONLevel

  /// Bit n: there is a name of n bytes. Most others are passed without a closer look.
  static var lengths: UInt32 { get }

  init?(_ name: ShortText)
}

extension KnownMember {
  /// - Returns: nil for a member nothing is wanted of.
  @inline(__always)
  init?(_ name: TextSlice, in text: Span<UInt8>) {
    guard name.isEscaped || Self.lengths & (1 << UInt32(name.range.count & 31)) != 0 else { return nil }
    self.init(ShortText(name, in: text))
  }
}

/// Of the entry itself (backbeat-behaviour 4.1, 4.2).
enum EnvelopeMember: UInt8, KnownMember {
  case type, bucket, key, value, canary, bootstrapId, site, replayCount, ignore

  typealias Level = PlainJSON

  static var lengths: UInt32 { 0b1000_0111_1000 }

  @inline(__always)
  init?(_ name: ShortText) {
    switch name {
    case .type: self = .type
    case .bucket: self = .bucket
    case .key: self = .key
    case .value: self = .value
    case .canary: self = .canary
    case .bootstrapId: self = .bootstrapId
    case .site: self = .site
    case .replayCount: self = .replayCount
    case .ignore: self = .ignore
    default: return nil
    }
  }
}

/// Of the metadata inside `value`.
enum MetadataMember: UInt8, KnownMember {
  case contentLength, contentMD5, lastModified, versionId, isDeleteMarker, replicationInfo, originOp, mdBucketModelVersion, attributes

  typealias Level = NestedJSON

  static var lengths: UInt32 { 0b1_0000_1110_1111_0000_0000 }

  @inline(__always)
  init?(_ name: ShortText) {
    switch name {
    case .contentLength: self = .contentLength
    case .contentMD5: self = .contentMD5
    case .lastModified: self = .lastModified
    case .versionId: self = .versionId
    case .isDeleteMarker: self = .isDeleteMarker
    case .replicationInfo: self = .replicationInfo
    case .originOp: self = .originOp
    case .mdBucketModelVersion: self = .mdBucketModelVersion
    case .attributes: self = .attributes
    default: return nil
    }
  }
}
