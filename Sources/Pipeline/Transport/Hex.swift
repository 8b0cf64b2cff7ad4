// Octets as hex digits and back.

enum Hex {
  /// Lower-case.
  static func text(_ bytes: UnsafeRawBufferPointer) -> String {
    String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
      for index in bytes.indices {
        buffer[2 * index] = digit(bytes[index] >> 4)
        buffer[2 * index + 1] = digit(bytes[index] & 15)
      }
      return bytes.count * 2
    }
  }

  /// Lower-case.
  static func append(_ bytes: UnsafeRawBufferPointer, to text: inout [UInt8]) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: bytes.count * 2) { digits in
      for index in bytes.indices {
        digits.initializeElement(at: 2 * index, to: digit(bytes[index] >> 4))
        digits.initializeElement(at: 2 * index + 1, to: digit(bytes[index] & 15))
      }
      text.append(contentsOf: digits)
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value }

  /// Of a digit of either case; nil for another octet.
  static func value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
