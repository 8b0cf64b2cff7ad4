// What a walk of a tree hands out: plain values, no descriptor, no path that could still be followed.
//
// A path is always relative to the tree's root, `/`-separated, valid UTF-8 and never empty for a file. Names that are
// not UTF-8 cannot be keys: they appear only as a failure, in a printable form.

internal import Reactor

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
