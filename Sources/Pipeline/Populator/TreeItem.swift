// What a walk of a tree hands out: plain values, no descriptor, no path that could still be followed.
//
// A path is always relative to the tree's root, `/`-separated, valid UTF-8 and never empty for a file. Names that are
// not UTF-8 cannot be keys: they appear only as a failure, in a printable form.

internal import Reactor

/// A regular file as it stood when the walk read it.
public struct WalkedFile: Hashable, Sendable {
  /// Relative to the tree's root.
  public var path: String
  /// Bytes.
  public var size: Int64
  /// Modification time, nanoseconds since 1970 (UTC); clamped to what an `Int64` holds.
  public var modifiedNs: Int64

  public init(path: String, size: Int64, modifiedNs: Int64) {
    self.path = path
    self.size = size
    self.modifiedNs = modifiedNs
  }
}

/// Why a path of the tree could not become an object, or could not be looked at.
public enum TreeFailureReason: Hashable, Sendable {
  /// The name is no UTF-8, so it cannot be a key.
  case keyNotUTF8
  /// The directory or file could not be read; what lies below was not listed.
  case unreadable(code: Int32, call: String)
  /// The directory is (a mount of) one of the targets: following it would copy the copy.
  case holdsTarget

  /// The code shown in failed lists and summaries.
  public var code: String {
    switch self {
    case .keyNotUTF8: "KeyNotUTF8"
    case .unreadable: "SourceUnreadable"
    case .holdsTarget: "SourceHoldsTarget"
    }
  }
}

/// One path the walk could not use; the walk itself goes on.
public struct TreeFailure: Hashable, Sendable {
  /// Printable: bytes that are no UTF-8 and control characters are written `\xNN`.
  public var path: String
  public var reason: TreeFailureReason

  public init(path: String, reason: TreeFailureReason) {
    self.path = path
    self.reason = reason
  }

  /// One line for a person.
  public var message: String {
    switch reason {
    case .keyNotUTF8: "\(path): the name is not UTF-8 and cannot be a key"
    case .unreadable(let code, let call): "\(path): \(Errno(code, call))"
    case .holdsTarget: "\(path): this directory is one of the targets, mounted inside the source"
    }
  }
}

/// What is in a tree but is no object.
public enum SkippedKind: Int, CaseIterable, Sendable {
  case link, socket, device, pipe
  /// The tree's own reserved directory (`.downbeat` at the root).
  case reserved

  public var label: String {
    switch self {
    case .link: "links"
    case .socket: "sockets"
    case .device: "devices"
    case .pipe: "FIFOs"
    case .reserved: "reserved"
    }
  }
}

/// Totals of one walk.
public struct TreeCounts: Hashable, Sendable {
  public var files: Int64 = 0
  public var bytes: Int64 = 0
  public var directories: Int64 = 0
  public var failures: Int64 = 0
  /// Entries that were named by a directory and gone when looked at: normal in a living tree.
  public var vanished: Int64 = 0
  private var skippedByKind = [Int64](repeating: 0, count: SkippedKind.allCases.count)

  public init() {}

  public subscript(kind: SkippedKind) -> Int64 {
    get { skippedByKind[kind.rawValue] }
    set { skippedByKind[kind.rawValue] = newValue }
  }

  /// Links, sockets, devices and FIFOs together.
  public var skipped: Int64 { skippedByKind.reduce(0, +) }
}

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
