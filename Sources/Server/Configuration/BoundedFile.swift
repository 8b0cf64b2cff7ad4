// Reads a small file whole, with a bound.
//
// For the configuration, its neighbours and secret files, at start and on SIGHUP. Blocking, so never for data that
// is being replicated and never on the reactor's hot path.

internal import CLinux
internal import Glibc
internal import Reactor

/// Why a small file could not be read; `description` names the file.
struct BoundedFileError: Error, CustomStringConvertible {
  var description: String
}

enum BoundedFile {
  /// The bytes of a regular file.
  ///
  /// - Blocking: yes, on the disk. A FIFO or device is refused instead of waited for.
  /// - Errors: the file cannot be opened or read, is no regular file, or holds more than `bytesMax` bytes.
  static func read(_ path: String, bytesMax: Int) throws(BoundedFileError) -> [UInt8] {
    let fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard fd >= 0 else { throw BoundedFileError(description: "cannot open \(path): \(Errno.last("").reason)") }
    defer { close(fd) }
    var status = stat()
    guard fstat(fd, &status) == 0 else { throw BoundedFileError(description: "cannot read \(path): \(Errno.last("").reason)") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw BoundedFileError(description: "\(path) is not a regular file") }
    var bytes = [UInt8](repeating: 0, count: bytesMax + 1)
    var count = 0
    while count < bytes.count {
      let got = bytes.withUnsafeMutableBytes { Glibc.read(fd, $0.baseAddress! + count, $0.count - count) }
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw BoundedFileError(description: "cannot read \(path): \(Errno.last("").reason)") }
      if got == 0 { break }
      count += got
    }
    guard count <= bytesMax else { throw BoundedFileError(description: "\(path) is larger than \(bytesMax) bytes") }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  /// As `read`, for a file that must be UTF-8 text. A byte order mark at the front is dropped.
  static func readText(_ path: String, bytesMax: Int) throws(BoundedFileError) -> String {
    var bytes = try read(path, bytesMax: bytesMax)
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw BoundedFileError(description: "\(path) is not UTF-8 text")
    }
    return text
  }
}
