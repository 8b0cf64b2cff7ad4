// What is at an object's place in the tree.
internal import CLinux
internal import Glibc
internal import Reactor
internal import Synchronization

extension FileDestination {
  /// A regular file under an object's name.
  struct TargetFile {
    let file: OpenFile
    let stat: FileStat
    let state: CopyState
  }

  enum Found {
    case nothing
    case file(TargetFile)
    /// A link, a device … whatever is no regular file and no directory.
    case other(FileStat)
  }

  /// Where an object's copy belongs, and what is there now.
  struct Place {
    /// The object's own path.
    let object: ObjectPath
    /// The path to use: the displaced one where the own name is a directory.
    let path: ObjectPath
    /// The directory `path` is in; nil if it does not exist yet.
    let directory: OpenFile?
    let found: Found

    var isDisplaced: Bool { path != object }
  }

  func find(_ request: ObjectRequest, _ object: ObjectPath) async throws(StoreError) -> Place {
    let own = try await look(object, object)
    switch own {
    case .place(let place):
      guard case .nothing = place.found, location.hasDisplaced.load(ordering: .relaxed) else { return place }
      // Its directory has gone since, but the copy may still have the name it had to take then.
      if case .place(let displaced) = try await lookDisplaced(request, object), case .file = displaced.found { return displaced }
      return place
    case .directory(let directory):
      // Empty directories are no objects: one of that name makes room.
      if await files.unlink(directory.fd, object.name, isDirectory: true) == 0 {
        return Place(object: object, path: object, directory: directory, found: .nothing)
      }
      guard case .place(let displaced) = try await lookDisplaced(request, object) else {
        throw targetError(EISDIR, "openat2", object.bytes)
      }
      return displaced
    }
  }

  private enum Looked {
    case place(Place)
    /// The name is a directory's; with the directory that is in.
    case directory(OpenFile)
  }

  private func lookDisplaced(_ request: ObjectRequest, _ object: ObjectPath) async throws(StoreError) -> Looked {
    let path = try location.objectPath(bucket: request.bucket, key: request.key, isDisplaced: true)
    let looked = try await look(path, object)
    // With verbatim names that name may be another object's own.
    guard case .place(let place) = looked, location.layout.naming == .verbatim, case .file(let file) = place.found,
      case .ours(let record) = file.state, !record.isDisplaced
    else { return looked }
    return .place(
      Place(
        object: object, path: path, directory: place.directory,
        found: .file(
          TargetFile(file: file.file, stat: file.stat, state: .foreign))))
  }

  /// - Parameters:
  ///   - path: where to look.
  ///   - object: whose copy it would be.
  private func look(_ path: ObjectPath, _ object: ObjectPath) async throws(StoreError) -> Looked {
    let directory: OpenFile
    switch await files.openBeneath(location.root.raw, path.parent, flags: O_PATH | O_DIRECTORY) {
    case .success(let file): directory = file
    // A file in the way is dealt with when the directory is made.
    case .failure(let failure) where failure.code == ENOENT || failure.code == ENOTDIR:
      return .place(Place(object: object, path: path, directory: nil, found: .nothing))
    case .failure(let failure): throw targetError(failure.code, "openat2", path.parent)
    }
    func place(_ found: Found) -> Looked { .place(Place(object: object, path: path, directory: directory, found: found)) }

    switch await files.openBeneath(directory.fd, path.name, flags: O_RDONLY) {
    case .failure(let failure) where failure.code == ENOENT: return place(.nothing)
    case .failure(let failure) where failure.code == ELOOP || failure.code == ENXIO || failure.code == ENODEV:
      switch await files.status(directory.fd, path.name) {
      case .success(let stat): return place(.other(stat))
      case .failure(let failure) where failure.code == ENOENT: return place(.nothing)
      case .failure(let failure): throw targetError(failure.code, "statx", path.bytes)
      }
    case .failure(let failure): throw targetError(failure.code, "openat2", path.bytes)
    case .success(let file):
      switch await files.status(file.fd) {
      case .failure(let failure): throw targetError(failure.code, "statx", path.bytes)
      case .success(let stat):
        if stat.isDirectory { return .directory(directory) }
        guard stat.isRegular else { return place(.other(stat)) }
        return place(.file(TargetFile(file: file, stat: stat, state: records.state(file.fd, stat, object))))
      }
    }
  }
}
