// One open directory, read entry by entry with getdents64 into a fixed buffer: a directory of a million names costs
// the same memory as an empty one. Every directory of a walk uses the walk's single buffer, because only one of them
// is open at a time.

internal import CLinux
internal import Glibc
internal import Reactor

/// What the directory itself says a name is; `unknown` needs a look at the inode.
enum EntryType {
  case file, directory, unknown
  case other(SkippedKind)

  init(dType: UInt8) {
    switch Int(dType) {
    case Int(DT_REG): self = .file
    case Int(DT_DIR): self = .directory
    case Int(DT_LNK): self = .other(.link)
    case Int(DT_SOCK): self = .other(.socket)
    case Int(DT_FIFO): self = .other(.pipe)
    case Int(DT_BLK), Int(DT_CHR): self = .other(.device)
    default: self = .unknown
    }
  }
}

/// Reads one directory at a time.
final class DirectoryReader {
  /// 32 KiB is what readdir(3) uses; about 800 ordinary names per system call.
  static let bufferBytes = 32_768

  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: DirectoryReader.bufferBytes, alignment: 8)
  private var directory: OwnedFD?
  private var filled = 0
  private var at = 0

  deinit { buffer.deallocate() }

  var isOpen: Bool { fd >= 0 }
  /// -1 while no directory is open.
  private(set) var fd: Int32 = -1

  func open(_ opened: consuming OwnedFD) {
    fd = opened.raw
    directory = consume opened
    filled = 0
    at = 0
  }

  func close() {
    directory = nil
    fd = -1
  }

  /// The next name other than `.` and `..`; nil at the end of the directory.
  /// - Blocking: yes. - Errors: `Errno` of getdents64 (ENOENT is taken as the end: the directory was removed meanwhile).
  func next() throws(Errno) -> (name: [UInt8], type: EntryType)? {
    while true {
      if at >= filled {
        guard try refill() else { return nil }
      }
      let record = UnsafeRawBufferPointer(rebasing: buffer[at..<filled])
      let length = Int(record.loadUnaligned(fromByteOffset: 16, as: UInt16.self))
      precondition(length > Self.nameOffset && length <= record.count, "getdents64 answered a record of \(length) bytes")
      at += length
      let tail = record[Self.nameOffset..<length]
      let name = Array(tail.prefix { $0 != 0 })
      if name == [Self.dot] || name == [Self.dot, Self.dot] { continue }
      return (name, EntryType(dType: record[18]))
    }
  }

  /// Size, time and type of a name in the open directory, the name not followed; nil when it is gone.
  func facts(of name: [UInt8]) throws(Errno) -> InodeFacts? {
    var facts = statx()
    let result = (name + [0]).withUnsafeBytes { bytes in
      statx(fd, bytes.baseAddress!.assumingMemoryBound(to: CChar.self), AT_SYMLINK_NOFOLLOW, InodeFacts.mask, &facts)
    }
    if result == 0 { return InodeFacts(facts) }
    if errno == ENOENT { return nil }
    throw Errno.last("statx")
  }

  /// Identity of the open directory.
  func identity() throws(Errno) -> FileIdentity {
    var facts = stat()
    guard fstat(fd, &facts) == 0 else { throw Errno.last("fstat") }
    return FileIdentity(device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino))
  }

  private func refill() throws(Errno) -> Bool {
    while true {
      let count = getdents64(fd, buffer.baseAddress!, buffer.count)
      if count > 0 {
        filled = count
        at = 0
        return true
      }
      if count == 0 || errno == ENOENT { return false }
      if errno != EINTR { throw Errno.last("getdents64") }
    }
  }

  /// linux_dirent64: u64 inode, i64 offset, u16 record length, u8 type, then the name with its NUL.
  private static let nameOffset = 19
  private static let dot = UInt8(ascii: ".")
}
