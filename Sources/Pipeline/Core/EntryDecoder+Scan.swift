// The pass over the whole entry: the envelope at the plain level, `value` at the nested one.
//
// What is not JSON is thrown; a field of the wrong type is noted and the pass goes on, for whether that matters
// depends on what the rest says (an entry that is not for this site is not this site's dead letter).

extension EntryDecoder {
  static func openEnvelope(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) {
    guard text.count <= JSONBounds.textMax else { throw .tooLarge }
    let char = try PlainJSON.peek(text, &at)
    guard char.byte == UInt8(ascii: "{") else { throw .notAnObject }
    at += 1
  }

  static func scanEnvelope(_ text: Span<UInt8>, _ memory: inout EntryMemory, _ fields: inout EntryFields) throws(DeadLetterReason) {
    var at = 0
    try openEnvelope(text, &at)
    memory.envelope.begin()
    var isFirst = true
    var membersEnd: Int32 = 0
    while let member = try nextKnown(text, &at, &memory.envelope, isFirst: &isFirst, membersEnd: &membersEnd) {
      try scanEnvelopeMember(member, text, &at, &memory, &fields)
      membersEnd = Int32(at)
    }
    while at < text.count {
      guard text[at] == 0x20 || text[at] == 0x0A || text[at] == 0x0D || text[at] == 0x09 else { throw .badJSON }
      at += 1
    }
  }

  @inline(__always)
  private static func scanEnvelopeMember(
    _ member: EnvelopeMember, _ text: Span<UInt8>, _ at: inout Int, _ memory: inout EntryMemory, _ fields: inout EntryFields
  ) throws(DeadLetterReason) {
    switch member {
    case .type: try scanType(text, &at, &fields)
    case .bucket: try scanName(text, &at, &fields.bucket, &fields.isBucketNotText)
    case .key: try scanName(text, &at, &fields.key, &fields.isKeyNotText)
    case .value: try scanValue(text, &at, &memory, &fields)
    case .canary: try scanFlag(text, &at, &fields.isCanary)
    case .bootstrapId:
      fields.isBootstrap = true
      try PlainJSON.skipValue(text, &at, depth: 1)
    case .site: try scanText(PlainJSON.self, text, &at, &fields.site, &fields.fieldProblem)
    case .replayCount: fields.replayCount = try scanInteger(PlainJSON.self, text, &at) ?? -1
    case .ignore: try scanFlag(text, &at, &fields.isIgnored)
    }
    guard fields.seen.first(member) else { throw .duplicateField }
  }

  /// The next member that something is wanted of, `at` left at its value; nil behind the closing brace.
  /// - Parameter membersEnd: behind the last value passed.
  @inline(__always)
  private static func nextKnown<Member: KnownMember>(
    _ text: Span<UInt8>, _ at: inout Int, _ runs: inout RunMemory<Member>, isFirst: inout Bool, membersEnd: inout Int32
  ) throws(DeadLetterReason) -> Member? {
    var (start, wasFirst) = (at, isFirst)
    if let passed = runs.pass(text, &at, isAtFirst: isFirst) {
      isFirst = false
      if let member = passed {
        // White space may have come in before the value.
        _ = try Member.Level.peek(text, &at)
        return member
      }
      membersEnd = Int32(at)
      (start, wasFirst) = (at, false)
    }
    while true {
      let name = try Member.Level.nextMember(text, &at, isFirst: &isFirst)
      guard name.isPresent else { break }
      if let member = Member(name, in: text) {
        runs.keep(text, start..<at, isAtFirst: wasFirst, member)
        return member
      }
      try Member.Level.skipValue(text, &at, depth: 1)
      membersEnd = Int32(at)
    }
    if Int(membersEnd) > start { runs.keep(text, start..<Int(membersEnd), isAtFirst: wasFirst, nil) }
    return nil
  }

  static func scanName(
    _ text: Span<UInt8>, _ at: inout Int, _ slice: inout TextSlice, _ isNotText: inout Bool
  ) throws(DeadLetterReason) {
    guard text[at] == UInt8(ascii: "\"") else {
      isNotText = true
      return try PlainJSON.skipValue(text, &at, depth: 1)
    }
    at += 1
    slice = try PlainJSON.string(text, &at)
  }

