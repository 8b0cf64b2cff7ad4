// The octets HTTP is written with.
internal import CLinux
internal import Glibc

enum Octet {
  static let newline = UInt8(ascii: "\n")
  static let carriageReturn = UInt8(ascii: "\r")
  static let space = UInt8(ascii: " ")
  static let tab = UInt8(ascii: "\t")

  static func digit(_ value: UInt8) -> UInt8 { UInt8(ascii: "0") + value }

  static func lower(_ byte: UInt8) -> UInt8 { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte }

  /// Whether any of them is a control character (below 0x20, or 0x7F), eight at a time.
  static func containControls(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let (ones, highs): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
    guard let base = bytes.baseAddress else { return false }
    var at = 0
    while at + 8 <= bytes.count {
      let word = base.loadUnaligned(fromByteOffset: at, as: UInt64.self)
      at += 8
      // Space to tilde, as nearly all is: none has the high bit, or gets it with one more or with 0x20 less. Exact up to the first
      // that is something else, which is looked at again.
      guard ((word &- ones &* 0x20) | (word &+ ones) | word) & highs != 0 else { continue }
      let delete = word ^ (ones &* 0x7F)
      if (((word &- ones &* 0x20) & ~word) | ((delete &- ones) & ~delete)) & highs != 0 { return true }
    }
    while at < bytes.count {
      if bytes[at] < 0x20 || bytes[at] == 0x7F { return true }
      at += 1
    }
    return false
  }

  /// Makes each of them a space.
  static func removeControls(_ bytes: UnsafeMutableRawBufferPointer) {
    // Nearly always there are none.
    guard containControls(UnsafeRawBufferPointer(bytes)) else { return }
    for index in bytes.indices where bytes[index] < 0x20 || bytes[index] == 0x7F { bytes[index] = space }
  }

  static func firstNewline(_ bytes: UnsafeRawBufferPointer, from: Int) -> Int? { first(newline, bytes, from) }
  static func firstColon(_ bytes: UnsafeRawBufferPointer, from: Int) -> Int? { first(UInt8(ascii: ":"), bytes, from) }

  static func begins(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
    guard let base = bytes.baseAddress, bytes.count >= text.utf8CodeUnitCount else { return false }
    return memcmp(base, text.utf8Start, text.utf8CodeUnitCount) == 0
  }

  static func has(_ octet: UInt8, _ bytes: UnsafeRawBufferPointer) -> Bool { first(octet, bytes, 0) != nil }

  private static func first(_ octet: UInt8, _ bytes: UnsafeRawBufferPointer, _ from: Int) -> Int? {
    guard from < bytes.count, let base = bytes.baseAddress, let found = memchr(base + from, Int32(octet), bytes.count - from) else { return nil }
    return UnsafeRawPointer(found) - base
  }
}

extension OutputSpan<UInt8> {
  /// Makes each control character from there on a space.
  mutating func removeControls(from start: Int) {
    withUnsafeMutableBufferPointer { octets, count in
      Octet.removeControls(UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(octets)[start..<count]))
    }
  }
}
