// One stored state in one file: a header line with its version, then the JSON text as given.
//
//   downbeat-state 1 epoch=1795423000123456 version=3 saved=1795423000123
//   {"paused":true,"scheduledResume":null}
//
// Invariant: at any moment, a kill in between included, the file holds either the old entry or the new one in full. A write
// goes to a second file, which is synced, renamed over the first, and made durable by syncing the directory.
//
// A file without header but with JSON is somebody's own (an operator's editor): version 0. Anything else is handed on as it is,
// so that whoever reads the JSON finds it unreadable and says so; it is never taken for a state.
internal import CLinux
internal import Glibc
internal import PipelineCore
internal import Reactor

struct StateFile: Hashable, Sendable {
  /// A state is two members, or a few more of other programs. Longer is not ours.
  static let bytesMax = 1 << 20
  static let suffix = ".state"
  /// Ends in a character no state file ends in, so it can never be a location's file.
  static let temporarySuffix = ".state~"

  struct Content: Hashable, Sendable {
    var entry: StoredEntry
    /// Unix ms; 0 if the file does not say.
    var savedAtMs: Int64
  }

  let directory: String
  let name: String

  var path: String { "\(directory)/\(name)\(Self.suffix)" }
  var temporaryPath: String { "\(directory)/\(name)\(Self.temporarySuffix)" }

  /// - Blocking: a small read.
  /// - Returns: nil if there is no such file.
  func read() throws(Errno) -> Content? {
    let fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    if fd < 0 {
      if errno == ENOENT { return nil }
      throw Errno.last("open \(path)")
    }
    let file = OwnedFD(adopting: fd)
    var bytes: [UInt8] = []
    while bytes.count <= Self.bytesMax {
      var chunk = [UInt8](repeating: 0, count: 4_096)
      let count = Glibc.read(file.raw, &chunk, chunk.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw Errno.last("read \(path)")
      }
      if count == 0 { return Self.parse(bytes) }
      bytes += chunk[..<count]
    }
    throw Errno(EFBIG, "read \(path)")
  }

  /// Puts `content` in place of what is there, durably.
  /// - Blocking: two fsyncs.
  /// - Errors: `Errno`; the old entry is then still in place, unless only the last step (the directory's fsync) failed.
  func write(_ content: Content) throws(Errno) {
    try Self.makeDirectories(directory)
    try writeTemporary(Self.serialize(content))
    guard rename(temporaryPath, path) == 0 else { throw Errno.last("rename \(temporaryPath)") }
    try syncDirectory()
  }

  // MARK: Format

  private static let magic = "downbeat-state 1"

  static func serialize(_ content: Content) -> [UInt8] {
    let version = content.entry.version
    let header = "\(magic) epoch=\(version.epoch) version=\(version.number) saved=\(content.savedAtMs)\n"
    return Array(header.utf8) + content.entry.json + [UInt8(ascii: "\n")]
  }

  static func parse(_ bytes: [UInt8]) -> Content {
    if let lineEnd = bytes.firstIndex(of: UInt8(ascii: "\n")), bytes.last == UInt8(ascii: "\n"), lineEnd < bytes.count - 1,
      let header = parseHeader(bytes[..<lineEnd])
    {
      let json = Array(bytes[(lineEnd + 1)..<(bytes.count - 1)])
      return Content(entry: StoredEntry(json: json, version: header.version), savedAtMs: header.savedAtMs)
    }
    return Content(entry: StoredEntry(json: bytes, version: StateVersion(epoch: 0, number: 0)), savedAtMs: 0)
  }

  private static func parseHeader(_ line: ArraySlice<UInt8>) -> (version: StateVersion, savedAtMs: Int64)? {
    let text = String(decoding: line, as: UTF8.self)
    guard text.hasPrefix(magic + " ") else { return nil }
    var fields: [Substring: Int64] = [:]
    for field in text.dropFirst(magic.count + 1).split(separator: " ") {
      let parts = field.split(separator: "=", maxSplits: 1)
      guard parts.count == 2, let value = Int64(parts[1]) else { return nil }
      fields[parts[0]] = value
    }
    guard let epoch = fields["epoch"], let number = fields["version"], let saved = fields["saved"] else { return nil }
    return (StateVersion(epoch: epoch, number: number), saved)
  }

  // MARK: Steps

  private func writeTemporary(_ bytes: [UInt8]) throws(Errno) {
    let fd = open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard fd >= 0 else { throw Errno.last("open \(temporaryPath)") }
    let file = OwnedFD(adopting: fd)
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(file.raw, $0.baseAddress! + done, bytes.count - done) }
      if count < 0 {
        if errno == EINTR { continue }
        throw Errno.last("write \(temporaryPath)")
      }
      done += count
    }
    guard fsync(file.raw) == 0 else { throw Errno.last("fsync \(temporaryPath)") }
  }

  private func syncDirectory() throws(Errno) {
    let fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard fd >= 0 else { throw Errno.last("open \(directory)") }
    let handle = OwnedFD(adopting: fd)
    guard fsync(handle.raw) == 0 else { throw Errno.last("fsync \(directory)") }
  }

  /// Creates a directory and its missing parents.
  static func makeDirectories(_ path: String) throws(Errno) {
    if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
      throw Errno.last("mkdir \(path)")
    }
    try makeDirectories(String(path[..<slash]))
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw Errno.last("mkdir \(path)") }
  }
}
