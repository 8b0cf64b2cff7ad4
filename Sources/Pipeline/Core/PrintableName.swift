// Names of files, keys and buckets for people: whatever octets somebody chose, what is shown cannot command a terminal or end a line.

/// Text that is safe on a terminal and in a log line, whatever bytes a file name holds.
public enum PrintableName {
  /// Valid UTF-8 is kept; every other byte, control characters and the backslash itself become `\xNN`.
  public static func of(_ bytes: [UInt8]) -> String {
    var text = ""
    var rest = bytes[...]
    while let first = rest.first {
      let length = sequenceLength(first)
      let head = rest.prefix(length)
      if length > 0, head.count == length, let part = String(validating: head, as: UTF8.self), isPlain(part) {
        text += part
        rest = rest.dropFirst(length)
      } else {
        text += escape(first)
        rest = rest.dropFirst()
      }
    }
    return text
  }

  public static func of(_ text: String) -> String { of(Array(text.utf8)) }

  private static func sequenceLength(_ first: UInt8) -> Int {
    switch first {
    case 0x00...0x7F: 1
    case 0xC2...0xDF: 2
    case 0xE0...0xEF: 3
    case 0xF0...0xF4: 4
    default: 0
    }
  }

  /// C0, DEL and C1 controls can move a terminal's cursor; bidirectional overrides can make a name read as another.
  private static func isPlain(_ part: String) -> Bool {
    part.unicodeScalars.allSatisfy { scalar in
      let value = scalar.value
      return value >= 0x20 && !(0x7F...0x9F).contains(value) && value != 0x5C && !(0x202A...0x202E).contains(value)
        && !(0x2066...0x2069).contains(value)
    }
  }

  private static func escape(_ byte: UInt8) -> String {
    let digits = Array("0123456789ABCDEF".unicodeScalars)
    var text = "\\x"
    text.unicodeScalars.append(digits[Int(byte >> 4)])
    text.unicodeScalars.append(digits[Int(byte & 15)])
    return text
  }
}
