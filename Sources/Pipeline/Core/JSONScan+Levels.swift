// The two levels of `JSONScan`: how one character and one string look in plain JSON, and in JSON inside a JSON string.
// In the nested text a quote is `\"`, a backslash `\\`, an escaped quote `\\\"`; but any producer may also write
// `\u0022` or `\u005c` for them, or put an escaped line end between two members, so all of that is understood.

enum PlainJSON: JSONLevel {
  static var isNested: Bool { false }
  static var cut: DeadLetterReason { .cutJSON }
  static var bad: DeadLetterReason { .badJSON }
  static var control: DeadLetterReason { .controlCharacter }
  static var escape: DeadLetterReason { .badEscape }
  static var tooDeep: DeadLetterReason { .nestingTooDeep }

  @inline(__always)
  static func plainChar(_ text: Span<UInt8>, _ at: Int) throws(DeadLetterReason) -> JSONChar {
    guard at < text.count else { throw .cutJSON }
    return JSONChar(byte: text[at], width: 1)
  }

  @inline(__always)
  static func usualPlainMember(_ text: Span<UInt8>, _ at: inout Int, isFirst: Bool) -> TextSlice? {
    guard at + 8 <= text.count else { return nil }
    let word = ByteScan.word(text, at)
    // `,"` or, first, `"`.
    guard isFirst ? word & 0xFF == 0x22 : word & 0xFFFF == 0x222C else { return nil }
    let start = at &+ (isFirst ? 1 : 2)
    let end = ByteScan.special(text, start)
    guard end + 8 <= text.count else { return nil }
    // `":` and a value that does not begin with white space.
    let behind = ByteScan.word(text, end)
    guard behind & 0xFFFF == 0x3A22, behind & 0xFF_0000 > 0x20_0000 else { return nil }
    at = end &+ 2
    return TextSlice(start: Int32(start), end: Int32(end), firstEscape: Int32(end), isPresent: true)
  }

  @inline(__always)
  static func usualPlainString(_ text: Span<UInt8>, _ at: inout Int) -> TextSlice? {
    guard at < text.count, text[at] == UInt8(ascii: "\"") else { return nil }
    let start = at &+ 1
    let end = ByteScan.special(text, start)
    guard end < text.count, text[end] == UInt8(ascii: "\"") else { return nil }
    at = end &+ 1
    return TextSlice(start: Int32(start), end: Int32(end), firstEscape: Int32(end), isPresent: true)
  }

  @inline(__always)
  static func plainString(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) -> TextSlice {
    let start = at
    let special = ByteScan.special(text, at)
    var end = special
    // A key with its version: one NUL between them, and nothing else special.
    if end + 8 <= text.count, BaseKey.isNul(text, end) { end = ByteScan.special(text, end + 6) }
    if end < text.count, text[end] == UInt8(ascii: "\"") {
      at = end + 1
      return TextSlice(start: Int32(start), end: Int32(end), firstEscape: Int32(special), isPresent: true)
    }
    return try stringSlowly(text, &at, start: start, from: special)
  }

  private static func stringSlowly(
    _ text: Span<UInt8>, _ at: inout Int, start: Int, from: Int
  ) throws(DeadLetterReason) -> TextSlice {
    at = from
    var firstEscape = -1
    while true {
      guard at < text.count else { throw .cutJSON }
      switch text[at] {
      case UInt8(ascii: "\""):
        let end = at
        at += 1
        return TextSlice(
          start: Int32(start), end: Int32(end), firstEscape: Int32(firstEscape < 0 ? end : firstEscape), isPresent: true)
      case UInt8(ascii: "\\"):
        if firstEscape < 0 { firstEscape = at }
        try passEscape(text, &at)
      case 0x80...:
        let length = ByteScan.utf8Length(text, at)
        guard length > 0 else { throw .badUTF8 }
        at += length
      default: throw .controlCharacter
      }
      at = ByteScan.special(text, at)
    }
  }

