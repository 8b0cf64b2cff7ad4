// The two spellings of a version id (backbeat-behaviour 4.1, wire-contracts 2.4): raw as in keys and metadata, encoded
// as in requests, lists and headers. 27 bytes of the current form become 32 characters of base 62; any other length
// becomes lower-case hex; `null` stays `null`.

public enum VersionId {
  public static let rawCount = 27
  public static let encodedCount = 32
  /// Of an object in a bucket without versions, where it must have one.
  public static let null = "null"
  private static let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
  private static let hex = Array("0123456789abcdef".utf8)

  public static func encode(_ raw: String) -> String {
    if raw == null { return raw }
    let octets = raw.utf8.span
    guard octets.count == rawCount, let first = number(octets, 0..<10), let second = number(octets, 10..<20) else {
      return String(decoding: raw.utf8.flatMap { [hex[Int($0 >> 4)], hex[Int($0 & 15)]] }, as: UTF8.self)
    }
    // Seven bytes: less than 2^56.
    var rest: UInt64 = 0
    for index in 20..<rawCount { rest = rest << 8 | UInt64(octets[index]) }
    let letters = alphabet.span
    return String(bytesMax: encodedCount) { text in
      append(first, 6, letters, to: &text)
      append(second, 6, letters, to: &text)
      append(rest, encodedCount - 12, letters, to: &text)
    }
  }

  /// - Returns: nil for what no version id encodes to.
  public static func decode(_ encoded: String) -> String? {
    if encoded == null { return encoded }
    let text = Array(encoded.utf8)
    guard text.count == encodedCount else { return text.count > encodedCount ? decodeHex(text) : decodeShortHex(text) }
    guard let first = unbase62(text[0..<6]), let second = unbase62(text[6..<12]), let rest = unbase62(text[12...]) else {
      return nil
    }
    var raw = digits(first) + digits(second)
    raw += rest.drop { $0 == 0 }
    return raw.count == rawCount ? validated(raw) : nil
  }

  /// Shorter ids exist only as hex of short raw ones (tests, foreign versions); even digits or nothing.
  private static func decodeShortHex(_ text: [UInt8]) -> String? { text.isEmpty ? nil : decodeHex(text) }

  private static func decodeHex(_ text: [UInt8]) -> String? {
    guard text.count % 2 == 0 else { return nil }
    var raw: [UInt8] = []
    for index in stride(from: 0, to: text.count, by: 2) {
      guard let high = ByteScan.hexDigit(text[index]), let low = ByteScan.hexDigit(text[index + 1]) else { return nil }
      raw.append(UInt8(high << 4 | low))
    }
    return validated(raw)
  }

  private static func validated(_ raw: [UInt8]) -> String? { String(validating: raw, as: UTF8.self) }

  /// Decimal digits, and nothing else.
  private static func number(_ octets: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
    var value: UInt64 = 0
    for index in range {
      guard (0x30...0x39).contains(octets[index]) else { return nil }
      value = value * 10 + UInt64(octets[index] - 0x30)
    }
    return value
  }

  private static func digits(_ bytes: [UInt8]) -> [UInt8] {
    let value = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let text = Array(String(value).utf8)
    return Array(repeating: UInt8(ascii: "0"), count: max(0, 10 - text.count)) + text
  }

  /// In base 62, with zeros in front.
  private static func append(_ number: UInt64, _ count: Int, _ letters: Span<UInt8>, to text: inout OutputSpan<UInt8>) {
    let start = text.count
    text.append(repeating: letters[0], count: count)
    var digits = text.mutableSpan
    var rest = number
    var index = start + count
    while rest > 0, index > start {
      index -= 1
      digits[index] = letters[Int(rest % 62)]
      rest /= 62
    }
  }

  /// The number as 15 big-endian bytes; nil for other characters.
  private static func unbase62(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var number = [UInt8](repeating: 0, count: 15)
    for character in text {
      guard var carry = alphabet.firstIndex(of: character) else { return nil }
      for index in number.indices.reversed() {
        let value = Int(number[index]) * 62 + carry
        number[index] = UInt8(value & 0xFF)
        carry = value >> 8
      }
      guard carry == 0 else { return nil }
    }
    return number
  }
}
