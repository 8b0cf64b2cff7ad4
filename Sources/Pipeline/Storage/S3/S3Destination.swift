// A bucket that objects are copied to.
//
// What is there decides first (S3CopyRecord, kept as metadata of the copy). An object appears under its key only when its
// bytes were proved: one of a single block is sent with its MD5, a longer one whose MD5 is known keeps back its last bytes until
// what was read has that MD5, and everything else is uploaded in parts, each checked, before they are made an object. The
// answer's ETag is compared besides; a copy it does not confirm is never reported as done. What was found when it was decided is
// made a condition of the write, where the service can do that; where it was seen to, and the bucket has no versions, small objects
// are written on that condition alone, without a look (OptimisticWrites).
//
// Steps are in extensions: +Single, +Parts, +Update, +Conditions.
internal import PipelineCore
internal import Reactor

/// Where in a bucket copies go, and how they are made.
public struct S3Placement: Hashable, Sendable {
  /// Parts of one object in flight; the first reads of many objects come before further parts of one.
  public static let partsConcurrencyDefault = 10
  public static let multipartBytesMinDefault: Int64 = 20_000_000
  /// What S3 takes in one PUT.
  public static let singleBytesMax: Int64 = 5 << 30

  public var bucket: String
  /// True: a copy has the object's own key; false: the source's bucket stands before it.
  public var bucketMatch: Bool
  public var storageClass: String?
  /// Objects of so many bytes and more are uploaded in parts.
  public var multipartBytesMin = multipartBytesMinDefault
  public var partsConcurrency = partsConcurrencyDefault

  public init(bucket: String, bucketMatch: Bool = false, storageClass: String? = nil) {
    self.bucket = bucket
    self.bucketMatch = bucketMatch
    self.storageClass = storageClass
  }
}

public final class S3Destination: ObjectDestination {
  /// Versions looked at below the present one.
  static let versionsBelowMax = 16
  /// Bytes of a key.
  static let keyBytesMax = 1_024

  public let client: S3Client
  let placement: S3Placement
  /// Keys whose last copy could not be confirmed: what is there is not trusted, whatever it says of itself.
  var suspects: Set<String> = []
  var conditions = WriteConditions()
  var optimism = OptimisticWrites()
  var digests = MD5Pool()
  /// Of the copy begun last.
  var attributes = WrittenAttributes()
  /// For objects of several blocks.
  private(set) lazy var lanes: DigestLanes = {
    guard let reactor = Reactor.current else { preconditionFailure("not on a worker") }
    return DigestLanes(reactor)
  }()

  public init(client: S3Client, placement: S3Placement) {
    self.client = client
    self.placement = placement
  }

  // MARK: ObjectDestination

  public func beginLook(_ request: ObjectRequest) -> (any TargetLook)? {
    // A key that cannot be is `put`'s to refuse.
    guard let key = validKey(of: request), !suspects.contains(key) else { return nil }
    let mayBeUnseen = request.extent == .whole && !request.force && request.size <= Int64(BlockPool.blockBytes)
    if mayBeUnseen, conditions.now(.isAbsent, key) == .isAbsent, mayWriteUnseen { return UnseenTarget(key) }
    return client.beginLook(placement.bucket, key)
  }

  private var mayWriteUnseen: Bool { optimism.mayWrite(endpoint: client.endpointInUse, now: Instant.nowUncached()) }

  public func put(_ request: ObjectRequest, _ body: any ObjectBody, _ look: (any TargetLook)?) async throws(StoreError) -> PutOutcome {
    let key: String
    let condition: WriteCondition
    // Opening the source may have taken a while, and it may have more bytes than the entry said.
    let unseen = look as? UnseenTarget
    let isUnseen = unseen != nil && body.info.size <= Int64(BlockPool.blockBytes) && mayWriteUnseen
    if let unseen, isUnseen {
      (key, condition) = (unseen.key, .isAbsent)
    } else {
      let look = look as? S3Exchange
      key = if let look { look.key } else { try self.key(of: request) }
      switch try await judge(request, body.info, key, look) {
      case .answer(let outcome): return outcome
      case .write(let found): condition = conditions.now(found, key)
      }
    }
    let attributes = (request.attributes.isEmpty ? body.attributes ?? request.attributes : request.attributes).withoutStatuses
    let copy = S3Copy(request: request, key: key, attributes: attributes, md5: request.md5 ?? body.md5, condition: condition)
    do throws(StoreError) {
      let receipt = try await write(copy, body)
      conditions.wasWritten(key)
      return .written(receipt)
    } catch {
      guard isUnseen, error.condition == .unmet else { throw await judgeFailure(error, of: copy) }
      optimism.wasRefused()
      return .somethingThere
    }
  }

  private func write(_ copy: S3Copy, _ body: any ObjectBody) async throws(StoreError) -> CopyReceipt {
    let size = body.info.size
    if size <= Int64(BlockPool.blockBytes) { return try await putBlock(copy, body) }
    if let md5 = copy.md5, size < max(placement.multipartBytesMin, 1), size <= S3Placement.singleBytesMax {
      return try await putStream(copy, md5, body)
    }
    return try await putParts(copy, body)
  }

