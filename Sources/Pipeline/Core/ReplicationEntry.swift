// One entry to be replicated: the bytes of the message, and where in them the fields stand.
//
// Invariant: the bytes were accepted by `EntryDecoder` as a whole, so no accessor can fail on their form. Decoding
// copies the message once and builds no string: each text property builds its string when asked (keep it if it is
// needed twice). What only some tasks need (user metadata, tags, back ends) is read from `value` at that moment.

public struct ReplicationEntry: Sendable {
  /// One site's line in `replicationInfo.backends`.
  public struct Backend: Hashable, Sendable {
    public var site: String
    public var status: ReplicationStatus?
    /// Version id at the target, empty before the first copy.
    public var dataStoreVersionId: String
  }

  /// The message as it came: the value of the Kafka message.
  public let payload: [UInt8]
  let fields: EntryFields

  init(copying text: Span<UInt8>, _ fields: EntryFields) {
    // One copy in one call: an element-wise loop would cost more than the whole decoding.
    payload = unsafe text.withUnsafeBufferPointer { unsafe Array($0) }
    self.fields = fields
  }

  // MARK: Plain values

  /// Bytes of the object; 0 where the metadata have none (delete markers).
  public var contentLength: Int64 { max(0, fields.contentLength) }
  public var isDeleteMarker: Bool { fields.isDeleteMarker }
  public var content: ContentKinds { fields.info.content }
  /// A full copy is asked for.
  public var hasData: Bool { fields.info.content.contains(.data) }
  /// Of the object over all its sites; nil where absent or unknown.
  public var status: ReplicationStatus? { ReplicationStatus(fields.info.status, in: payload.span) }
  /// Of the site it was decoded for; nil where `backends` does not name it.
  public var siteStatus: ReplicationStatus? { ReplicationStatus(fields.info.siteStatus, in: payload.span) }
  /// Version id at the target of the site it was decoded for; empty before the first copy.
  public var siteVersionId: String { text(fields.info.siteVersionId) ?? "" }
  /// Attempts left, of an entry re-published for replay.
  public var replayCount: Int64? { fields.replayCount < 0 ? nil : fields.replayCount }
  /// The publisher asks for no action.
  public var isIgnored: Bool { fields.isIgnored }
  /// The site a status entry speaks of.
  public var envelopeSite: String? { text(fields.site) }

  // MARK: Texts

  public var bucket: String { text(fields.bucket) ?? "" }
  /// The base key: without version and without the prefix of the v1 bucket format.
  public var key: String { BaseKey(fields.key, in: payload.span).string(in: payload.span) }
  /// The key as the envelope has it: `<base key>NUL<version id>` for versions.
  public var versionedKey: String { text(fields.key) ?? "" }
  /// `versionedKey` as it stands, quotes included, where `JSON.stringify` would spell it so: nothing is escaped but one NUL.
  var spelledKey: ArraySlice<UInt8>? {
    let (text, slice) = (payload.span, fields.key)
    guard slice.isPresent else { return nil }
    if slice.isEscaped {
      let escape = Int(slice.firstEscape)
      guard BaseKey.isNul(text, escape), ByteScan.special(text, escape + 6) == Int(slice.end) else { return nil }
    }
    return payload[(Int(slice.start) - 1)...Int(slice.end)]
  }
  /// Raw version id: of the metadata, else from behind the NUL of the key.
  public var versionId: String? {
    if let id = text(fields.versionId) { return id }
    let parts = versionedKey.utf8.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    return parts.count == 2 ? String(parts[1]) : nil
  }
  /// As used in requests and lists; nil without a version.
  public var encodedVersionId: String? { versionId.map(VersionId.encode) }
  /// Lower-case hex; empty where the populator left it to the copy.
  public var contentMD5: String { text(fields.contentMD5) ?? "" }
  /// The same, without a text made of it.
  public var contentMD5Octets: ArraySlice<UInt8> {
    let slice = fields.contentMD5
    return slice.isEscaped ? slice.bytes(in: payload.span)[...] : payload[slice.range]
  }
  /// ISO 8601 as stored.
  public var lastModified: String { text(fields.lastModified) ?? "" }
  /// The comma list of sites as it stands.
  public var storageClass: String { text(fields.info.storageClass) ?? "" }
  /// The sites of `storageClass`, `:preferred_read` taken off.
  public var sites: [String] {
    storageClass.split(separator: ",").map {
      let suffix = ":preferred_read"
      return String($0.hasSuffix(suffix) ? $0.dropLast(suffix.count) : $0)
    }
  }

  // MARK: Hashes

  public var orderKey: UInt64 {
    OrderKey.hash(bucket: fields.bucket, base: BaseKey(fields.key, in: payload.span), in: payload.span)
  }
  /// Equal for repeats of the same work: same object, version, content kinds, last-modified and MD5.
  public var dedupeHash: UInt64 { fields.dedupeHash(orderKey, in: payload.span) }

  // MARK: Read from `value` when asked

  /// The metadata JSON, one level of escaping taken off.
  public var metadata: [UInt8] { fields.value.bytes(in: payload.span) }

  /// Any top-level field of the metadata.
  public func metadataField(_ name: String) -> JSONValue? {
    var found: JSONValue?
    forEachMetadataField { member, json in
      if member.isEqual(to: name, in: payload.span) { found = json() }
    }
    return found
  }

  /// A top-level field of the metadata that is text and not empty (`content-type`, `cache-control`, `dataStoreName` …).
  public func metadataText(_ name: String) -> String? {
    metadataField(name)?.string.flatMap { $0.isEmpty ? nil : $0 }
  }

