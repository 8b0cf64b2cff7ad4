// Scanning of JSON text in place, at two depths: plain (the entry itself) and nested (the JSON inside the entry's
// `value` string, where every quote arrives as `\"`). One pass, no copy, no allocation: the answers are positions.
//
// Invariant: what is accepted is valid JSON of valid UTF-8 (RFC 8259; no lone surrogates), nested at most
// `nestingMax` deep at each level. Text is looked at eight bytes at a time for the next byte that needs thought.
// It deliberately builds nothing and knows no field: `EntryDecoder` does. Small control-plane bodies use `JSONValue`.

/// Where a JSON string stands, quotes excluded. Valid only with the text it was found in.
struct TextSlice: Hashable, Sendable {
  var start: Int32 = 0
  var end: Int32 = 0
  /// Position of the first escape sequence (of either level), `end` if there is none.
  var firstEscape: Int32 = 0
  var isPresent = false
  var isNested = false

  static let absent = TextSlice()
  var isEscaped: Bool { firstEscape < end }
  var isPlain: Bool { isPresent && !isEscaped }
  var range: Range<Int> { Int(start)..<Int(end) }

  /// Of the same text that stands elsewhere.
  func moved(by distance: Int32) -> TextSlice {
    guard isPresent else { return self }
    var slice = self
    slice.start += distance
    slice.end += distance
    slice.firstEscape += distance
    return slice
  }
}

/// One character of structure at a given level, and the bytes it takes.
struct JSONChar {
  var byte: UInt8
  var width: Int
}

protocol JSONLevel {
  static var isNested: Bool { get }
  static var cut: DeadLetterReason { get }
  static var bad: DeadLetterReason { get }
  static var control: DeadLetterReason { get }
  static var escape: DeadLetterReason { get }
  static var tooDeep: DeadLetterReason { get }
}

// Not requirements: a call through a witness is not inlined, and these two are most of the work.
extension JSONLevel {
  /// The character at `at`, decoded as far as structure needs it.
  @inline(__always)
  static func char(_ text: Span<UInt8>, _ at: Int) throws(DeadLetterReason) -> JSONChar {
    isNested ? try NestedJSON.nestedChar(text, at) : try PlainJSON.plainChar(text, at)
  }

  /// The string that begins at `at` if it holds nothing special; else nil, nothing passed.
  @inline(__always)
  static func usualString(_ text: Span<UInt8>, _ at: inout Int) -> TextSlice? {
    isNested ? NestedJSON.usualNestedString(text, &at) : PlainJSON.usualPlainString(text, &at)
  }

  /// The name of the next member where it is written as `JSON.stringify` does and holds nothing special, `at` left at its value; else
  /// nil, nothing passed. What it accepts the long way accepts too.
  @inline(__always)
  static func usualMember(_ text: Span<UInt8>, _ at: inout Int, isFirst: Bool) -> TextSlice? {
    isNested ? NestedJSON.usualNestedMember(text, &at, isFirst: isFirst) : PlainJSON.usualPlainMember(text, &at, isFirst: isFirst)
  }

  @inline(__always)
  private static func isUsualMember(_ text: Span<UInt8>, _ at: inout Int, isFirst: Bool) -> Bool {
    usualMember(text, &at, isFirst: isFirst) != nil
  }

  /// The string whose opening quote was just passed; leaves `at` behind the closing one.
  @inline(__always)
  static func string(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) -> TextSlice {
    isNested ? try NestedJSON.nestedString(text, &at) : try PlainJSON.plainString(text, &at)
  }
}

enum JSONBounds {
  /// Objects and arrays inside each other. Real entries have 5; the bit stack below holds 64.
  static let nestingMax = 64
  /// Positions are 32 bits wide. No broker takes messages of 2 GiB.
  static let textMax = Int(Int32.max) - 16
}

// MARK: - Eight bytes at a time

enum ByteScan {
  static let ones: UInt64 = 0x0101_0101_0101_0101
  static let highs: UInt64 = 0x8080_8080_8080_8080

