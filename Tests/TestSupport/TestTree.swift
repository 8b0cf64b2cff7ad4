// A directory tree of a test's own, with the few file helpers the storage tests need. Sendable, so that a test can use it
// from a reactor's thread too.
internal import CLinux
internal import Glibc
internal import Reactor

/// A directory of its own for one test, removed with everything in it.
public final class TestTree: Sendable {
  public let path: String

  /// - Parameter parent: where; the default is a disk file system, not tmpfs.
  public init(in parent: String = "/tmp") {
    var template = Array("\(parent)/downbeat-test-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "mkdtemp in \(parent): \(Errno.last("mkdtemp"))")
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  deinit { removeTree(path) }

  /// What a directory holds, without `.` and `..`; empty if it cannot be read.
  public static func names(_ path: String) -> [String] {
    guard let stream = opendir(path) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  public func write(_ name: String, _ text: String) { write(name, Array(text.utf8)) }

  /// Creates missing directories on the way.
  public func write(_ name: String, _ bytes: [UInt8]) {
    let full = "\(path)/\(name)"
    if let slash = full.lastIndex(of: "/") { Self.makeDirectories(String(full[..<slash])) }
    let fd = open(full, O_CREAT | O_WRONLY | O_TRUNC, 0o644)
    precondition(fd >= 0, "\(Errno.last("open \(full)"))")
    defer { close(fd) }
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(fd, $0.baseAddress! + done, bytes.count - done) }
      precondition(count > 0, "\(Errno.last("write \(full)"))")
      done += count
    }
  }

  public static func makeDirectories(_ path: String) {
    var prefix = ""
    for part in path.split(separator: "/") {
      prefix += "/\(part)"
      _ = mkdir(prefix, 0o755)
    }
  }

  /// The bytes of a file, nil if it cannot be opened.
  public func read(_ name: String) -> [UInt8]? { Self.read("\(path)/\(name)") }

  public static func read(_ path: String) -> [UInt8]? {
    let fd = open(path, O_RDONLY)
    guard fd >= 0 else { return nil }
    defer { close(fd) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(fd, &block, block.count)
      if count <= 0 { return bytes }
      bytes.append(contentsOf: block[..<count])
    }
  }

  /// Paths of all regular files below `path`, relative to it, sorted.
  public func files() -> [String] {
    var found: [String] = []
    func walk(_ prefix: String) {
      for name in Self.names("\(path)/\(prefix)") {
        var status = stat()
        guard lstat("\(path)/\(prefix)\(name)", &status) == 0 else { continue }
        if status.st_mode & S_IFMT == S_IFDIR { walk("\(prefix)\(name)/") } else { found.append("\(prefix)\(name)") }
      }
    }
    walk("")
    return found.sorted()
  }
}

/// Descriptors of this process whose file is below `path`: other tests' are elsewhere.
public func openFiles(under path: String) -> [String] {
  TestTree.names("/proc/self/fd").compactMap { number in
    var bytes = [CChar](repeating: 0, count: 4_096)
    let count = readlink("/proc/self/fd/\(number)", &bytes, bytes.count)
    guard count > 0 else { return nil }
    let target = String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return target.hasPrefix(path) ? target : nil
  }
}

/// Threads of this process, or descriptors, by /proc.
public func entries(_ directory: String) -> [String] {
  guard let handle = opendir(directory) else { return [] }
  defer { closedir(handle) }
  var names: [String] = []
  while let entry = readdir(handle) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names
}
