// A directory of a test's own, removed with everything in it when the test lets go of it.
internal import Glibc

public final class TemporaryDirectory {
  public let path: String

  public init() {
    var template = Array("/tmp/downbeat-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { preconditionFailure("mkdtemp: errno \(errno)") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Self.removeTree(path) }

  /// Never follows a link: `remove` takes the link itself, and only real directories are entered.
  private static func removeTree(_ path: String) {
    if remove(path) == 0 || errno == ENOENT { return }
    guard let stream = opendir(path) else { return }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    closedir(stream)
    for name in names { removeTree("\(path)/\(name)") }
    _ = remove(path)
  }
}