  /// Eight bytes from `at` on, the first in the lowest. The load checks its bounds; any bit pattern is a UInt64, so
  /// the one thing that makes it "unsafe" (types with invalid patterns) does not apply.
  @inline(__always)
  static func word(_ text: Span<UInt8>, _ at: Int) -> UInt64 {
    unsafe text.bytes.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self)
  }

  /// First position from `at` on whose byte is `"`, `\`, a control character or not ASCII; the end if there is none.
  @inline(__always)
  static func special(_ text: Span<UInt8>, _ start: Int) -> Int {
    precondition(start >= 0)
    var at = start
    while at &+ 8 <= text.count {
      // Its bounds are the two lines above.
      let word = unsafe text.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: at, as: UInt64.self)
      let quote = word ^ (ones &* 0x22)
      let slash = word ^ (ones &* 0x5C)
      // Borrows run upwards only, so the lowest mark is exact.
      let marks = (((quote &- ones) & ~quote) | ((slash &- ones) & ~slash) | ((word &- ones &* 0x20) & ~word) | word) & highs
      if marks != 0 { return at &+ marks.trailingZeroBitCount >> 3 }
      at &+= 8
    }
    while at < text.count {
      let byte = text[at]
      if byte == 0x22 || byte == 0x5C || byte < 0x20 || byte >= 0x80 { return at }
      at += 1
    }
    return at
  }

  /// Whether `byte` is one of those in `range`.
  @inline(__always)
  static func contains(_ byte: UInt8, _ text: Span<UInt8>, _ range: Range<Int>) -> Bool {
    var at = range.lowerBound
    while at < range.upperBound, at + 8 <= text.count {
      // What lies behind the range is made different from any byte looked for.
      let count = min(8, range.upperBound - at)
      let beyond: UInt64 = count == 8 ? 0 : ~0 << UInt64(count &* 8)
      let differs = (word(text, at) ^ (ones &* UInt64(byte))) | beyond
      if (differs &- ones) & ~differs & highs != 0 { return true }
      at += 8
    }
    while at < range.upperBound {
      if text[at] == byte { return true }
      at += 1
    }
    return false
  }

  /// Length of the UTF-8 sequence at `at` (a byte that is not ASCII), 0 if it is none (RFC 3629, section 4).
  static func utf8Length(_ text: Span<UInt8>, _ at: Int) -> Int {
    let first = text[at]
    func tail(_ index: Int, _ low: UInt8 = 0x80, _ high: UInt8 = 0xBF) -> Bool {
      at + index < text.count && text[at + index] >= low && text[at + index] <= high
    }
    switch first {
    case 0xC2...0xDF: return tail(1) ? 2 : 0
    case 0xE0: return tail(1, 0xA0) && tail(2) ? 3 : 0
    case 0xED: return tail(1, 0x80, 0x9F) && tail(2) ? 3 : 0
    case 0xE1...0xEF: return tail(1) && tail(2) ? 3 : 0
    case 0xF0: return tail(1, 0x90) && tail(2) && tail(3) ? 4 : 0
    case 0xF4: return tail(1, 0x80, 0x8F) && tail(2) && tail(3) ? 4 : 0
    case 0xF1...0xF3: return tail(1) && tail(2) && tail(3) ? 4 : 0
    default: return 0
    }
  }

  /// The value of four hex digits at `at`, nil if they are none.
  static func hex4(_ text: Span<UInt8>, _ at: Int) -> UInt32? {
    guard at + 4 <= text.count else { return nil }
    var value: UInt32 = 0
    for index in at..<at + 4 {
      guard let digit = hexDigit(text[index]) else { return nil }
      value = value << 4 | digit
    }
    return value
  }

  @inline(__always)
  static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

  static func hexDigit(_ byte: UInt8) -> UInt32? {
    switch byte {
    case 0x30...0x39: UInt32(byte - 0x30)
    case 0x41...0x46: UInt32(byte - 0x41 + 10)
    case 0x61...0x66: UInt32(byte - 0x61 + 10)
    default: nil
    }
  }
}

// MARK: - Grammar, the same at both levels

extension JSONLevel {
  /// Passes white space and returns the character behind it, not passed.
  @inline(__always)
  static func peek(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) -> JSONChar {
    while true {
      let char = try char(text, at)
      guard char.byte <= 0x20 else { return char }
      guard char.byte == 0x20 || char.byte == 0x0A || char.byte == 0x0D || char.byte == 0x09 else { throw control }
      at += char.width
    }
  }

  /// Passes white space and this very character.
  @inline(__always)
  static func expect(_ byte: UInt8, _ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) {
    let char = try peek(text, &at)
    guard char.byte == byte else { throw bad }
    at += char.width
  }

  /// Inside an object: the name of the next member, `at` left at its value; absent behind the closing brace.
  @inline(__always)
  static func nextMember(_ text: Span<UInt8>, _ at: inout Int, isFirst: inout Bool) throws(DeadLetterReason) -> TextSlice {
    if let name = usualMember(text, &at, isFirst: isFirst) {
      isFirst = false
      return name
    }
    var char = try peek(text, &at)
    if char.byte == UInt8(ascii: "}") {
      at += char.width
      return .absent
    }
    if isFirst {
      isFirst = false
    } else {
      guard char.byte == UInt8(ascii: ",") else { throw bad }
      at += char.width
      char = try peek(text, &at)
    }
    guard char.byte == UInt8(ascii: "\"") else { throw bad }
    at += char.width
    let name = try string(text, &at)
    try expect(UInt8(ascii: ":"), text, &at)
    _ = try peek(text, &at)
    return name
  }

  /// Inside an array: true with `at` at the next element; false behind the closing bracket.
  @inline(__always)
  static func nextElement(_ text: Span<UInt8>, _ at: inout Int, isFirst: inout Bool) throws(DeadLetterReason) -> Bool {
    let char = try peek(text, &at)
    if char.byte == UInt8(ascii: "]") {
      at += char.width
      return false
    }
    if isFirst {
      isFirst = false
    } else {
      guard char.byte == UInt8(ascii: ",") else { throw bad }
      at += char.width
      _ = try peek(text, &at)
    }
    return true
  }

