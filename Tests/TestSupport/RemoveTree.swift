internal import CLinux
internal import Glibc

/// Removes a tree: links themselves and never what they point to, and only real directories are entered. Names are octets, which
/// need not be text. Failures show up as left-over files, no more.
public func removeTree(_ path: String) { removeTree(Array(path.utf8CString)) }

private func removeTree(_ path: [CChar]) {
  if remove(path) == 0 || errno == ENOENT { return }
  // A test may have taken the permission away (no effect on what is no directory, or not ours).
  if errno == ENOTEMPTY || errno == EEXIST { _ = chmod(path, 0o755) }
  guard let stream = opendir(path) else { return }
  var names: [[CChar]] = []
  while let entry = readdir(stream) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1)) }
    }
    if strcmp(name, ".") != 0 && strcmp(name, "..") != 0 { names.append(name) }
  }
  closedir(stream)
  for name in names { removeTree(path.dropLast() + [CChar(UInt8(ascii: "/"))] + name) }
  _ = remove(path)
}
