// Trees of files for end-to-end tests, and what two of them have in common.
import CLinux
import Glibc
import Reactor
import TestSupport

/// A directory tree described by relative path.
struct Tree: Equatable {
  struct File: Equatable {
    var bytes: [UInt8]
    /// Permission bits.
    var mode: UInt32
    var modifiedNs: Int64
  }
  var files: [String: File] = [:]

  /// Every regular file below `root`. Anything else is listed in `others`.
  static func read(_ root: String, ignoring ignored: Set<String> = []) throws -> (tree: Tree, others: [String]) {
    var tree = Tree()
    var others: [String] = []
    var pending = [""]
    while let directory = pending.popLast() {
      for name in try names(in: "\(root)/\(directory)") {
        let path = directory.isEmpty ? name : "\(directory)/\(name)"
        if ignored.contains(path) { continue }
        var status = stat()
        guard lstat("\(root)/\(path)", &status) == 0 else { throw Errno.last("lstat \(path)") }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: pending.append(path)
        case S_IFREG:
          tree.files[path] = File(
            bytes: try readFile("\(root)/\(path)"), mode: status.st_mode & 0o777,
            modifiedNs: Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec))
        default: others.append(path)
        }
      }
    }
    return (tree, others)
  }

  static func names(in directory: String) throws -> [String] {
    guard let stream = opendir(directory) else { throw Errno.last("opendir \(directory)") }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  /// What differs, in words; empty when both are alike.
  func differences(from other: Tree) -> [String] {
    var lines: [String] = []
    for (path, file) in files {
      guard let twin = other.files[path] else {
        lines.append("missing: \(path)")
        continue
      }
      if twin.bytes != file.bytes { lines.append("other bytes: \(path) (\(file.bytes.count) and \(twin.bytes.count))") }
      if twin.mode != file.mode { lines.append("other mode: \(path) \(String(file.mode, radix: 8)) and \(String(twin.mode, radix: 8))") }
      if twin.modifiedNs != file.modifiedNs { lines.append("other time: \(path)") }
    }
    for path in other.files.keys where files[path] == nil { lines.append("too many: \(path)") }
    return lines.sorted()
  }
}

/// Makes `count` small files in directories of at most 100, and some that are special.
func makeTree(_ root: String, count: Int, seed: UInt64) throws {
  var random = SeededGenerator(seed: seed)
  _ = mkdir(root, 0o755)
  for index in 0..<count {
    let directory = "\(root)/d\(index / 100)"
    if index % 100 == 0 { _ = mkdir(directory, 0o755) }
    let size = index % 50 == 0 ? 0 : Int.random(in: 1...6_000, using: &random)
    let bytes = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
    try writeFile("\(directory)/f\(index)", bytes)
  }
}

/// Names and shapes that break careless programs.
func addOddFiles(_ root: String) throws {
  for (index, name) in ["with space", "plus+percent%41", "ünïcødé", "trailing.", "-dash", "a:b", "new\nline", "%2F", "q?a=b&c"].enumerated() {
    try writeFile("\(root)/\(name)", "odd file \(index)")
  }
  try writeFile("\(root)/empty", "")
  try writeFile("\(root)/executable", "#!/bin/sh\n")
  chmod("\(root)/executable", 0o755)
  try writeFile("\(root)/private", "secret")
  chmod("\(root)/private", 0o600)
  var path = root
  for level in 0..<12 {
    path += "/deep\(level)"
    _ = mkdir(path, 0o755)
  }
  try writeFile("\(path)/bottom", "down here")
  try writeFile("\(root)/large", (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
  symlink("executable", "\(root)/link")
  symlink("/etc/passwd", "\(root)/outside")
  mkfifo("\(root)/fifo", 0o644)
}