  static func scanFlag(_ text: Span<UInt8>, _ at: inout Int, _ flag: inout Bool) throws(DeadLetterReason) {
    flag = text[at] == UInt8(ascii: "t")
    try PlainJSON.skipValue(text, &at, depth: 1)
  }

  private static func scanType(_ text: Span<UInt8>, _ at: inout Int, _ fields: inout EntryFields) throws(DeadLetterReason) {
    // `"put"`
    if at + 8 <= text.count, ByteScan.word(text, at) & 0xFF_FFFF_FFFF == 0x22_7475_7022 {
      fields.type = .put
      at += 5
      return
    }
    guard text[at] == UInt8(ascii: "\"") else {
      fields.type = .notText
      return try PlainJSON.skipValue(text, &at, depth: 1)
    }
    at += 1
    switch ShortText(try PlainJSON.string(text, &at), in: text) {
    case .put: fields.type = .put
    case .del: fields.type = .del
    default: fields.type = .unknown
    }
  }

  /// The nested JSON. If it is broken, the envelope around it is still read to its end: a cut message, or one that
  /// needs no value, must not be told as a broken value.
  private static func scanValue(
    _ text: Span<UInt8>, _ at: inout Int, _ memory: inout EntryMemory, _ fields: inout EntryFields
  ) throws(DeadLetterReason) {
    guard text[at] == UInt8(ascii: "\"") else {
      fields.isValueNotText = text[at] != UInt8(ascii: "n")
      return try PlainJSON.skipValue(text, &at, depth: 1)
    }
    at += 1
    let start = at
    do throws(DeadLetterReason) {
      try scanMetadata(text, &at, &memory, &fields)
    } catch {
      fields.valueProblem = error
      at = start
      _ = try PlainJSON.string(text, &at)
    }
    fields.value = TextSlice(start: Int32(start), end: Int32(at - 1), firstEscape: Int32(start), isPresent: true)
  }

  // MARK: Inside `value`

  private static func scanMetadata(
    _ text: Span<UInt8>, _ at: inout Int, _ memory: inout EntryMemory, _ fields: inout EntryFields
  ) throws(DeadLetterReason) {
    let open = try NestedJSON.peek(text, &at)
    guard open.byte == UInt8(ascii: "{") else { throw .valueNotAnObject }
    at += open.width
    memory.metadata.begin()
    var isFirst = true
    while let member = try nextKnown(text, &at, &memory.metadata, isFirst: &isFirst, membersEnd: &fields.membersEnd) {
      try scanMetadataMember(member, text, &at, &memory, &fields)
      fields.membersEnd = Int32(at)
    }
    // Only white space may follow, then the quote that ends the string.
    while at < text.count, text[at] != UInt8(ascii: "\"") {
      let char = try NestedJSON.char(text, at)
      guard char.byte == 0x20 || char.byte == 0x0A || char.byte == 0x0D || char.byte == 0x09 else { throw .valueBadJSON }
      at += char.width
    }
    guard at < text.count else { throw .cutJSON }
    at += 1
  }

  @inline(__always)
  private static func scanMetadataMember(
    _ member: MetadataMember, _ text: Span<UInt8>, _ at: inout Int, _ memory: inout EntryMemory, _ fields: inout EntryFields
  ) throws(DeadLetterReason) {
    let start = at
    switch member {
    case .contentLength: try scanContentLength(text, &at, &fields)
    case .contentMD5: try scanText(NestedJSON.self, text, &at, &fields.contentMD5, &fields.fieldProblem)
    case .lastModified: try scanText(NestedJSON.self, text, &at, &fields.lastModified, &fields.fieldProblem)
    case .versionId: try scanText(NestedJSON.self, text, &at, &fields.versionId, &fields.fieldProblem)
    case .isDeleteMarker: try scanDeleteMarker(text, &at, &fields)
    case .replicationInfo:
      if !memory.info.pass(text, &at, memory.site, &fields) {
        // A second one adds to what the first has said, before it is refused.
        let isOnly = fields.info.seen.isEmpty
        try scanReplicationInfo(text, &at, memory.site, &fields)
        if isOnly { memory.info.keep(text, start..<at, fields) }
      }
      fields.infoRange = Int32(start)..<Int32(at)
    case .originOp:
      try NestedJSON.skipValue(text, &at, depth: 1)
      fields.originOpRange = Int32(start)..<Int32(at)
      return
    case .mdBucketModelVersion, .attributes:
      fields.isBucketMetadata = true
      return try NestedJSON.skipValue(text, &at, depth: 1)
    }
    guard fields.metadataSeen.first(member) else { throw .valueDuplicateField }
  }

