// One daemon a state directory: an exclusive lock on a file in it, held by the process and gone with it, however it ends.
internal import CLinux
internal import Glibc
internal import Reactor

final class StateDirectoryLock {
  private let fd: OwnedFD

  /// Makes the directory when missing and takes the lock.
  /// - Blocking: a few system calls.
  /// - Errors: naming the directory and what to do.
  init(_ directory: String) throws(NodeFailure) {
    try StateDirectory.make(directory)
    let path = "\(directory)/lock"
    let raw = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard raw >= 0 else { throw NodeFailure("state directory \(directory): \(Errno.last("open \(path)"))") }
    fd = OwnedFD(adopting: raw)
    guard flock(fd.raw, LOCK_EX | LOCK_NB) == 0 else {
      throw NodeFailure("state directory \(directory) is in use by another downbeat: end it, or choose another --state-dir")
    }
  }
}

enum StateDirectory {
  /// Makes a directory and those above it.
  /// - Blocking: a few system calls. - Errors: naming the one that cannot be made.
  static func make(_ path: String) throws(NodeFailure) {
    var prefix = ""
    for part in path.split(separator: "/") {
      prefix += "/\(part)"
      if mkdir(prefix, 0o755) != 0, errno != EEXIST {
        throw NodeFailure("state directory \(path): \(Errno.last("mkdir \(prefix)")); create it, or name another with --state-dir")
      }
    }
  }
}
