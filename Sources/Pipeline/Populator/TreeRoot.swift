// An open tree: every path is resolved below one descriptor, so neither a symbolic link nor `..` nor a rename of the
// root while we work can lead out of it. Directories that are mount points are followed.
//
// The calls block (they are plain system calls); they belong on the lister's thread, never on the reactor's.

internal import CLinux
internal import Glibc
public import Reactor

/// What a path of a tree is right now.
public enum TreeEntry: Sendable {
  case file(WalkedFile)
  case directory
  /// A link, socket, device or FIFO: not an object.
  case other(SkippedKind)
  /// Nothing there, or something on the way to it is no directory (any more).
  case gone
  case failed(Errno)
}

/// Device and inode: the same directory whatever it is called or wherever it is mounted.
public struct FileIdentity: Hashable, Sendable {
  public var device: UInt64
  public var inode: UInt64
}

/// The root of a tree, held open.
public final class TreeRoot {
  /// As given; for messages only.
  public let path: String
  let fd: OwnedFD

  /// Opens the directory.
  /// - Thread: any; the object stays on one thread. - Blocking: yes. - Errors: `Errno` of the open.
  public init(path: String) throws(Errno) {
    self.path = path
    let raw = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard raw >= 0 else { throw Errno.last("open \(path)") }
    fd = OwnedFD(adopting: raw)
  }

  /// False once the root directory itself was deleted: then everything below looks gone, and none of it may be believed.
  public var isLinked: Bool {
    var facts = stat()
    return fstat(fd.raw, &facts) == 0 && facts.st_nlink > 0
  }

  /// Looks at one path without following anything.
  /// - Thread: the owner's. - Blocking: yes (two system calls).
  public func entry(at path: String) -> TreeEntry {
    var opened: Int32 = -1
    repeat {
      opened = db_openat2(fd.raw, path, UInt64(O_PATH | O_NOFOLLOW | O_CLOEXEC), 0, Self.resolve)
    } while opened < 0 && errno == EINTR
    guard opened >= 0 else {
      // ELOOP: a directory on the way became a link, so this path is no object any more.
      if errno == ENOENT || errno == ENOTDIR || errno == ELOOP { return .gone }
      return .failed(Errno.last("openat2"))
    }
    let found = OwnedFD(adopting: opened)
    var facts = statx()
    guard statx(found.raw, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, InodeFacts.mask, &facts) == 0 else {
      return .failed(Errno.last("statx"))
    }
    let inode = InodeFacts(facts)
    switch inode.kind {
    case .file: return .file(WalkedFile(path: path, size: inode.size, modifiedNs: inode.modifiedNs, permissions: inode.permissions))
    case .directory: return .directory
    case .other(let kind): return .other(kind)
    }
  }

  /// Opens a directory below the root for reading (`[]`: the root itself, with an offset of its own).
  func openDirectory(_ path: [UInt8]) throws(Errno) -> OwnedFD {
    var name = path.isEmpty ? [UInt8(ascii: ".")] : path
    name.append(0)
    let flags = UInt64(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    while true {
      let raw = name.withUnsafeBytes {
        db_openat2(fd.raw, $0.baseAddress!.assumingMemoryBound(to: CChar.self), flags, 0, Self.resolve)
      }
      if raw >= 0 { return OwnedFD(adopting: raw) }
      if errno != EINTR { throw Errno.last("openat2") }
    }
  }

  /// Opens a file below the root for reading, following nothing and waiting for nothing (a FIFO).
  func openFile(_ path: String) throws(Errno) -> OpenTreeFile {
    let flags = UInt64(O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    while true {
      let raw = db_openat2(fd.raw, path, flags, 0, Self.resolve)
      if raw >= 0 { return OpenTreeFile(OwnedFD(adopting: raw), path: path) }
      if errno != EINTR { throw Errno.last("openat2") }
    }
  }

  private static let resolve = UInt64(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
}

/// What statx said of one inode, in our terms.
struct InodeFacts {
  enum Kind {
    case file, directory
    case other(SkippedKind)
  }

  /// What must be asked for.
  static let mask = UInt32(STATX_TYPE | STATX_MODE | STATX_SIZE | STATX_MTIME)

  var kind: Kind
  var size: Int64
  var modifiedNs: Int64
  var permissions: UInt32

  init(_ facts: statx) {
    size = Int64(clamping: facts.stx_size)
    modifiedNs = FileStat.ns(seconds: facts.stx_mtime.tv_sec, rest: Int64(facts.stx_mtime.tv_nsec))
    permissions = UInt32(facts.stx_mode) & 0o777
    kind =
      switch Int32(facts.stx_mode) & 0o170000 {
      case 0o100000: .file
      case 0o040000: .directory
      case 0o120000: .other(.link)
      case 0o140000: .other(.socket)
      case 0o010000: .other(.pipe)
      default: .other(.device)
      }
  }
}
