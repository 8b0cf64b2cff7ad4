// Reads entries of the replication topic: Backbeat's doubly encoded JSON (backbeat-behaviour 4.1 to 4.5), in one pass
// over the bytes as they came, without a document.
//
// `head` is for the reactor: bucket and key only, from the front of the entry. `decode` is for the worker: everything,
// strictly. `decodeRouting` is the same pass without anything kept, for locations that only need to know whether the
// entry is theirs. What `head` accepted, `decode` may still refuse; but both see the same object in it or refuse it.
// It deliberately looks at no message key: the order key is the entry's own bucket and key.

/// Bucket and key of an entry, before anything else of it is known.
public struct EntryHead: Hashable, Sendable {
  /// See `OrderKey`: for the scheduler.
  public let orderKey: UInt64
}

public enum HeadOutcome: Hashable, Sendable {
  case entry(EntryHead)
  /// A bucket was created; has no order key.
  case bucketEntry
  /// A canary or a start-up probe: nothing to do.
  case canary
  case deadLetter(DeadLetterReason)
}

public enum DecodeOutcome: Sendable {
  case replicate(ReplicationEntry)
  case skip(SkipReason)
  case deadLetter(DeadLetterReason)
}

/// What a location that moves no data wants to know of an entry.
public struct EntryRouting: Hashable, Sendable {
  public let orderKey: UInt64
  public let dedupeHash: UInt64
  /// Bytes; 0 for delete markers.
  public let contentLength: Int64
  public let content: ContentKinds
  public let isDeleteMarker: Bool
}

public enum RoutingOutcome: Hashable, Sendable {
  case replicate(EntryRouting)
  case skip(SkipReason)
  case deadLetter(DeadLetterReason)
}

public enum EntryDecoder {
  /// Bucket and key, from as little of the entry as they are found in.
  /// - Parameter payload: the value of the Kafka message.
  public static func head(_ payload: Span<UInt8>) -> HeadOutcome {
    do throws(DeadLetterReason) {
      return try scanHead(payload)
    } catch {
      return .deadLetter(error)
    }
  }

  /// The whole entry, checked to its last byte.
  /// - Parameter site: the location asking; nil takes entries of any (status processor, replay).
  public static func decode(_ payload: Span<UInt8>, site: Site?) -> DecodeOutcome {
    var memory = EntryMemory.none(site)
    return decode(payload, &memory)
  }

  /// The same, of one of many.
  public static func decode(_ payload: Span<UInt8>, _ memory: inout EntryMemory) -> DecodeOutcome {
    var fields = EntryFields()
    switch classify(payload, &memory, &fields) {
    case .replicate: return .replicate(ReplicationEntry(copying: payload, fields))
    case .skip(let reason): return .skip(reason)
    case .deadLetter(let reason): return .deadLetter(reason)
    }
  }

  /// As `decode`, keeping nothing: allocation free.
  public static func decodeRouting(_ payload: Span<UInt8>, site: Site?) -> RoutingOutcome {
    var memory = EntryMemory.none(site)
    return decodeRouting(payload, &memory)
  }

  /// The same, of one of many.
  public static func decodeRouting(_ payload: Span<UInt8>, _ memory: inout EntryMemory) -> RoutingOutcome {
    var fields = EntryFields()
    switch classify(payload, &memory, &fields) {
    case .replicate:
      let orderKey = OrderKey.hash(bucket: fields.bucket, base: BaseKey(fields.key, in: payload), in: payload)
      return .replicate(
        EntryRouting(
          orderKey: orderKey, dedupeHash: fields.dedupeHash(orderKey, in: payload), contentLength: max(0, fields.contentLength),
          content: fields.info.content,
          isDeleteMarker: fields.isDeleteMarker))
    case .skip(let reason): return .skip(reason)
    case .deadLetter(let reason): return .deadLetter(reason)
    }
  }
}

// MARK: - What the fields add up to

extension EntryDecoder {
  private enum Verdict {
    case replicate
    case skip(SkipReason)
    case deadLetter(DeadLetterReason)
  }

