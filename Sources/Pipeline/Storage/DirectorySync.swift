// fsync of directories, shared: whoever asks while a sync of the same directory runs waits for the next one, and all who
// wait by then share it. With many files going into one directory that is one journal commit for many renames.
//
// Invariant: the sync that answers a caller was begun after the caller asked, so it covers the caller's rename.
internal import CLinux
internal import Glibc
internal import Reactor

/// - Thread: the worker's.
final class DirectorySync {
  private enum Role: Sendable {
    case lead
    case answered(Int32)
  }

  /// Syncs carried out, for tests.
  private(set) var syncCount = 0
  private let location: FileLocation
  private let files: any FileOperations
  /// Directories being synced, with those who wait for the next time.
  private var waiting: [[UInt8]: [UnsafeContinuation<Role, Never>]] = [:]

  init(location: FileLocation, files: any FileOperations) {
    self.location = location
    self.files = files
  }

  /// - Parameter directory: relative to the location's root.
  /// - Returns: 0 or the negative errno.
  func sync(_ directory: [UInt8]) async -> Int32 {
    if waiting[directory] != nil {
      // Unsafe in that a lost continuation goes unnoticed: `lead` answers or promotes each one it takes.
      let role = await withUnsafeContinuation { (waiter: UnsafeContinuation<Role, Never>) in
        if waiting[directory] == nil {
          // The running sync ended before this body ran.
          waiting[directory] = []
          waiter.resume(returning: .lead)
        } else {
          waiting[directory]!.append(waiter)
        }
      }
      if case .answered(let value) = role { return value }
    } else {
      waiting[directory] = []
    }
    return await lead(directory)
  }

  private func lead(_ directory: [UInt8]) async -> Int32 {
    var value: Int32
    var sharing: [UnsafeContinuation<Role, Never>] = []
    switch await files.openBeneath(location.root.raw, directory, flags: O_RDONLY | O_DIRECTORY) {
    case .failure(let failure): value = -failure.code
    case .success(let file):
      swap(&sharing, &waiting[directory]!)
      syncCount += 1
      value = await files.sync(file.fd)
      // File systems that cannot sync a directory (some network ones) have no stronger promise to give.
      if value == -EINVAL || value == -EOPNOTSUPP { value = 0 }
    }
    for waiter in sharing { waiter.resume(returning: .answered(value)) }
    if waiting[directory]!.isEmpty {
      waiting[directory] = nil
    } else {
      waiting[directory]!.removeFirst().resume(returning: .lead)
    }
    return value
  }
}