  public var contentType: String? { metadataText("content-type") }

  /// `x-amz-meta-…` of the object, names with their prefix, in the order stored.
  public var userMetadata: [(name: String, value: String)] {
    var result: [(name: String, value: String)] = []
    forEachMetadataField { member, json in
      if ShortText(member, in: payload.span).isUserMetadata, let text = json()?.string { result.append((member.string(in: payload), text)) }
    }
    return result
  }

  /// Object tags in the order stored.
  public var tags: [(key: String, value: String)] {
    (metadataField("tags")?.members ?? []).compactMap { member in member.value.string.map { (member.name, $0) } }
  }

  /// What belongs to the object besides its data, found in one pass: the named fields that are text and not empty, user
  /// metadata and tags, each kind in the order stored.
  public func forEachAttribute(named names: AttributeNames, _ body: (AttributeKind, _ name: String, _ value: String) -> Void) {
    let text = payload.span
    forEachMetadataRange { member, range in
      let short = ShortText(member, in: text)
      if short == .tags {
        forEachRange(inObjectAt: range.lowerBound, depth: 2) { tag, range in
          if let value = string(range) { body(.tag, tag.string(in: payload), value) }
        }
      } else if short.isUserMetadata {
        if let value = string(range) { body(.user, member.string(in: payload), value) }
      } else if let name = names.name(short), let value = string(range), !value.isEmpty {
        body(.named, name, value)
      }
    }
  }

  public var replicationInfo: JSONValue? { metadataField("replicationInfo") }

  public var backends: [Backend] {
    (replicationInfo?["backends"]?.array ?? []).compactMap {
      guard let site = $0["site"]?.string else { return nil }
      return Backend(
        site: site, status: $0["status"]?.string.flatMap(ReplicationStatus.init(rawValue:)),
        dataStoreVersionId: $0["dataStoreVersionId"]?.string ?? "")
    }
  }

  private func text(_ slice: TextSlice) -> String? { slice.isPresent ? slice.string(in: payload) : nil }
}

// MARK: - Walking the metadata

extension ReplicationEntry {
  /// Where a top-level field's value stands in `payload` (escaped once), and the name it has.
  func forEachMetadataRange(_ body: (_ name: TextSlice, Range<Int>) -> Void) {
    forEachRange(inObjectAt: Int(fields.value.start), depth: 1, body)
  }

  /// The members of the object that stands there; none of another value.
  /// - Parameter depth: of it.
  private func forEachRange(inObjectAt start: Int, depth: Int, _ body: (_ name: TextSlice, Range<Int>) -> Void) {
    let text = payload.span
    var at = start
    var isFirst = true
    do throws(DeadLetterReason) {
      let char = try NestedJSON.peek(text, &at)
      guard char.byte == UInt8(ascii: "{") else { return }
      at += char.width
      while true {
        let name = try NestedJSON.nextMember(text, &at, isFirst: &isFirst)
        guard name.isPresent else { return }
        let start = at
        // The longest value, and the decoder knows where it ends.
        if start == Int(fields.infoRange.lowerBound), !fields.infoRange.isEmpty {
          at = Int(fields.infoRange.upperBound)
        } else {
          try NestedJSON.skipValue(text, &at, depth: depth)
        }
        body(name, start..<at)
      }
    } catch {
      // The decoder went over the same bytes before: it cannot end here, and if it did, the rest is not there.
      return
    }
  }

  private func forEachMetadataField(_ body: (_ name: TextSlice, () -> JSONValue?) -> Void) {
    forEachMetadataRange { name, range in body(name) { json(range) } }
  }

  /// The text at a range of the escaped text; nil for a value that is none.
  private func string(_ range: Range<Int>) -> String? {
    // Most have nothing to undo: quotes with a backslash each, and none between them.
    let (quote, backslash) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))
    guard range.count >= 4, payload[range.lowerBound] == backslash, payload[range.lowerBound + 1] == quote,
      payload[range.upperBound - 2] == backslash, payload[range.upperBound - 1] == quote
    else { return json(range)?.string }
    let inner = payload[(range.lowerBound + 2)..<(range.upperBound - 2)]
    let isEscaped = ByteScan.contains(backslash, payload.span, inner.indices)
    return isEscaped ? json(range)?.string : String(decoding: inner, as: UTF8.self)
  }

  /// The value at a range of the escaped text.
  func json(_ range: Range<Int>) -> JSONValue? {
    let slice = TextSlice(
      start: Int32(range.lowerBound), end: Int32(range.upperBound), firstEscape: Int32(range.lowerBound), isPresent: true)
    do throws(JSONValue.Malformed) {
      return try JSONValue(
        parsing: slice.bytes(in: payload.span), bytesMax: JSONBounds.textMax, depthMax: JSONBounds.nestingMax)
    } catch {
      return nil
    }
  }
}

// MARK: - Attributes

/// What an attribute of an object is.
public enum AttributeKind: Hashable, Sendable { case named, user, tag }

/// Names of metadata fields, made ready to be looked for.
public struct AttributeNames: Sendable {
  private let names: [(name: String, short: ShortText)]

  /// - Parameter names: of at most 24 bytes each.
  public init(_ names: [String]) {
    self.names = names.map { ($0, ShortText(plain: Array($0.utf8))) }
    precondition(self.names.allSatisfy { $0.short.count <= ShortText.countMax })
  }

  func name(_ short: ShortText) -> String? { names.first { $0.short == short }?.name }
}
