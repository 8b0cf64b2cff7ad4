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

  static func firstNewline(_ bytes: UnsafeRawBufferPointer, from: Int) -> Int? {
    guard from < bytes.count, let base = bytes.baseAddress, let found = memchr(base + from, Int32(newline), bytes.count - from) else { return nil }
    return UnsafeRawPointer(found) - base
  }
}
