// Why an entry cannot be processed (dead-letter topic) or need not be (skipped and committed).
// The raw values are a public contract: header `reason` of the dead-letter topic and the README list them.

/// - Note: names starting with `value` speak of the JSON inside the entry's `value` string, the others of the entry itself.
public enum DeadLetterReason: String, Error, Hashable, Sendable, CaseIterable {
  case cutJSON = "cut-json"
  case badJSON = "bad-json"
  case notAnObject = "not-an-object"
  case badUTF8 = "bad-utf8"
  case controlCharacter = "control-character"
  case badEscape = "bad-escape"
  case nestingTooDeep = "nesting-too-deep"
  case duplicateField = "duplicate-field"
  case tooLarge = "too-large"

  case typeNotText = "type-not-text"
  case typeUnknown = "type-unknown"
  case bucketMissing = "bucket-missing"
  case bucketNotText = "bucket-not-text"
  /// Empty, `.`, `..`, or holding `/` or NUL: no directory and no bucket may be called so.
  case bucketRefused = "bucket-refused"
  case keyMissing = "key-missing"
  case keyNotText = "key-not-text"
  case keyEmpty = "key-empty"
  case fieldWrongType = "field-wrong-type"

  case valueMissing = "value-missing"
  case valueNotText = "value-not-text"
  case valueCutJSON = "value-cut-json"
  case valueBadJSON = "value-bad-json"
  case valueNotAnObject = "value-not-an-object"
  case valueControlCharacter = "value-control-character"
  case valueBadEscape = "value-bad-escape"
  case valueNestingTooDeep = "value-nesting-too-deep"
  case valueDuplicateField = "value-duplicate-field"
  case valueFieldWrongType = "value-field-wrong-type"
  /// There are data to copy and no length to check them against.
  case contentLengthMissing = "content-length-missing"
  case contentLengthInvalid = "content-length-invalid"

  /// For the header and the log.
  public var code: String { rawValue }
}

/// Why an entry is done without anything to do.
public enum SkipReason: String, Hashable, Sendable, CaseIterable {
  /// `{"canary":true}`: proves that the partition can be consumed.
  case canary
  /// A start-up probe of a Backbeat test consumer.
  case bootstrap
  /// Not in `replicationInfo.storageClass` of the entry.
  case notForSite = "not-for-site"
  /// A bucket was created (echo mode acts on these).
  case bucketEntry = "bucket-entry"
  /// Metadata of a bucket, not of an object.
  case bucketMetadata = "bucket-metadata"
  /// `type` is `del`: the ingestion topic has these, replication does not act on them.
  case deleteOperation = "delete-operation"
  /// The source has the object, or this version of it, no longer: there is nothing to copy and nowhere to show a status.
  case sourceGone = "source-gone"
}
