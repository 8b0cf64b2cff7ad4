// What makes a directory a target of ours: `.downbeat/` in it, with the marker that names the source it is a copy of, the
// lock that one process holds, and the state directory. Files are opened below the directory's descriptor and never
// through a link.

internal import PipelineCore
internal import CLinux
internal import Glibc
internal import Reactor

/// A target directory as it was found.
enum TargetFacts: Hashable, Sendable {
  case missing
  /// Nothing in it (a file system's `lost+found` does not count).
  case empty
  /// Ours: a copy of this source (its real path).
  case marked(source: String)
  /// Not empty, and no marker.
  case occupied(example: String)
}

/// A target that this process may write to: made ready, marked and locked. Unlocked when it goes.
final class TargetDirectory {
  static let reservedName = ".downbeat"
  private static let markerName = "source"
  private static let markerHeader = "downbeat-target 1\n"
  private static let markerBytesMax = 8_192

  private let lock: OwnedFD

  // MARK: Looking

  /// - Parameter path: a real path. - Blocking: a few system calls.
  static func look(at path: String) throws(Errno) -> TargetFacts {
    let raw = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if raw < 0, errno == ENOENT { return .missing }
    guard raw >= 0 else { throw Errno.last("open \(path)") }
    let directory = OwnedFD(adopting: raw)
    if let source = try marker(in: directory.raw, path) { return .marked(source: source) }
    let reader = DirectoryReader()
    reader.open(directory)
    while let (name, _) = try reader.next() {
      if name != Array(reservedName.utf8), name != Array("lost+found".utf8) { return .occupied(example: PrintableName.of(name)) }
    }
    return .empty
  }

  /// The source a target's marker names; nil if it has none.
  private static func marker(in directory: Int32, _ path: String) throws(Errno) -> String? {
    let raw = openat(directory, "\(reservedName)/\(markerName)", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    if raw < 0, errno == ENOENT { return nil }
    guard raw >= 0 else { throw Errno.last("open \(path)/\(reservedName)/\(markerName)") }
    let file = OwnedFD(adopting: raw)
    var bytes = [UInt8](repeating: 0, count: markerBytesMax)
    let count = read(file.raw, &bytes, bytes.count)
    guard count >= 0 else { throw Errno.last("read \(path)/\(reservedName)/\(markerName)") }
    let text = String(decoding: bytes[..<count], as: UTF8.self)
    // Cut short or foreign: it names no source, so the directory counts by what else is in it.
    guard text.hasPrefix(markerHeader) else { return nil }
    return String(text.dropFirst(markerHeader.count))
  }

  // MARK: Taking

  enum Failure: Error {
    case inUse(pid: String)
    case system(Errno)
  }

  /// Makes `.downbeat/` (0700) and locks it. The target exists.
  /// - Blocking: a few system calls; never for the lock.
  init(locking path: String) throws(Failure) {
    do throws(Errno) {
      try Self.makeDirectory(path + "/" + Self.reservedName, 0o700)
    } catch {
      throw .system(error)
    }
    let name = "\(path)/\(Self.reservedName)/lock"
    let raw = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard raw >= 0 else { throw .system(Errno.last("open \(name)")) }
    let file = OwnedFD(adopting: raw)
    guard db_flock(raw, LOCK_EX | LOCK_NB) == 0 else {
      if errno == EWOULDBLOCK { throw .inUse(pid: Self.holder(raw)) }
      throw .system(Errno.last("flock \(name)"))
    }
    // Only for the message of whoever comes too late.
    let pid = Array("\(getpid())\n".utf8)
    if ftruncate(raw, 0) == 0 { _ = pwrite(raw, pid, pid.count, 0) }
    lock = file
  }

  private static func holder(_ fd: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = pread(fd, &bytes, bytes.count, 0)
    let digits = bytes.prefix(max(0, count)).prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    return digits.isEmpty ? "unknown" : String(decoding: digits, as: UTF8.self)
  }

  /// Records the source, durably and in one step, and makes the state directory.
  /// - Blocking: two fsyncs.
  func mark(_ path: String, source: String) throws(Errno) {
    let ours = path + "/" + Self.reservedName
    try Self.makeDirectory(ours + "/state", 0o700)
    let (name, temporary) = ("\(ours)/\(Self.markerName)", "\(ours)/\(Self.markerName).new")
    do {
      let raw = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
      guard raw >= 0 else { throw Errno.last("open \(temporary)") }
      let file = OwnedFD(adopting: raw)
      let bytes = Array((Self.markerHeader + source).utf8)
      let count = write(file.raw, bytes, bytes.count)
      guard count == bytes.count else { throw count < 0 ? Errno.last("write \(temporary)") : Errno(ENOSPC, "write \(temporary)") }
      guard fsync(file.raw) == 0 else { throw Errno.last("fsync \(temporary)") }
    }
    guard rename(temporary, name) == 0 else { throw Errno.last("rename \(name)") }
    let raw = open(ours, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard raw >= 0 else { throw Errno.last("open \(ours)") }
    let directory = OwnedFD(adopting: raw)
    guard fsync(directory.raw) == 0 else { throw Errno.last("fsync \(ours)") }
  }

  /// Makes a directory unless it is there; a link or a file of that name is an error.
  private static func makeDirectory(_ path: String, _ mode: mode_t) throws(Errno) {
    if mkdir(path, mode) == 0 { return }
    guard errno == EEXIST else { throw Errno.last("mkdir \(path)") }
    var facts = stat()
    guard lstat(path, &facts) == 0 else { throw Errno.last("lstat \(path)") }
    guard facts.st_mode & S_IFMT == S_IFDIR else { throw Errno(ENOTDIR, "mkdir \(path)") }
  }
}