  /// Passes one escape sequence, surrogate pairs as one.
  static func passEscape(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) {
    guard at + 1 < text.count else { throw .cutJSON }
    switch text[at + 1] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
      UInt8(ascii: "r"), UInt8(ascii: "t"):
      at += 2
    case UInt8(ascii: "u"): _ = try passUnicode(text, &at)
    default: throw .badEscape
    }
  }

  /// Passes `\uXXXX` (its `\u` seen already) or a surrogate pair of two, and returns the scalar.
  static func passUnicode(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) -> UInt32 {
    at += 2
    let unit = try passHex4(text, &at)
    switch unit {
    case 0xD800...0xDBFF:
      try pass(UInt8(ascii: "\\"), text, &at)
      try pass(UInt8(ascii: "u"), text, &at)
      let low = try passHex4(text, &at)
      guard (0xDC00...0xDFFF).contains(low) else { throw .badEscape }
      return 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
    case 0xDC00...0xDFFF: throw .badEscape
    default: return unit
    }
  }

  private static func pass(_ wanted: UInt8, _ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) {
    guard at < text.count else { throw .cutJSON }
    guard text[at] == wanted else { throw .badEscape }
    at += 1
  }

  private static func passHex4(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard at < text.count else { throw .cutJSON }
      guard let digit = ByteScan.hexDigit(text[at]) else { throw .badEscape }
      value = value << 4 | digit
      at += 1
    }
    return value
  }
}

enum NestedJSON: JSONLevel {
  static var isNested: Bool { true }
  static var cut: DeadLetterReason { .valueCutJSON }
  static var bad: DeadLetterReason { .valueBadJSON }
  static var control: DeadLetterReason { .valueControlCharacter }
  static var escape: DeadLetterReason { .valueBadEscape }
  static var tooDeep: DeadLetterReason { .valueNestingTooDeep }

  @inline(__always)
  static func nestedChar(_ text: Span<UInt8>, _ at: Int) throws(DeadLetterReason) -> JSONChar {
    guard at < text.count else { throw .cutJSON }
    let byte = text[at]
    if byte != UInt8(ascii: "\\") {
      // The quote that ends the outer string: the nested text is at its end.
      guard byte != UInt8(ascii: "\"") else { throw .valueCutJSON }
      guard byte >= 0x20 else { throw .controlCharacter }
      return JSONChar(byte: byte, width: 1)
    }
    if at + 1 < text.count, text[at + 1] == UInt8(ascii: "\"") { return JSONChar(byte: UInt8(ascii: "\""), width: 2) }
    return try escapedChar(text, at)
  }

  @inline(__always)
  static func usualNestedMember(_ text: Span<UInt8>, _ at: inout Int, isFirst: Bool) -> TextSlice? {
    guard at + 8 <= text.count else { return nil }
    let word = ByteScan.word(text, at)
    // `,\"` or, first, `\"`.
    guard isFirst ? word & 0xFFFF == 0x225C : word & 0xFF_FFFF == 0x22_5C2C else { return nil }
    let start = at &+ (isFirst ? 2 : 3)
    let end = ByteScan.special(text, start)
    guard end + 8 <= text.count else { return nil }
    // `\":` and a value that does not begin with white space.
    let behind = ByteScan.word(text, end)
    guard behind & 0xFF_FFFF == 0x3A_225C, behind & 0xFF00_0000 > 0x2000_0000 else { return nil }
    at = end &+ 3
    return TextSlice(start: Int32(start), end: Int32(end), firstEscape: Int32(end), isPresent: true, isNested: true)
  }

  @inline(__always)
  static func usualNestedString(_ text: Span<UInt8>, _ at: inout Int) -> TextSlice? {
    guard at + 8 <= text.count, ByteScan.word(text, at) & 0xFFFF == 0x225C else { return nil }
    let start = at &+ 2
    let end = ByteScan.special(text, start)
    guard end + 2 <= text.count, text[end] == UInt8(ascii: "\\"), text[end + 1] == UInt8(ascii: "\"") else { return nil }
    at = end &+ 2
    return TextSlice(start: Int32(start), end: Int32(end), firstEscape: Int32(end), isPresent: true, isNested: true)
  }