  /// The order of the questions is that of backbeat-behaviour 4.3.
  private static func classify(_ text: Span<UInt8>, _ memory: inout EntryMemory, _ fields: inout EntryFields) -> Verdict {
    do throws(DeadLetterReason) {
      try scanEnvelope(text, &memory, &fields)
      if fields.isBootstrap { return .skip(.bootstrap) }
      if fields.isCanary { return .skip(.canary) }
      try checkNames(fields, text)
    } catch {
      return .deadLetter(error)
    }
    switch fields.type {
    case .del: return .skip(.deleteOperation)
    case .put, .absent: break
    case .unknown: return .deadLetter(.typeUnknown)
    case .notText: return .deadLetter(.typeNotText)
    }
    if isUsersBucket(fields.bucket, text) { return .skip(.bucketEntry) }
    if fields.isValueNotText { return .deadLetter(.valueNotText) }
    guard fields.value.isPresent else { return .deadLetter(.valueMissing) }
    if let problem = fields.valueProblem { return .deadLetter(problem) }
    if fields.isBucketMetadata { return .skip(.bucketMetadata) }
    if let site = memory.site, fields.fieldProblem != .valueFieldWrongType, !site.isListed(fields.info.storageClass, in: text) {
      return .skip(.notForSite)
    }
    if let problem = fields.fieldProblem { return .deadLetter(problem) }
    if fields.contentLength < 0, fields.info.content.contains(.data), !fields.isDeleteMarker {
      return .deadLetter(.contentLengthMissing)
    }
    return .replicate
  }

  private static func checkNames(_ fields: EntryFields, _ text: Span<UInt8>) throws(DeadLetterReason) {
    if fields.isBucketNotText { throw .bucketNotText }
    guard fields.bucket.isPresent else { throw .bucketMissing }
    if fields.isKeyNotText { throw .keyNotText }
    guard fields.key.isPresent else { throw .keyMissing }
    try checkBucket(fields.bucket, text)
    if BaseKey(fields.key, in: text).isEmpty(in: text) { throw .keyEmpty }
  }

  /// No `/` and no NUL, and neither of the names of the directory itself and its parent.
  private static func checkBucket(_ bucket: TextSlice, _ text: Span<UInt8>) throws(DeadLetterReason) {
    if bucket.isEscaped {
      let name = bucket.bytes(in: text)
      if name.contains(0) || name.contains(UInt8(ascii: "/")) || isDots(name.span, 0..<name.count) { throw .bucketRefused }
      return
    }
    if isDots(text, bucket.range) { throw .bucketRefused }
    if ByteScan.contains(UInt8(ascii: "/"), text, bucket.range) { throw .bucketRefused }
  }

  @inline(__always)
  private static func isUsersBucket(_ bucket: TextSlice, _ text: Span<UInt8>) -> Bool {
    (bucket.isEscaped || bucket.range.count == ShortText.usersBucket.count) && ShortText(bucket, in: text) == .usersBucket
  }

  private static func isDots(_ text: Span<UInt8>, _ range: Range<Int>) -> Bool {
    guard range.count <= 2 else { return false }
    for index in range where text[index] != UInt8(ascii: ".") { return false }
    return true
  }
}

// MARK: - The head

extension EntryDecoder {
  private static func scanHead(_ text: Span<UInt8>) throws(DeadLetterReason) -> HeadOutcome {
    var fields = EntryFields()
    var at = 0
    try openEnvelope(text, &at)
    var isFirst = true
    while true {
      let name = try PlainJSON.nextMember(text, &at, isFirst: &isFirst)
      guard name.isPresent else { break }
      switch ShortText(name, in: text) {
      case .bucket: try scanName(text, &at, &fields.bucket, &fields.isBucketNotText)
      case .key: try scanName(text, &at, &fields.key, &fields.isKeyNotText)
      case .canary:
        try scanFlag(text, &at, &fields.isCanary)
        if fields.isCanary { return .canary }
      case .bootstrapId: return .canary
      default: try PlainJSON.skipValue(text, &at, depth: 1)
      }
      if fields.bucket.isPresent, fields.key.isPresent { break }
    }
    try checkNames(fields, text)
    if isUsersBucket(fields.bucket, text) { return .bucketEntry }
    let orderKey = OrderKey.hash(bucket: fields.bucket, base: BaseKey(fields.key, in: text), in: text)
    return .entry(EntryHead(orderKey: orderKey))
  }
}
