// What one pass over an entry finds: positions and small values, no text of its own.

/// What of an object is to be replicated (`replicationInfo.content`).
public struct ContentKinds: OptionSet, Hashable, Sendable {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// A full copy; without it only metadata travel.
  public static let data = ContentKinds(rawValue: 1)
  public static let metadata = ContentKinds(rawValue: 2)
  /// The source object was uploaded in parts.
  public static let multipart = ContentKinds(rawValue: 4)
  public static let putTagging = ContentKinds(rawValue: 8)
  public static let deleteTagging = ContentKinds(rawValue: 16)
  public static let putRetention = ContentKinds(rawValue: 32)
  public static let putLegalHold = ContentKinds(rawValue: 64)
  /// Something this build has no name for.
  public static let other = ContentKinds(rawValue: 128)

  /// A full copy and nothing besides: its bytes, and what was known of it when these were written.
  var isCopyAlone: Bool { contains(.data) && isSubset(of: [.data, .metadata, .multipart]) }

  init(_ slice: TextSlice, in text: Span<UInt8>) {
    switch ShortText(slice, in: text) {
    case .dataKind: self = .data
    case .metadataKind: self = .metadata
    case .mpuKind: self = .multipart
    case .putTaggingKind: self = .putTagging
    case .deleteTaggingKind: self = .deleteTagging
    case .putRetentionKind: self = .putRetention
    case .putLegalHoldKind: self = .putLegalHold
    default: self = .other
    }
  }
}

/// Names of an object's members, to refuse repeated ones: a repeat could show one object to the scheduler and another to the worker.
struct SeenNames: Sendable {
  private var bits: UInt32 = 0

  var isEmpty: Bool { bits == 0 }

  @inline(__always)
  mutating func first(_ bit: UInt32) -> Bool {
    let isFirst = bits & 1 << bit == 0
    bits |= 1 << bit
    return isFirst
  }

  @inline(__always)
  mutating func first<Member: KnownMember>(_ member: Member) -> Bool { first(UInt32(member.rawValue)) }
}

/// What `replicationInfo` says.
struct InfoFields: Sendable {
  var content: ContentKinds = []
  var storageClass = TextSlice.absent
  var status = TextSlice.absent
  /// Of the site asked for, where `backends` names it.
  var siteStatus = TextSlice.absent
  var siteVersionId = TextSlice.absent
  /// The site of the last of its `backends`, and how many there are (255 and more are alike).
  var backend = TextSlice.absent
  var backendCount: UInt8 = 0
  var seen = SeenNames()

  /// Of the same text that stands elsewhere.
  func moved(by distance: Int32) -> InfoFields {
    var info = self
    info.storageClass = storageClass.moved(by: distance)
    info.status = status.moved(by: distance)
    info.siteStatus = siteStatus.moved(by: distance)
    info.siteVersionId = siteVersionId.moved(by: distance)
    info.backend = backend.moved(by: distance)
    return info
  }
}

struct EntryFields: Sendable {
  enum Kind: UInt8, Sendable { case absent, put, del, unknown, notText }

  // The entry itself.
  var type = Kind.absent
  var bucket = TextSlice.absent
  var key = TextSlice.absent
  /// The text of the nested JSON, quotes excluded.
  var value = TextSlice.absent
  var site = TextSlice.absent
  var isBucketNotText = false
  var isKeyNotText = false
  var isValueNotText = false
  var isCanary = false
  var isBootstrap = false
  var isIgnored = false
  /// -1 when absent.
  var replayCount: Int64 = -1

  // Inside `value`.
  /// -1 when absent.
  var contentLength: Int64 = -1
  var contentMD5 = TextSlice.absent
  var lastModified = TextSlice.absent
  var versionId = TextSlice.absent
  var isDeleteMarker = false
  var isBucketMetadata = false
  var info = InfoFields()
  /// Where the values stand that a republished entry replaces; empty where there are none.
  var infoRange: Range<Int32> = 0..<0
  var originOpRange: Range<Int32> = 0..<0
  /// Behind the last member's value; 0 without members.
  var membersEnd: Int32 = 0

  /// The value is no JSON, or not enough of it.
  var valueProblem: DeadLetterReason?
  /// A field the value needs is wrong; matters only if the entry is for the site.
  var fieldProblem: DeadLetterReason?
  var seen = SeenNames()
  var metadataSeen = SeenNames()

  /// Hash of what is to be done with which version: equal for a repeat of the same work and, as far as a hash goes,
  /// only then. Wider than backbeat's, which drops a tag update while the data copy of the same version runs. Updates of one
  /// version, which share its time and MD5, are told apart by all they say.
  /// - Parameter orderKey: of the same entry.
  func dedupeHash(_ orderKey: UInt64, in text: Span<UInt8>) -> UInt64 {
    var hash = OrderKey.part(versionId, nil, in: text, seed: orderKey)
    hash = OrderKey.part(lastModified, nil, in: text, seed: hash)
    hash = OrderKey.part(contentMD5, nil, in: text, seed: hash)
    if !info.content.isCopyAlone {
      var whole = value
      whole.firstEscape = whole.end  // as it stands, escapes and all
      hash = OrderKey.part(whole, nil, in: text, seed: hash)
    }
    hash = OrderKey.fold(hash ^ UInt64(info.content.rawValue) ^ (isDeleteMarker ? 1 << 32 : 0))
    return hash == 0 ? 1 : hash
  }
}
