// Percent-encoding as Signature Version 4 defines it: everything but A-Z a-z 0-9 - . _ ~ becomes %XX in upper case. What is
// signed is what is sent, byte for byte, so nothing else may touch a path or query afterwards.
internal import PipelineCore

enum URIEncoding {
  private static let hex = Array("0123456789ABCDEF".utf8)

  /// A bit for each of the first 64 octets, and of the next 64: digits, `-` and `.`; letters, `_` and `~`.
  private static let unreservedLow: UInt64 = 0x03FF_6000_0000_0000
  private static let unreservedHigh: UInt64 = 0x47FF_FFFE_87FF_FFFE

  @inline(__always)
  private static func isUnreserved(_ byte: UInt8) -> Bool {
    byte < 128 && (byte < 64 ? unreservedLow : unreservedHigh) >> UInt64(byte & 63) & 1 == 1
  }

  /// Octets of the longest that a text of so many can become.
  static func bytesMax(_ count: Int) -> Int { 3 * count }

  /// - Parameter keepsSlash: of a key, whose slashes separate segments; not of a query's names and values.
  static func append(_ text: String, keepsSlash: Bool, to bytes: inout OutputSpan<UInt8>) {
    let octets = text.utf8.span
    for index in octets.indices {
      let byte = octets[index]
      if isUnreserved(byte) || (keepsSlash && byte == UInt8(ascii: "/")) {
        bytes.append(byte)
      } else {
        bytes.append(UInt8(ascii: "%"))
        bytes.append(hex[Int(byte >> 4)])
        bytes.append(hex[Int(byte & 15)])
      }
    }
  }

  static func encoded(_ text: String, keepsSlash: Bool = false) -> String {
    String(bytesMax: bytesMax(text.utf8.count)) { append(text, keepsSlash: keepsSlash, to: &$0) }
  }

  /// Names and values, as in a query or in `x-amz-tagging`.
  static func form(_ pairs: [(String, String)]) -> String {
    String(bytesMax: formBytesMax(pairs)) { append(form: pairs, to: &$0) }
  }

  static func formBytesMax(_ pairs: [(String, String)]) -> Int {
    pairs.reduce(0) { $0 + bytesMax($1.0.utf8.count + $1.1.utf8.count) + 2 }
  }

  static func append(form pairs: [(String, String)], to bytes: inout OutputSpan<UInt8>) {
    var isFirst = true
    for (name, value) in pairs {
      if !isFirst { bytes.append(UInt8(ascii: "&")) }
      isFirst = false
      append(name, keepsSlash: false, to: &bytes)
      bytes.append(UInt8(ascii: "="))
      append(value, keepsSlash: false, to: &bytes)
    }
  }
}

extension URIEncoding {
  /// Undoes `encoded`; nil for what is no percent-encoded UTF-8.
  static func decoded(_ text: some StringProtocol) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(Hex.value), let low = rest.popFirst().flatMap(Hex.value) else { return nil }
      bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
