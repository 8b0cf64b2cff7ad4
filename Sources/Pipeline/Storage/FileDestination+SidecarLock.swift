// Reading a sidecar and writing it with one state more, as one step: of two writers that read the same states, the later would leave
// out what the earlier has added, and the earlier's copy would look like somebody's change. A location and its replays write beside
// each other, and so do two nodes with one tree.
//
// The lock is flock's, on the directory the sidecar is in: no file of its own, one of 256, gone with whoever held it. It is asked for
// without waiting in the kernel, for the thread has other copies to go on with. Where a file system has no such lock, writers are as
// far apart as they were: the states a sidecar names, not this, are what makes a copy ours.
internal import CLinux
internal import Glibc
internal import Reactor

/// Held until `release`, or until the last reference goes.
final class SidecarLock {
  private let directory: OpenFile

  fileprivate init(_ directory: OpenFile) { self.directory = directory }

  /// At once, where closing would wait for its turn.
  func release() { _ = flock(directory.fd, LOCK_UN) }
}

extension FileDestination {
  /// Sidecars of one directory are written in a few milliseconds each.
  static let sidecarLockTimeMax = Duration.seconds(10)
  static let sidecarLockRest = Duration.milliseconds(2)

  /// - Returns: nil where there is no such lock.
  /// - Errors: `busy` when another writer does not let go of it.
  func lockSidecars(beside object: ObjectPath) async throws(StoreError) -> SidecarLock? {
    let path = parentDirectory(CopyRecords.sidecarPath(object))
    _ = try await makeDirectory(path)
    guard case .success(let directory) = await files.openBeneath(location.root.raw, path, flags: O_RDONLY | O_DIRECTORY) else { return nil }
    let start = Instant.nowUncached()
    while flock(directory.fd, LOCK_EX | LOCK_NB) != 0 {
      guard errno == EWOULDBLOCK || errno == EINTR else { return nil }
      guard !Task.isCancelled, Instant.nowUncached() - start < Self.sidecarLockTimeMax else {
        throw StoreError(.busy, isRetryable: true, "\(location.fullPath(path)): another writer keeps it locked")
      }
      await Reactor.current?.pause(for: Self.sidecarLockRest)
    }
    return SidecarLock(directory)
  }
}
