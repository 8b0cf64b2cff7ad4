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
    var isFirst = true
    while true {
      let name = try PlainJSON.nextMember(text, &at, isFirst: &isFirst)
      guard name.isPresent else { break }
      let bit: UInt32
      switch ShortText(name, in: text) {
      case .type:
        bit = 0
        try scanType(text, &at, &fields)
      case .bucket:
        bit = 1
        try scanName(text, &at, &fields.bucket, &fields.isBucketNotText)
      case .key:
        bit = 2
        try scanName(text, &at, &fields.key, &fields.isKeyNotText)
      case .value:
        bit = 3
        try scanValue(text, &at, &memory, &fields)
      case .canary:
        bit = 4
        try scanFlag(text, &at, &fields.isCanary)
      case .bootstrapId:
        bit = 5
        fields.isBootstrap = true
        try PlainJSON.skipValue(text, &at, depth: 1)
      case .site:
        bit = 6
        try scanText(PlainJSON.self, text, &at, &fields.site, &fields.fieldProblem)
      case .replayCount:
        bit = 7
        fields.replayCount = try scanInteger(PlainJSON.self, text, &at) ?? -1
      case .ignore:
        bit = 8
        try scanFlag(text, &at, &fields.isIgnored)
      default:
        try PlainJSON.skipValue(text, &at, depth: 1)
        continue
      }
      guard fields.seen.first(bit) else { throw .duplicateField }
    }
    while at < text.count {
      guard text[at] == 0x20 || text[at] == 0x0A || text[at] == 0x0D || text[at] == 0x09 else { throw .badJSON }
      at += 1
    }
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
    memory.begin()
    var isFirst = true
    // Where the members began of which nothing was wanted since the last that something was wanted of; -1: there was none.
    var runStart = -1
    var isRunFirst = false
    while true {
      if runStart < 0, memory.passRun(text, &at, isAtFirst: &isFirst) { fields.membersEnd = Int32(at) }
      let (start, wasFirst) = (at, isFirst)
      let name = try NestedJSON.nextMember(text, &at, isFirst: &isFirst)
      guard name.isPresent else { break }
      // Lengths of the names below: most others are passed without a closer look.
      let isWanted: Bool
      if name.isEscaped || 0b1_0000_1110_1111_0000_0000 & (1 << UInt32(name.range.count & 31)) != 0 {
        isWanted = try scanMetadataMember(ShortText(name, in: text), text, &at, &memory, &fields)
      } else {
        try NestedJSON.skipValue(text, &at, depth: 1)
        isWanted = false
      }
      if isWanted {
        if runStart >= 0 { memory.keepRun(text, runStart..<start, isAtFirst: isRunFirst) }
        runStart = -1
      } else if runStart < 0 {
        (runStart, isRunFirst) = (start, wasFirst)
      }
      fields.membersEnd = Int32(at)
    }
    if runStart >= 0 { memory.keepRun(text, runStart..<Int(fields.membersEnd), isAtFirst: isRunFirst) }
    // Only white space may follow, then the quote that ends the string.
    while at < text.count, text[at] != UInt8(ascii: "\"") {
      let char = try NestedJSON.char(text, at)
      guard char.byte == 0x20 || char.byte == 0x0A || char.byte == 0x0D || char.byte == 0x09 else { throw .valueBadJSON }
      at += char.width
    }
    guard at < text.count else { throw .cutJSON }
    at += 1
  }

  /// - Returns: whether anything of it was wanted.
  @inline(__always)
  private static func scanMetadataMember(
    _ name: ShortText, _ text: Span<UInt8>, _ at: inout Int, _ memory: inout EntryMemory, _ fields: inout EntryFields
  ) throws(DeadLetterReason) -> Bool {
    let bit: UInt32
    switch name {
    case .contentLength:
      bit = 16
      try scanContentLength(text, &at, &fields)
    case .contentMD5:
      bit = 17
      try scanText(NestedJSON.self, text, &at, &fields.contentMD5, &fields.fieldProblem)
    case .lastModified:
      bit = 18
      try scanText(NestedJSON.self, text, &at, &fields.lastModified, &fields.fieldProblem)
    case .versionId:
      bit = 19
      try scanText(NestedJSON.self, text, &at, &fields.versionId, &fields.fieldProblem)
    case .isDeleteMarker:
      bit = 20
      try scanDeleteMarker(text, &at, &fields)
    case .replicationInfo:
      bit = 21
      let start = at
      if !memory.info.pass(text, &at, memory.site, &fields) {
        // A second one adds to what the first has said, before it is refused.
        let isOnly = fields.info.seen.isEmpty
        try scanReplicationInfo(text, &at, memory.site, &fields)
        if isOnly { memory.info.keep(text, start..<at, fields) }
      }
      fields.infoRange = Int32(start)..<Int32(at)
    case .originOp:
      let start = at
      try NestedJSON.skipValue(text, &at, depth: 1)
      fields.originOpRange = Int32(start)..<Int32(at)
      return true
    case .mdBucketModelVersion, .attributes:
      fields.isBucketMetadata = true
      try NestedJSON.skipValue(text, &at, depth: 1)
      return true
    default:
      try NestedJSON.skipValue(text, &at, depth: 1)
      return false
    }
    guard fields.seen.first(bit) else { throw .valueDuplicateField }
    return true
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
    while end < text.count, end - at < 18, text[end] >= UInt8(ascii: "0"), text[end] <= UInt8(ascii: "9") {
      value = value &* 10 &+ Int64(text[end] &- UInt8(ascii: "0"))
      end &+= 1
    }
    guard end < text.count, text[end] == UInt8(ascii: ",") || text[end] == UInt8(ascii: "}"), end > at else { return nil }
    guard text[at] != UInt8(ascii: "0") || end == at + 1 else { return nil }
    at = end
    return value
  }

  private static func scanDeleteMarker(_ text: Span<UInt8>, _ at: inout Int, _ fields: inout EntryFields) throws(DeadLetterReason) {
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
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
      let (tens, overflow1) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = tens.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
      guard !overflow1, !overflow2 else { return nil }
      value = sum
    }
    return value
  }
}