  /// A number of bytes, as a number or (old blobs) as text.
  private static func scanContentLength(_ text: Span<UInt8>, _ at: inout Int, _ fields: inout EntryFields)
    throws(DeadLetterReason)
  {
    if let number = usualNumber(text, &at) {
      fields.contentLength = number
      return
    }
    let char = try NestedJSON.peek(text, &at)
    switch char.byte {
    case UInt8(ascii: "n"): return try NestedJSON.skipValue(text, &at, depth: 1)
    case UInt8(ascii: "\""):
      at += char.width
      let slice = try NestedJSON.string(text, &at)
      fields.contentLength = digits(text, slice.range) ?? -1
    default: fields.contentLength = try scanInteger(NestedJSON.self, text, &at) ?? -1
    }
    if fields.contentLength < 0 { fields.fieldProblem = fields.fieldProblem ?? .contentLengthInvalid }
  }

  /// A whole number in plain digits with another member or the closing brace right behind it; else nil, nothing passed.
  @inline(__always)
  private static func usualNumber(_ text: Span<UInt8>, _ at: inout Int) -> Int64? {
    var end = at
    var value: Int64 = 0
    // 18 digits always fit.
    while end < text.count, end - at < 18, ByteScan.isDigit(text[end]) {
      value = value &* 10 &+ Int64(text[end] &- UInt8(ascii: "0"))
      end &+= 1
    }
    guard end < text.count, text[end] == UInt8(ascii: ",") || text[end] == UInt8(ascii: "}"), end > at else { return nil }
    guard text[at] != UInt8(ascii: "0") || end == at + 1 else { return nil }
    at = end
    return value
  }

  private static func scanDeleteMarker(_ text: Span<UInt8>, _ at: inout Int, _ fields: inout EntryFields) throws(DeadLetterReason) {
    // `false`, which nearly every entry says, without a look at its first letter: 3 % of an entry's reading.
    if at + 8 <= text.count, ByteScan.word(text, at) & 0xFF_FFFF_FFFF == 0x65_736C_6166 {
      at += 5
      return
    }
    switch try NestedJSON.peek(text, &at).byte {
    case UInt8(ascii: "t"): fields.isDeleteMarker = true
    // Old blobs have an empty string there.
    case UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "\""): break
    default: fields.fieldProblem = .valueFieldWrongType
    }
    try NestedJSON.skipValue(text, &at, depth: 1)
  }

  /// Text or null.
  @inline(__always)
  static func scanText<Level: JSONLevel>(
    _ level: Level.Type, _ text: Span<UInt8>, _ at: inout Int, _ slice: inout TextSlice, _ problem: inout DeadLetterReason?
  ) throws(DeadLetterReason) {
    if let usual = level.usualString(text, &at) {
      slice = usual
      return
    }
    let char = try level.peek(text, &at)
    if char.byte == UInt8(ascii: "\"") {
      at += char.width
      slice = try level.string(text, &at)
      return
    }
    if char.byte != UInt8(ascii: "n") { problem = level.isNested ? .valueFieldWrongType : .fieldWrongType }
    try level.skipValue(text, &at, depth: 1)
  }

  /// Any value is passed; the number if it is a whole one, 0 or more, in plain digits.
  private static func scanInteger<Level: JSONLevel>(
    _ level: Level.Type, _ text: Span<UInt8>, _ at: inout Int
  ) throws(DeadLetterReason) -> Int64? {
    let start = at
    try level.skipValue(text, &at, depth: 1)
    return digits(text, start..<at)
  }

  private static func digits(_ text: Span<UInt8>, _ range: Range<Int>) -> Int64? {
    guard range.count > 0, range.count <= 19 else { return nil }
    var value: Int64 = 0
    for index in range {
      let byte = text[index]
      guard ByteScan.isDigit(byte) else { return nil }
      let (tens, overflow1) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = tens.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
      guard !overflow1, !overflow2 else { return nil }
      value = sum
    }
    return value
  }
}
