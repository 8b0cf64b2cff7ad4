internal import CLinux
internal import Glibc

/// An extended attribute as text; nil if the file has none of that name, or is not there.
public func extendedAttribute(_ name: String, of path: String) -> String? {
  var bytes = [UInt8](repeating: 0, count: 4_096)
  let count = getxattr(path, name, &bytes, bytes.count)
  return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
}
