// What a replication needs of a store, whatever it is made of. Bodies are pulled by the destination, block by block: that
// is the back-pressure, and the only buffers are the pool's. Nothing here knows of Kafka, files or S3.
//
// - Thread: one instance per worker; everything runs on that worker's executor.
internal import PipelineCore

/// One version of one object, as an entry asks for it to be copied to one location.
public struct ObjectRequest: Sendable {
  public var site: String
  public var bucket: String
  public var key: String
  /// Raw; nil where the source has no versions.
  public var versionId: String? { didSet { encodedVersionId = versionId.map(VersionId.encode) } }
  /// The same, as requests and lists spell it.
  public private(set) var encodedVersionId: String?
  public var isDeleteMarker = false
  /// Nil where the entry does not say: what the source has then counts.
  public var md5: MD5Digest?
  /// Bytes, a hint where `md5` is nil.
  public var size: Int64 = 0
  /// ISO 8601, of the version; empty where the entry does not say.
  public var lastModified = ""
  /// What else belongs to the object: content type, user metadata, tags; names as in the entry.
  public var attributes = ObjectAttributes()
  /// How much of it is to be copied.
  public var extent = Extent.whole
  /// Overwrite what at the target is not ours or was changed.
  public var force = false

  public enum Extent: Hashable, Sendable {
    case whole
    /// The data are known to be there: metadata and tags may have changed.
    case metadata
    /// Only the tags may have changed.
    case tags
  }

  public init(site: String, bucket: String, key: String, versionId: String? = nil) {
    self.site = site
    self.bucket = bucket
    self.key = key
    self.versionId = versionId
    encodedVersionId = versionId.map(VersionId.encode)
  }
}

public struct ObjectAttributes: Hashable, Sendable {
  public struct Pair: Hashable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// `content-type`, `cache-control` and the like.
  public var system: [Pair] = []
  /// `x-amz-meta-…`, with the prefix.
  public var user: [Pair] = []
  public var tags: [Pair] = []

  public init() {}
  public var isEmpty: Bool { system.isEmpty && user.isEmpty && tags.isEmpty }

  /// Of all names and values.
  var byteCount: Int64 {
    func count(_ pairs: [Pair]) -> Int64 { pairs.reduce(0) { $0 + Int64($1.name.utf8.count + $1.value.utf8.count) } }
    return count(system) + count(user) + count(tags)
  }
}

/// What a source says of the bytes it is about to give.
public struct ObjectInfo: Hashable, Sendable {
  public var size: Int64
  /// Nanoseconds since 1970; nil where the source has no such time.
  public var modifiedNs: Int64?
  /// Permission bits without setuid, setgid and sticky; nil: the target's default.
  public var permissions: UInt32?
  /// Holes are worth keeping.
  public var isSparse = false

  public init(size: Int64, modifiedNs: Int64? = nil, permissions: UInt32? = nil, isSparse: Bool = false) {
    self.size = size
    self.modifiedNs = modifiedNs
    self.permissions = permissions
    self.isSparse = isSparse
  }
}

/// The bytes of one object, in order.
public protocol ObjectBody: AnyObject {
  var info: ObjectInfo { get }
  /// What the source says the MD5 of all bytes is; nil where it does not say.
  var md5: MD5Digest? { get }
  /// Metadata as the source has them, for requests that name none; nil where the source keeps none.
  var attributes: ObjectAttributes? { get }
  /// False when `next` may have to wait for a buffer. Whoever calls it then must hold no buffer itself: transfers share the
  /// pool, and two that each hold what the other waits for would wait for ever.
  var hasBuffer: Bool { get }
  /// The next block; nil once all `info.size` bytes were given *and* the source was still what `info` says.
  /// - Errors: `sourceChanged` when it was not.
  func next() async throws(StoreError) -> Block?
  /// Some of the bytes, read beside the others; nil where the source can only be read from the beginning.
  func part(_ range: Range<Int64>) async throws(StoreError) -> (any ObjectBody)?
  /// Lets go of it, at any point.
  func close()
}

extension ObjectBody {
  public var md5: MD5Digest? { nil }
  public var attributes: ObjectAttributes? { nil }
  public func part(_ range: Range<Int64>) async throws(StoreError) -> (any ObjectBody)? { nil }
}

public protocol ObjectSource: AnyObject {
  /// - Errors: `sourceNotFound` and its like.
  func open(_ request: ObjectRequest) async throws(StoreError) -> any ObjectBody
  /// Whether the object is there *now*: a delete marker of a source without versions is out of date if it is.
  func isPresent(_ request: ObjectRequest) async throws(StoreError) -> Bool
}

/// What stands at the target after a `put`.
public struct CopyReceipt: Hashable, Sendable {
  public var bytes: Int64
  /// Nil where it was copied in parts that were checked one by one.
  public var md5: MD5Digest?
  /// Version id the target gave; nil where it has none.
  public var targetVersionId: String?
  /// What the source said of the bytes when they were read; nil before the replicator has filled it in.
  public var source: ObjectInfo?

  public init(bytes: Int64, md5: MD5Digest?, targetVersionId: String? = nil) {
    self.bytes = bytes
    self.md5 = md5
    self.targetVersionId = targetVersionId
  }

  /// Equal is what stands at the target, wherever it was read from.
  public static func == (a: CopyReceipt, b: CopyReceipt) -> Bool {
    a.bytes == b.bytes && a.md5 == b.md5 && a.targetVersionId == b.targetVersionId
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(bytes)
    hasher.combine(md5)
    hasher.combine(targetVersionId)
  }
}

public enum PutOutcome: Hashable, Sendable {
  case written(CopyReceipt)
  /// Equal bytes were there, not written by us; they are ours from now on.
  case adopted(CopyReceipt)
  /// This very version was there: a redelivery.
  case alreadyThere(CopyReceipt)
  /// A newer version is there and stays.
  case newerThere
  /// Nothing was written: something stands there that was not looked at. The next attempt looks.
  case somethingThere
}

public enum RemoveOutcome: Hashable, Sendable {
  case removed
  case notThere
  /// What is there was not written by us, and stays.
  case notOurs
  /// A newer version is there and stays.
  case newerThere
}

/// A look at what stands at the target, asked for before the source was opened: one round trip less for each copy.
public protocol TargetLook: AnyObject {
  /// Lets go of it, at any point.
  func cancel()
}

public protocol ObjectDestination: AnyObject {
  /// Asks what stands there, without waiting for the answer; nil where that costs no round trip.
  func beginLook(_ request: ObjectRequest) -> (any TargetLook)?
  /// Takes the body to its end and makes the copy durable before it answers. On any error the old copy, or none, is there.
  /// - Parameter look: what `beginLook` gave for this request.
  func put(_ request: ObjectRequest, _ body: any ObjectBody, _ look: (any TargetLook)?) async throws(StoreError) -> PutOutcome
  /// Brings metadata or tags of a copy up to date without its bytes (`request.extent`).
  /// - Returns: nil if the copy is not of this version, or the store cannot: then the whole is copied.
  func update(_ request: ObjectRequest) async throws(StoreError) -> PutOutcome?
  /// Removes the copy of a delete marker's object.
  func remove(_ request: ObjectRequest) async throws(StoreError) -> RemoveOutcome
}

extension ObjectDestination {
  public func beginLook(_ request: ObjectRequest) -> (any TargetLook)? { nil }
  public func update(_ request: ObjectRequest) async throws(StoreError) -> PutOutcome? { nil }
}
