// Directories of a target: made when an object needs them, made durable with it, removed when the last copy left. A copy
// of ours whose name has become a directory's moves to its displaced name.
internal import CLinux
internal import Glibc
internal import Reactor
internal import Synchronization

extension FileDestination {
  /// Opens a directory, making what is missing. Permissions are what the umask lets pass.
  func makeDirectory(_ directory: [UInt8]) async throws(StoreError) -> OpenFile {
    for _ in 0..<Self.placementTriesMax {
      switch await files.openBeneath(location.root.raw, directory, flags: O_PATH | O_DIRECTORY) {
      case .success(let file): return file
      case .failure(let failure) where failure.code == ENOENT && !directory.isEmpty:
        let upper = try await makeDirectory(parentDirectory(directory))
        // First in the list, then on disk: nobody may use it and not know that it is fresh.
        location.beginFresh(directory)
        let made = await files.makeDirectory(upper.fd, lastComponent(directory), mode: 0o777)
        location.endFresh(directory, isMade: made == 0 || made == -EEXIST)
        // EEXIST: somebody else just made it, or a dangling link or file has the name, which the next open tells.
        guard made == 0 || made == -EEXIST || made == -ENOENT else { throw targetError(-made, "mkdirat", directory) }
      case .failure(let failure) where failure.code == ENOTDIR: try await displaceFile(onTheWayTo: directory)
      case .failure(let failure): throw targetError(failure.code, "openat2", directory)
      }
    }
    throw StoreError(.busy, isRetryable: true, "\(location.fullPath(directory)): is removed and made again all the time")
  }

  /// A regular file has the name of a directory that is needed. If it is a copy of ours it takes its displaced name.
  private func displaceFile(onTheWayTo directory: [UInt8]) async throws(StoreError) {
    for prefix in ancestors(of: directory) {
      guard case .success(let file) = await files.openBeneath(location.root.raw, prefix, flags: O_RDONLY),
        case .success(let stat) = await files.status(file.fd), !stat.isDirectory
      else { continue }
      let path = ObjectPath(prefix)
      guard stat.isRegular, let displaced = displacedPath(of: path), case .ours(var record) = records.state(file.fd, stat, path) else {
        throw StoreError(
          .targetOccupied, isRetryable: false,
          "\(location.fullPath(prefix)): a file that is no copy of ours stands where a directory must be; move it away")
      }
      try await markDisplaced()
      record.isDisplaced = true
      try await rewriteRecord(file, record, path)
      try await move(path, to: displaced, file)
      return
    }
  }

  private func move(_ path: ObjectPath, to displaced: ObjectPath, _ file: OpenFile) async throws(StoreError) {
    let from = try await makeDirectory(path.parent)
    // A long name gets one component more with its suffix.
    let to = displaced.parent == path.parent ? from : try await makeDirectory(displaced.parent)
    let value = await files.rename(from.fd, path.name, to: to.fd, displaced.name, noReplace: false)
    // ENOENT: somebody else has moved it meanwhile.
    guard value == 0 || value == -ENOENT else { throw targetError(-value, "renameat", path.bytes) }
    try await makeDurable(displaced.parent)
  }

  /// The displaced name of whatever object a file is the copy of; nil if it is none's.
  func displacedPath(of path: ObjectPath) -> ObjectPath? {
    let (bucket, key): (String?, String)
    switch location.layout.naming {
    case .verbatim: return ObjectPath(path.bytes + KeyPath.displacedSuffix)
    case .mapped:
      guard let object = KeyPath.object(at: path.bytes, hasBucket: location.layout.bucketInPath), !object.isDisplaced else { return nil }
      (bucket, key) = (object.bucket, object.key)
    }
    do throws(KeyPathError) {
      return try KeyPath.path(bucket: bucket, key: key, isDisplaced: true)
    } catch {
      return nil
    }
  }

  /// From now on, and after a restart, displaced names are looked for.
  func markDisplaced() async throws(StoreError) {
    guard !location.hasDisplaced.load(ordering: .relaxed) else { return }
    let mark = FileLocation.displacedMark
    switch await files.openBeneath(location.root.raw, mark, flags: O_CREAT | O_WRONLY, mode: 0o600) {
    case .failure(let failure): throw targetError(failure.code, "openat2", mark)
    case .success(let file):
      let value = await files.sync(file.fd)
      guard value == 0 else { throw targetError(-value, "fsync", mark) }
    }
    try await makeDurable(parentDirectory(mark))
    location.hasDisplaced.store(true, ordering: .relaxed)
  }

  /// Syncs the directory, and the directories of every name on the way to it that is not known to be durable.
  func makeDurable(_ directory: [UInt8]) async throws(StoreError) {
    let fresh = location.freshOnTheWay(to: directory)
    let value = await syncs.sync(directory)
    guard value == 0 else { throw targetError(-value, "fsync", directory) }
    for (made, mark) in fresh {
      let parent = parentDirectory(made)
      let value = await syncs.sync(parent)
      guard value == 0 else { throw targetError(-value, "fsync", parent) }
      location.removeFresh(made, mark)
    }
  }

  /// Removes directories that are empty now, from `directory` upwards.
  /// - Returns: the first that stayed; its entries have changed.
  func prune(_ directory: [UInt8]) async throws(StoreError) -> [UInt8] {
    var directory = directory
    while !directory.isEmpty {
      let parent = parentDirectory(directory)
      guard case .success(let upper) = await files.openBeneath(location.root.raw, parent, flags: O_PATH | O_DIRECTORY),
        await files.unlink(upper.fd, lastComponent(directory), isDirectory: true) == 0
      else { break }
      if location.hasDisplaced.load(ordering: .relaxed) { try await reinstate(ObjectPath(directory), upper) }
      directory = parent
    }
    return directory
  }

  /// A directory has gone: the copy that had to give way to it takes its own name again.
  private func reinstate(_ path: ObjectPath, _ directory: OpenFile) async throws(StoreError) {
    guard let displaced = displacedPath(of: path), displaced.parent == path.parent,
      case .success(let file) = await files.openBeneath(directory.fd, displaced.name, flags: O_RDONLY),
      case .success(let stat) = await files.status(file.fd), stat.isRegular,
      case .ours(var record) = records.state(file.fd, stat, path), record.isDisplaced
    else { return }
    guard await files.rename(directory.fd, displaced.name, to: directory.fd, path.name, noReplace: true) == 0 else { return }
    record.isDisplaced = false
    try await rewriteRecord(file, record, path)
  }
}
