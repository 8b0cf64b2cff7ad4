// Octets as hex digits and back.
internal import PipelineCore

enum Hex {
  /// Lower-case.
  static func text(_ bytes: UnsafeRawBufferPointer) -> String { String(bytesMax: bytes.count * 2) { append(bytes, to: &$0) } }

  /// Lower-case, twice as many octets.
  static func append(_ bytes: UnsafeRawBufferPointer, to text: inout OutputSpan<UInt8>) {
    var at = 0
    while at + 4 <= bytes.count {
      withUnsafeBytes(of: digits(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))) { text.append(octets: $0) }
      at += 4
    }
    for byte in bytes[at...] {
      text.append(digit(byte >> 4))
      text.append(digit(byte & 15))
    }
  }

  /// Of four octets, as both stand in memory (the first one lowest).
  private static func digits(_ octets: UInt32) -> UInt64 {
    // Each half of an octet alone in an octet, the higher half first.
    var halves = UInt64(octets)
    halves = (halves | halves << 16) & 0x0000_FFFF_0000_FFFF
    halves = (halves | halves << 8) & 0x00FF_00FF_00FF_00FF
    halves = (halves >> 4 | halves << 8) & 0x0F0F_0F0F_0F0F_0F0F
    // Those from ten on are letters, which stand 39 behind.
    let letters = (halves &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
    return halves &+ 0x3030_3030_3030_3030 &+ letters &* 39
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