  private static func escapedChar(_ text: Span<UInt8>, _ at: Int) throws(DeadLetterReason) -> JSONChar {
    guard at + 1 < text.count else { throw .cutJSON }
    switch text[at + 1] {
    case UInt8(ascii: "\\"): return JSONChar(byte: UInt8(ascii: "\\"), width: 2)
    case UInt8(ascii: "/"): return JSONChar(byte: UInt8(ascii: "/"), width: 2)
    case UInt8(ascii: "n"): return JSONChar(byte: 0x0A, width: 2)
    case UInt8(ascii: "r"): return JSONChar(byte: 0x0D, width: 2)
    case UInt8(ascii: "t"): return JSONChar(byte: 0x09, width: 2)
    case UInt8(ascii: "b"), UInt8(ascii: "f"): throw .valueControlCharacter
    case UInt8(ascii: "u"):
      var end = at
      let scalar = try PlainJSON.passUnicode(text, &end)
      // Beyond ASCII nothing is structure; any such byte says so.
      return JSONChar(byte: scalar < 0x80 ? UInt8(scalar) : 0xFF, width: end - at)
    default: throw .badEscape
    }
  }

  @inline(__always)
  static func nestedString(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) -> TextSlice {
    let start = at
    let end = ByteScan.special(text, at)
    if end + 1 < text.count, text[end] == UInt8(ascii: "\\"), text[end + 1] == UInt8(ascii: "\"") {
      at = end + 2
      return TextSlice(start: Int32(start), end: Int32(end), firstEscape: Int32(end), isPresent: true, isNested: true)
    }
    return try stringSlowly(text, &at, start: start, from: end)
  }

  private static func stringSlowly(
    _ text: Span<UInt8>, _ at: inout Int, start: Int, from: Int
  ) throws(DeadLetterReason) -> TextSlice {
    at = from
    var firstEscape = -1
    while true {
      guard at < text.count else { throw .cutJSON }
      switch text[at] {
      case UInt8(ascii: "\""): throw .valueCutJSON
      case UInt8(ascii: "\\"):
        let here = at
        let char = try char(text, at)
        at += char.width
        if char.byte == UInt8(ascii: "\"") {
          return TextSlice(
            start: Int32(start), end: Int32(here), firstEscape: Int32(firstEscape < 0 ? here : firstEscape),
            isPresent: true, isNested: true)
        }
        guard char.byte >= 0x20 else { throw .valueControlCharacter }
        if firstEscape < 0 { firstEscape = here }
        if char.byte == UInt8(ascii: "\\") { try passEscape(text, &at) }
      case 0x80...:
        let length = ByteScan.utf8Length(text, at)
        guard length > 0 else { throw .badUTF8 }
        at += length
      default: throw .controlCharacter
      }
      at = ByteScan.special(text, at)
    }
  }

  /// Behind a nested backslash: passes the rest of the nested escape sequence.
  private static func passEscape(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) {
    let kind = try char(text, at)
    at += kind.width
    switch kind.byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
      UInt8(ascii: "r"), UInt8(ascii: "t"):
      return
    case UInt8(ascii: "u"):
      let unit = try hex4(text, &at)
      switch unit {
      case 0xD800...0xDBFF:
        try pass(UInt8(ascii: "\\"), text, &at)
        try pass(UInt8(ascii: "u"), text, &at)
        guard (0xDC00...0xDFFF).contains(try hex4(text, &at)) else { throw .valueBadEscape }
      case 0xDC00...0xDFFF: throw .valueBadEscape
      default: return
      }
    default: throw .valueBadEscape
    }
  }

  private static func pass(_ wanted: UInt8, _ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) {
    let char = try char(text, at)
    guard char.byte == wanted else { throw .valueBadEscape }
    at += char.width
  }

  private static func hex4(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      let char = try char(text, at)
      guard let digit = ByteScan.hexDigit(char.byte) else { throw .valueBadEscape }
      value = value << 4 | digit
      at += char.width
    }
    return value
  }
}
