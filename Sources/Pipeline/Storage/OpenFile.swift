// An open descriptor of a worker, closed through its file operations when the last user lets go of it. Requests in flight
// keep it, so a number can never be used again under them.
internal import CLinux
internal import Glibc
internal import Reactor

/// - Thread: the worker's.
final class OpenFile {
  let fd: Int32
  private let files: any FileOperations

  init(_ fd: Int32, _ files: any FileOperations) {
    self.fd = fd
    self.files = files
  }

  deinit { files.closeLater(fd) }
}

extension FileOperations {
  /// Bytes of a path given to the kernel at once; longer ones are walked in steps.
  private var pathStepMax: Int { 4_000 }

  /// openat2 below `directory`, never leaving it and following no link.
  /// - Returns: the file, or the errno.
  func openBeneath(_ directory: Int32, _ path: [UInt8], flags: Int32, mode: UInt32 = 0) async -> Result<OpenFile, FileCallFailure> {
    // openat2 refuses flags that mean nothing for a mere path.
    let common = flags & O_PATH != 0 ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK | O_NOCTTY
    var rest = path.isEmpty ? [UInt8(ascii: ".")] : path
    var base: OpenFile?
    while rest.count > pathStepMax {
      // Components have 255 bytes at most, so there is a slash in reach.
      let cut = rest[..<pathStepMax].lastIndex(of: UInt8(ascii: "/"))!
      let fd = await openAt(
        base?.fd ?? directory, Array(rest[..<cut]), flags: O_PATH | O_DIRECTORY | O_CLOEXEC, resolve: ResolveRule.beneath)
      guard fd >= 0 else { return .failure(FileCallFailure(code: -fd)) }
      base = OpenFile(fd, self)
      rest = Array(rest[(cut + 1)...])
    }
    let fd = await openAt(base?.fd ?? directory, rest, flags: flags | common, mode: mode, resolve: ResolveRule.beneath)
    guard fd >= 0 else { return .failure(FileCallFailure(code: -fd)) }
    return .success(OpenFile(fd, self))
  }
}
