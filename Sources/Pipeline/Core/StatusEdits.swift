// What of an entry's metadata changes when the status of one site is told: a few short texts, found in place. Reading
// `replicationInfo` and writing it again (`ReplicationInfo`) costs ten times as much, and is left for the entries whose
// texts do not all stand there as `JSON.stringify` writes them.
//
// Invariant: the entry reads afterwards as if `ReplicationInfo.set` had been called.

struct StatusEdits {
  private struct Edit {
    /// Of the payload: the text between its quotes.
    let range: Range<Int>
    let text: String
  }

  private var edits: [Edit] = []

  /// - Returns: nil if something stands there in another form, or not at all.
  init?(_ entry: ReplicationEntry, site: String, status: ReplicationStatus, versionId: String?) {
    let text = entry.payload.span
    guard entry.fields.info.status.isPlain, let lines = BackendLines(entry, site: site) else { return nil }
    var all = lines.statuses
    all[lines.index] = status
    edits.reserveCapacity(4)
    add(entry.fields.info.status.range, (status == .failed ? status : .overall(all)).rawValue)
    add(lines.status.range, status.rawValue)
    if let versionId {
      guard Self.isPlain(versionId) else { return nil }
      add(lines.versionId.range, versionId)
    }
    if let originOp = status.originOp {
      guard let range = Self.insideQuotes(entry.fields.originOpRange, text) else { return nil }
      add(range, originOp)
    }
    edits.sort { $0.range.lowerBound < $1.range.lowerBound }
  }

  private mutating func add(_ range: Range<Int>, _ text: String) { edits.append(Edit(range: range, text: text)) }

  /// Of the `value` string with its quotes.
  func bytesMax(_ entry: ReplicationEntry) -> Int { edits.reduce(entry.fields.value.range.count + 2) { $0 + $1.text.utf8.count } }

  /// Adds the `value` string with its quotes.
  func append(_ entry: ReplicationEntry, to bytes: inout OutputSpan<UInt8>) {
    let quote = UInt8(ascii: "\"")
    let source = entry.payload.span
    bytes.append(quote)
    var at = Int(entry.fields.value.start)
    for edit in edits {
      // Unsafe: no pointer outlives its call. Edits stand one behind the other.
      unsafe source.extracting(at..<edit.range.lowerBound).withUnsafeBytes { unsafe bytes.append(octets: $0) }
      bytes.append(text: edit.text)
      at = edit.range.upperBound
    }
    unsafe source.extracting(at..<Int(entry.fields.value.end)).withUnsafeBytes { unsafe bytes.append(octets: $0) }
    bytes.append(quote)
  }

  /// Text that JSON inside JSON shows as it is.
  private static func isPlain(_ text: String) -> Bool {
    let span = text.utf8.span
    return ByteScan.special(span, 0) == span.count
  }

  /// Of a value that is a nested string of plain text.
  private static func insideQuotes(_ range: Range<Int32>, _ text: Span<UInt8>) -> Range<Int>? {
    var at = Int(range.lowerBound)
    guard !range.isEmpty, let slice = NestedJSON.usualString(text, &at), at == Int(range.upperBound) else { return nil }
    return slice.range
  }
}

/// The lines of `replicationInfo.backends`, each with a status that is known.
private struct BackendLines {
  private(set) var statuses: [ReplicationStatus] = []
  /// The site's line, and its texts.
  private(set) var index = -1
  private(set) var status = TextSlice.absent
  private(set) var versionId = TextSlice.absent

  init?(_ entry: ReplicationEntry, site: String) {
    let text = entry.payload.span
    var at = Int(entry.fields.infoRange.lowerBound)
    var isFirst = true
    guard !entry.fields.infoRange.isEmpty else { return nil }
    do throws(DeadLetterReason) {
      at += try NestedJSON.peek(text, &at).width
      while true {
        let name = try NestedJSON.nextMember(text, &at, isFirst: &isFirst)
        guard name.isPresent else { return nil }
        if ShortText(name, in: text) == .backends { break }
        try NestedJSON.skipValue(text, &at, depth: 2)
      }
      guard text[at] == UInt8(ascii: "[") else { return nil }
      at += 1
      isFirst = true
      while try NestedJSON.nextElement(text, &at, isFirst: &isFirst) {
        guard text[at] == UInt8(ascii: "{") else { return nil }
        at += 1
        guard try readLine(text, &at, site) else { return nil }
      }
    } catch {
      // The decoder went over the same bytes before: it cannot end here.
      return nil
    }
    guard index >= 0 else { return nil }
  }

  /// - Returns: false for a line that is not written as usual.
  private mutating func readLine(_ text: Span<UInt8>, _ at: inout Int, _ site: String) throws(DeadLetterReason) -> Bool {
    var (name, status, versionId) = (TextSlice.absent, TextSlice.absent, TextSlice.absent)
    var isFirst = true
    while true {
      let member = try NestedJSON.nextMember(text, &at, isFirst: &isFirst)
      guard member.isPresent else { break }
      let kind = ShortText(member, in: text)
      guard kind == .site || kind == .status || kind == .dataStoreVersionId else {
        try NestedJSON.skipValue(text, &at, depth: 4)
        continue
      }
      guard let value = NestedJSON.usualString(text, &at) else { return false }
      if kind == .site { name = value } else if kind == .status { status = value } else { versionId = value }
    }
    guard name.isPresent, versionId.isPresent, let known = ReplicationStatus(status, in: text) else { return false }
    statuses.append(known)
    guard index < 0, name.isEqual(to: site, in: text) else { return true }
    (index, self.status, self.versionId) = (statuses.count - 1, status, versionId)
    return true
  }
}