  /// Passes any value, checking all of it.
  /// - Parameter depth: objects and arrays already open around it.
  static func skipValue(_ text: Span<UInt8>, _ at: inout Int, depth: Int) throws(DeadLetterReason) {
    // One bit per open container, 1 = object; `open` of them are ours.
    var kinds: UInt64 = 0
    var open = 0
    repeat {
      if usualString(text, &at) == nil {
        let char = try peek(text, &at)
        switch char.byte {
        case UInt8(ascii: "\""):
          at += char.width
          _ = try string(text, &at)
        case UInt8(ascii: "{"), UInt8(ascii: "["):
          at += char.width
          guard depth + open < JSONBounds.nestingMax else { throw tooDeep }
          kinds = kinds << 1 | (char.byte == UInt8(ascii: "{") ? 1 : 0)
          open += 1
          if try enterFirst(text, &at, isObject: kinds & 1 == 1) { continue }
          kinds >>= 1
          open -= 1
        default: try skipScalar(text, &at, char)
        }
      }
      // Behind a value: close what ends here, or go on to the next one.
      while open > 0 {
        if kinds & 1 == 1, isUsualMember(text, &at, isFirst: false) { break }
        let char = try peek(text, &at)
        at += char.width
        if char.byte == UInt8(ascii: ",") {
          if kinds & 1 == 1 { try memberName(text, &at) }
          break
        }
        guard char.byte == (kinds & 1 == 1 ? UInt8(ascii: "}") : UInt8(ascii: "]")) else { throw bad }
        kinds >>= 1
        open -= 1
      }
    } while open > 0
  }

  /// Behind an opening brace or bracket: true if a first value follows, false behind the closing one.
  @inline(__always)
  private static func enterFirst(_ text: Span<UInt8>, _ at: inout Int, isObject: Bool) throws(DeadLetterReason) -> Bool {
    if isObject, isUsualMember(text, &at, isFirst: true) { return true }
    let char = try peek(text, &at)
    if char.byte == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
      at += char.width
      return false
    }
    if isObject { try memberName(text, &at) }
    return true
  }

  @inline(__always)
  private static func memberName(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) {
    try expect(UInt8(ascii: "\""), text, &at)
    _ = try string(text, &at)
    try expect(UInt8(ascii: ":"), text, &at)
  }

  /// Passes `true`, `false`, `null` or a number that begins with `char`.
  static func skipScalar(_ text: Span<UInt8>, _ at: inout Int, _ char: JSONChar) throws(DeadLetterReason) {
    switch char.byte {
    case UInt8(ascii: "t"): try literal(0x6575_7274, 4, text, &at)
    case UInt8(ascii: "f"): try literal(0x65_736C_6166, 5, text, &at)
    case UInt8(ascii: "n"): try literal(0x6C6C_756E, 4, text, &at)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try skipNumber(text, &at)
    default: throw bad
    }
  }

  /// The letters of a literal, lowest byte first.
  static func literal(_ letters: UInt64, _ count: Int, _ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) {
    if at + 8 <= text.count, ByteScan.word(text, at) & ((1 << UInt64(count &* 8)) &- 1) == letters {
      at += count
      return
    }
    // Any of them may be written as an escape.
    var rest = letters
    for _ in 0..<count {
      let char = try char(text, at)
      guard char.byte == UInt8(truncatingIfNeeded: rest) else { throw bad }
      rest >>= 8
      at += char.width
    }
  }

  /// A number by the letter of RFC 8259, section 6.
  static func skipNumber(_ text: Span<UInt8>, _ at: inout Int) throws(DeadLetterReason) {
    var char = try char(text, at)
    if char.byte == UInt8(ascii: "-") { char = try step(text, &at, char) }
    if char.byte == UInt8(ascii: "0") {
      char = try step(text, &at, char)
    } else {
      try digits(text, &at, &char)
    }
    if char.byte == UInt8(ascii: ".") {
      char = try step(text, &at, char)
      try digits(text, &at, &char)
    }
    if char.byte | 0x20 == UInt8(ascii: "e") {
      char = try step(text, &at, char)
      if char.byte == UInt8(ascii: "+") || char.byte == UInt8(ascii: "-") { char = try step(text, &at, char) }
      try digits(text, &at, &char)
    }
  }

  /// A number cannot end the text: it stands inside an object, so there is always a next character.
  @inline(__always)
  private static func step(_ text: Span<UInt8>, _ at: inout Int, _ passed: JSONChar) throws(DeadLetterReason) -> JSONChar {
    at += passed.width
    return try char(text, at)
  }

  @inline(__always)
  private static func digits(_ text: Span<UInt8>, _ at: inout Int, _ char: inout JSONChar) throws(DeadLetterReason) {
    guard ByteScan.isDigit(char.byte) else { throw bad }
    repeat { char = try step(text, &at, char) } while ByteScan.isDigit(char.byte)
  }
}
