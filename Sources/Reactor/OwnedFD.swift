// A file descriptor with one owner: closed exactly once, when its owner goes.
internal import CLinux
internal import Glibc

public struct OwnedFD: ~Copyable, Sendable {
  public let raw: Int32

  /// - Precondition: `adopting` is open and nobody else will close it.
  public init(adopting: Int32) {
    precondition(adopting >= 0, "adopting a closed descriptor")
    raw = adopting
  }

  /// Gives the descriptor away: the caller closes it.
  public consuming func release() -> Int32 {
    let fd = raw
    discard self
    return fd
  }

  deinit {
    // close(2) on Linux frees the number even when it answers EINTR or EIO; trying again could close somebody else's.
    _ = close(raw)
  }
}