  public func remove(_ request: ObjectRequest) async throws(StoreError) -> RemoveOutcome {
    let key = try key(of: request)
    guard let there = try await client.head(placement.bucket, key) else { return .notThere }
    guard let record = S3CopyRecord(there.head, size: there.size) else { return .notOurs }
    if record.isNewer(than: request) { return .newerThere }
    try await client.remove(placement.bucket, key)
    return .removed
  }

  // MARK: Rules

  private enum Judgement {
    case answer(PutOutcome)
    /// If this is still so.
    case write(WriteCondition)
  }

  private func judge(_ request: ObjectRequest, _ info: ObjectInfo, _ key: String, _ look: S3Exchange?) async throws(StoreError) -> Judgement {
    guard !suspects.contains(key) else { return .write(.none) }
    switch try await client.finish(look ?? client.beginLook(placement.bucket, key)) {
    case .nothing:
      optimism.looked(foundNothing: true)
      return .write(.isAbsent)
    case .object(let there):
      optimism.looked(foundNothing: false)
      if let outcome = judge(request, info, there) { return .answer(outcome) }
      if let record = S3CopyRecord(there.head, size: there.size), record.isTie(with: request),
        let outcome = try await judgeBelow(request, info, key)
      {
        return .answer(outcome)
      }
      return .write(WriteCondition(there))
    case .deleted:
      optimism.sawVersion()
      return try await judgeBelow(request, info, key).map { .answer($0) } ?? .write(.isAbsent)
    }
  }

  /// Looks at versions below the present one: deleted by a marker that was copied, or replaced by a version of the same second.
  /// A redelivery must neither bring the one back nor write the other again.
  private func judgeBelow(_ request: ObjectRequest, _ info: ObjectInfo, _ key: String) async throws(StoreError) -> PutOutcome? {
    guard request.versionId != nil, !request.force else { return nil }
    let lines = try await client.versions(of: placement.bucket, prefix: key).versions
    let below = lines.filter { $0.key == key && !$0.isDeleteMarker && $0.versionId != nil }.prefix(Self.versionsBelowMax)
    for line in below {
      let version = line.versionId.map { [("versionId", $0)] } ?? []
      guard let there = try await client.head(placement.bucket, key, version: version) else { continue }
      if let outcome = judge(request, info, there) { return outcome }
    }
    return nil
  }

  /// Nil: to be written. Something that is no copy of ours is overwritten, as by Backbeat: buckets with versions keep it.
  private func judge(_ request: ObjectRequest, _ info: ObjectInfo, _ there: S3ObjectHead) -> PutOutcome? {
    guard let record = S3CopyRecord(there.head, size: there.size) else { return nil }
    if record.isNewer(than: request) { return .newerThere }
    guard record.isOf(request, info), there.size == info.size else { return nil }
    let has = there.md5
    if let has, let wanted = request.md5 ?? record.md5, has != wanted { return nil }
    return .alreadyThere(CopyReceipt(bytes: there.size, md5: has ?? record.md5, targetVersionId: there.versionId))
  }

  func key(of request: ObjectRequest) throws(StoreError) -> String {
    guard let key = validKey(of: request) else {
      throw StoreError(
        .keyNotMappable, isRetryable: false,
        "\(PrintableName.of("\(request.bucket)/\(request.key)")): \(mappedKey(of: request).utf8.count) bytes, a key has 1 to \(Self.keyBytesMax)")
    }
    return key
  }

  private func mappedKey(of request: ObjectRequest) -> String {
    guard !placement.bucketMatch else { return request.key }
    return String(bytesMax: request.bucket.utf8.count + 1 + request.key.utf8.count) { key in
      key.append(text: request.bucket)
      key.append(UInt8(ascii: "/"))
      key.append(text: request.key)
    }
  }

  private func validKey(of request: ObjectRequest) -> String? {
    let key = mappedKey(of: request)
    return !request.key.isEmpty && key.utf8.count <= Self.keyBytesMax ? key : nil
  }

  // MARK: Helpers of the steps

  /// Adds what a request that begins a copy says of it.
  /// - Parameter md5: of the bytes, where it is known by now.
  func write(_ copy: S3Copy, _ info: ObjectInfo, _ md5: MD5Digest?, to headers: inout HeaderLines) {
    attributes.become(copy.attributes)
    write(attributes.lines, S3CopyRecord(copy.request, info, md5: md5, attributesHash: attributes.shortHash), to: &headers)
  }

  func write(_ attributes: HeaderLines, _ record: S3CopyRecord, to headers: inout HeaderLines) {
    headers.append(attributes)
    record.write(to: &headers)
    if let storageClass = placement.storageClass { headers.append("x-amz-storage-class", storageClass) }
  }

  func mismatch(_ copy: S3Copy, _ what: String) -> StoreError {
    StoreError(.checksumMismatch, isRetryable: true, "\(PrintableName.of("\(placement.bucket)/\(copy.key)")): \(what)")
  }

  func differs(_ copy: S3Copy, read digest: MD5Digest, _ expected: MD5Digest) -> StoreError {
    mismatch(copy, "the source's bytes have MD5 \(digest), it says \(expected)")
  }
}

/// One copy being made.
struct S3Copy {
  let request: ObjectRequest
  let key: String
  let attributes: ObjectAttributes
  /// What the bytes must have; nil where nobody knows.
  let md5: MD5Digest?
  let condition: WriteCondition
}
