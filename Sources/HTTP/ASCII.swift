// The few octets and octet classes of RFC 9110 and RFC 9112, and comparisons of byte ranges with literals. No Unicode:
// HTTP heads are octets.

public enum ASCII {
  public static let horizontalTab: UInt8 = 0x09
  public static let lineFeed: UInt8 = 0x0A
  public static let carriageReturn: UInt8 = 0x0D
  public static let space: UInt8 = 0x20
  public static let quote: UInt8 = 0x22
  public static let percent: UInt8 = 0x25
  public static let ampersand: UInt8 = 0x26
  public static let asterisk: UInt8 = 0x2A
  public static let plus: UInt8 = 0x2B
  public static let comma: UInt8 = 0x2C
  public static let dot: UInt8 = 0x2E
  public static let slash: UInt8 = 0x2F
  public static let zero: UInt8 = 0x30
  public static let colon: UInt8 = 0x3A
  public static let semicolon: UInt8 = 0x3B
  public static let equals: UInt8 = 0x3D
  public static let question: UInt8 = 0x3F
  public static let at: UInt8 = 0x40
  public static let openBracket: UInt8 = 0x5B
  public static let backslash: UInt8 = 0x5C
  public static let closeBracket: UInt8 = 0x5D

  // RFC 9110 5.6.2 `tchar` as two 64-bit sets: a table would be a lazily initialised global, checked at each use.
  private static let tokenLow: UInt64 = 0x03FF_6CFA_0000_0000
  private static let tokenHigh: UInt64 = 0x57FF_FFFF_C7FF_FFFE

  /// RFC 9110 5.6.2 `tchar`.
  @inline(__always)
  public static func isToken(_ byte: UInt8) -> Bool {
    guard byte < 128 else { return false }
    return (byte < 64 ? tokenLow >> UInt64(byte) : tokenHigh >> UInt64(byte & 63)) & 1 == 1
  }

  @inline(__always)
  public static func isDigit(_ byte: UInt8) -> Bool { byte &- zero < 10 }

  @inline(__always)
  public static func lowercased(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

  /// The value of a hexadecimal digit, or nil.
  @inline(__always)
  public static func hexValue(_ byte: UInt8) -> UInt8? {
    if isDigit(byte) { return byte &- zero }
    let lower = byte | 0x20
    return lower &- 0x61 < 6 ? lower &- 0x57 : nil
  }

  /// White space of RFC 9110 5.6.3.
  @inline(__always)
  public static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == horizontalTab }

  /// What a field value may hold: no control but HTAB (RFC 9110 5.5).
  @inline(__always)
  public static func isFieldValue(_ byte: UInt8) -> Bool { (byte >= space && byte != 0x7F) || byte == horizontalTab }
}

extension Span where Element == UInt8 {
  /// The bytes of `range` are exactly those of the literal.
  @inline(__always)
  public func equals(_ literal: StaticString, in range: Range<Int>) -> Bool {
    guard range.count == literal.utf8CodeUnitCount else { return false }
    let text = literal.utf8Start
    for index in 0..<range.count where self[range.lowerBound &+ index] != text[index] { return false }
    return true
  }

  /// The same, ignoring the case of ASCII letters.
  /// - Parameter literal: in lower case.
  @inline(__always)
  public func equalsIgnoringCase(_ literal: StaticString, in range: Range<Int>) -> Bool {
    guard range.count == literal.utf8CodeUnitCount else { return false }
    let text = literal.utf8Start
    for index in 0..<range.count where ASCII.lowercased(self[range.lowerBound &+ index]) != text[index] { return false }
    return true
  }

  /// `range` without the blanks at both ends.
  public func trimmed(_ range: Range<Int>) -> Range<Int> {
    var start = range.lowerBound
    var end = range.upperBound
    while start < end, ASCII.isBlank(self[start]) { start += 1 }
    while end > start, ASCII.isBlank(self[end - 1]) { end -= 1 }
    return start..<end
  }

  /// The bytes as text; invalid UTF-8 is replaced. For messages and cold paths.
  public func text(in range: Range<Int>) -> String { String(decoding: array(in: range), as: UTF8.self) }

  public func array(in range: Range<Int>) -> [UInt8] {
    extracting(range).withUnsafeBufferPointer { Array($0) }
  }
}
