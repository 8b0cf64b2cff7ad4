// Percent-encoding as Signature Version 4 defines it: everything but A-Z a-z 0-9 - . _ ~ becomes %XX in upper case. What is
// signed is what is sent, byte for byte, so nothing else may touch a path or query afterwards.

enum URIEncoding {
  private static let hex = Array("0123456789ABCDEF".utf8)

  private static func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
    default: false
    }
  }

  /// - Parameter keepsSlash: of a key, whose slashes separate segments; not of a query's names and values.
  static func append(_ text: String, keepsSlash: Bool, to bytes: inout [UInt8]) {
    for byte in text.utf8 {
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
    var bytes: [UInt8] = []
    append(text, keepsSlash: keepsSlash, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Names and values, as in a query or in `x-amz-tagging`.
  static func form(_ pairs: [(String, String)]) -> String {
    pairs.map { "\(encoded($0.0))=\(encoded($0.1))" }.joined(separator: "&")
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
      guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
