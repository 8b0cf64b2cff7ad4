// Entries published again: the result of a copy (status topic), a retry asked for by the API, a replay.
// The metadata text is spliced, not parsed and written: what this build does not know passes through untouched.

extension EntryEncoder {
  public enum Republication: Hashable, Sendable {
    /// To the status topic: what became of one site's copy. `versionId`: of the copy at the target, nil if it has none.
    case status(site: String, ReplicationStatus, versionId: String?)
    /// To the replication topic: one site is to try again.
    case retry(site: String)
    /// To a replay topic, with the attempts left.
    case replay(site: String, replayCount: Int64)
  }

  /// - Returns: an envelope without `type` (backbeat-behaviour 4.2). The message key is that of the original.
  public static func republished(_ entry: ReplicationEntry, as form: Republication) -> [UInt8] {
    var site: String?
    var replayCount = entry.replayCount
    let value: [UInt8]
    switch form {
    case .status(let name, let status, let versionId):
      site = name
      if let edits = StatusEdits(entry, site: name, status: status, versionId: versionId) {
        return envelope(entry, site: site, replayCount: replayCount) { $0.raw(bytesMax: edits.bytesMax(entry)) { edits.append(entry, to: &$0) } }
      }
      value = rewritten(entry, originOp: status.originOp) { $0.set(name, to: status, versionId: versionId) }
    case .retry(let name):
      site = name
      replayCount = nil
      value = rewritten(entry) { $0.setRetry(name) }
    case .replay(let name, let count):
      replayCount = count
      value = rewritten(entry) { $0.setRetry(name) }
    }
    return envelope(entry, site: site, replayCount: replayCount) { $0.raw(value) }
  }

  /// - Parameter value: writes the string that holds the metadata.
  private static func envelope(_ entry: ReplicationEntry, site: String?, replayCount: Int64?, value: (inout JSONWriter) -> Void) -> [UInt8] {
    var writer = JSONWriter(reservingCapacity: entry.payload.count + 256)
    writer.beginObject()
    writer.member("bucket", entry.bucket)
    writer.name("key")
    if let key = entry.spelledKey { writer.raw(key) } else { writer.string(entry.versionedKey) }
    writer.name("value")
    value(&writer)
    if let site { writer.member("site", site) }
    writer.name("ignore")
    writer.bool(false)
    if let replayCount {
      writer.name("replayCount")
      writer.int(replayCount)
    }
    writer.name("accountId")
    writer.null()
    writer.endObject()
    return writer.bytes
  }

  /// The entry without the list of the object's parts (`location`), which alone grows with the object: thousands of them make an entry
  /// of a megabyte. Whoever consumes a status looks at the site's own one, its version id, content and replay count, and reads the
  /// object's metadata anew (backbeat-behaviour 4.2, 5).
  /// - Returns: everything else as it stands; nil if there is no such list.
  public static func withoutParts(_ entry: ReplicationEntry) -> [UInt8]? {
    var parts: Range<Int>?
    entry.forEachMetadataRange { name, range in
      if name.string(in: entry.payload) == "location" { parts = range }
    }
    let none = Array("null".utf8)
    guard let parts, parts.count > none.count else { return nil }
    return entry.payload[..<parts.lowerBound] + none + entry.payload[parts.upperBound...]
  }

  /// The `value` string with `replicationInfo` read, changed and written again.
  private static func rewritten(_ entry: ReplicationEntry, originOp: String? = nil, _ change: (inout ReplicationInfo) -> Void) -> [UInt8] {
    let range = range(entry.fields.infoRange)
    var info = ReplicationInfo(range.flatMap(entry.json))
    change(&info)
    return splicedValue(entry, range, info: info.json, originOp: originOp)
  }

  /// As the decoder noted it; nil if there was none.
  private static func range(_ noted: Range<Int32>) -> Range<Int>? { noted.isEmpty ? nil : Int(noted.lowerBound)..<Int(noted.upperBound) }

  /// The `value` string with quotes, two fields replaced or appended.
  private static func splicedValue(_ entry: ReplicationEntry, _ infoRange: Range<Int>?, info: JSONValue, originOp: String?) -> [UInt8] {
    var cuts: [(range: Range<Int>, json: JSONValue)] = []
    var fields: [(name: String, json: JSONValue)] = []
    func replace(_ name: String, _ range: Range<Int>?, _ json: JSONValue) {
      if let range { cuts.append((range, json)) } else { fields.append((name, json)) }
    }
    replace("replicationInfo", infoRange, info)
    if let originOp { replace("originOp", range(entry.fields.originOpRange), .string(originOp)) }
    cuts.sort { $0.range.lowerBound < $1.range.lowerBound }
    let lastEnd = entry.fields.membersEnd > 0 ? Int(entry.fields.membersEnd) : nil
    let source = entry.payload
    var at = Int(entry.fields.value.start)
    var text: [UInt8] = []
    text.reserveCapacity(entry.payload.count + 256)
    text.append(UInt8(ascii: "\""))
    if lastEnd == nil { text.append(UInt8(ascii: "{")) }
    for cut in cuts {
      text += source[at..<cut.range.lowerBound]
      text += nested(cut.json)
      at = cut.range.upperBound
    }
    if let lastEnd { text += source[at..<lastEnd] }
    // What was not there goes behind the last member.
    var needsComma = lastEnd != nil
    for field in fields {
      if needsComma { text.append(UInt8(ascii: ",")) }
      needsComma = true
      text += nested(.string(field.name)) + [UInt8(ascii: ":")] + nested(field.json)
    }
    text += [UInt8(ascii: "}"), UInt8(ascii: "\"")]
    return text
  }

  /// Of the two fields that are replaced.
  private static let nestedBytesUsual = 480

  /// JSON as it stands inside a JSON string.
  private static func nested(_ json: JSONValue) -> ArraySlice<UInt8> {
    var writer = JSONWriter(reservingCapacity: nestedBytesUsual)
    writer.beginNested()
    writer.value(json)
    writer.endNested()
    return writer.bytes.dropFirst().dropLast()
  }
}
