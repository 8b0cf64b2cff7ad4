// A directory of a test's own, filled with real files and removed with the object.
import CLinux
import Glibc
import Reactor
import TestSupport

final class TempTree {
  let path: String

  init(_ label: String = "tree", under parent: String = "/tmp") {
    var template = Array("\(parent)/downbeat-\(label)-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "\(Errno.last("mkdtemp"))")
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  deinit { removeTree(path) }

  func full(_ relative: String) -> String { relative.isEmpty ? path : path + "/" + relative }

  /// Makes the directories on the way too.
  @discardableResult
  func directory(_ relative: String) -> String {
    var made = path
    for part in relative.split(separator: "/") {
      made += "/" + part
      precondition(mkdir(made, 0o755) == 0 || errno == EEXIST, "\(Errno.last("mkdir \(made)"))")
    }
    return made
  }

  @discardableResult
  func file(_ relative: String, _ content: String = "content") -> String { file(relative, bytes: Array(content.utf8)) }

  @discardableResult
  func file(_ relative: String, bytes: [UInt8]) -> String {
    if let slash = relative.lastIndex(of: "/") { directory(String(relative[..<slash])) }
    Self.write(full(relative), bytes)
    return full(relative)
  }

  func link(_ relative: String, to target: String) {
    precondition(symlink(target, full(relative)) == 0, "\(Errno.last("symlink"))")
  }

  func remove(_ relative: String) { removeTree(full(relative)) }

  func rename(_ from: String, _ to: String) {
    precondition(Glibc.rename(full(from), full(to)) == 0, "\(Errno.last("rename"))")
  }

  func exists(_ relative: String) -> Bool { access(full(relative), F_OK) == 0 }

  func read(_ relative: String) -> [UInt8]? {
    let fd = open(full(relative), O_RDONLY)
    guard fd >= 0 else { return nil }
    defer { close(fd) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(fd, &block, block.count)
      if count <= 0 { return bytes }
      bytes += block[..<count]
    }
  }

  static func write(_ path: String, _ bytes: [UInt8]) {
    let fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    precondition(fd >= 0, "\(Errno.last("open \(path)"))")
    defer { close(fd) }
    precondition(Glibc.write(fd, bytes, bytes.count) == bytes.count, "\(Errno.last("write \(path)"))")
  }

  /// A directory read with readdir(3): an independent reading of what the code under test reads with getdents64.
  static func names(_ path: String) -> [[UInt8]] {
    guard let stream = opendir(path) else { return [] }
    defer { closedir(stream) }
    var names: [[UInt8]] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if name != Array(".".utf8), name != Array("..".utf8) { names.append(name) }
    }
    return names
  }
}
