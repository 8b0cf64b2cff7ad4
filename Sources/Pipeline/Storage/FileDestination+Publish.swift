// The moment a copy gets its name: record durable, rename, directory durable. And the sidecar files, where records cannot
// be attributes.
internal import CLinux
internal import Glibc
internal import PipelineCore
internal import Reactor
internal import Synchronization

extension FileDestination {
  /// Gives the filled temporary file its name, wherever that is by now.
  /// - Returns: anything but `written`: another writer was faster, and the temporary file is still there.
  func publish(
    _ temporary: TemporaryFile, _ request: ObjectRequest, _ info: ObjectInfo, _ md5: MD5Digest, _ first: Place
  ) async throws(StoreError) -> PutOutcome {
    var place = first
    var record = CopyRecord(request, info, md5: md5, copy: try describe(fd: temporary.file.fd, temporary.target, info))
    var recorded: CopyRecord?
    for _ in 0..<Self.placementTriesMax {
      record.isDisplaced = place.isDisplaced
      if place.isDisplaced { try await markDisplaced() }
      // Before it is synced: displacing or making directories changes what the record says.
      let directory = try await place.directory.orMake { () async throws(StoreError) in try await makeDirectory(place.path.parent) }
      if recorded != record {
        if !(try await syncWithAttributes(temporary.file, record, request, temporary.target)) {
          try await writeSidecar(request, place, record)
        }
        recorded = record
      }
      if try await rename(temporary, to: directory, place) {
        try await makeDurable(place.path.parent)
        return .written(CopyReceipt(bytes: info.size, md5: md5))
      }
      // Somebody changed the tree meanwhile: look again, and judge what is there now by the same rules.
      place = try await find(request, first.object)
      switch try judge(request, info, place) {
      case .write: break
      case .answer(let outcome):
        // Another writer of ours: this location's replay, or the partition's other owner. It may not have synced yet.
        try await makeDurable(place.path.parent)
        return outcome
      case .compare:
        // The bytes to compare with are used up.
        throw StoreError(
          .busy, isRetryable: true, "\(location.fullPath(place.path.bytes)): appeared while it was copied; the next attempt compares it")
      }
    }
    throw StoreError(.busy, isRetryable: true, "\(location.fullPath(first.path.bytes)): changes all the time")
  }

  /// - Returns: false if the place is no longer as it was found.
  private func rename(_ temporary: TemporaryFile, to directory: OpenFile, _ place: Place) async throws(StoreError) -> Bool {
    let name = place.path.name
    var noReplace = false
    switch place.found {
    case .nothing:
      noReplace = !location.lacksNoReplace.load(ordering: .relaxed)
      if !noReplace, case .success = await files.status(directory.fd, name) { return false }
    case .file(let file):
      guard case .success(let now) = await files.status(directory.fd, name), now.isSameState(as: file.stat) else { return false }
    case .other(let stat):
      guard case .success(let now) = await files.status(directory.fd, name), now.inode == stat.inode else { return false }
    }
    let value = await files.rename(location.temporaryFD, temporary.name, to: directory.fd, name, noReplace: noReplace)
    switch -value {
    case 0: return true
    case EINVAL where noReplace:
      location.lacksNoReplace.store(true, ordering: .relaxed)
      return false
    case EEXIST, EISDIR, ENOTEMPTY, ENOENT, ENOTDIR: return false
    default: throw targetError(-value, "renameat", place.path.bytes)
    }
  }

  // MARK: Sidecars

  /// Durable before the rename it describes; names the states the place may have now as well.
  func writeSidecar(_ request: ObjectRequest, _ place: Place, _ record: CopyRecord) async throws(StoreError) {
    var present: CopyRecord?
    if case .file(let file) = place.found, case .ours(let record) = file.state { present = record }
    let metadata = request.attributes.isEmpty ? nil : request.attributes.json
    try await writeSidecar(place.object, record, metadata, beside: present)
  }

  /// - Parameter beside: what the object's place holds now, if it is another copy.
  func writeSidecar(
    _ object: ObjectPath, _ record: CopyRecord, _ metadata: JSONValue?, beside present: CopyRecord? = nil
  ) async throws(StoreError) {
    let lock = try await lockSidecars(beside: object)
    defer { lock?.release() }
    // Those it names already: another writer may be about to rename, or have just done so.
    var copies = records.copies(object).filter { $0 != record }
    if let present, present != record, !copies.contains(present) { copies.append(present) }
    copies = copies.suffix(CopyRecords.statesMax - 1) + [record]
    try await writeSidecar(object, CopyRecords.sidecarJSON(object, CopyRecords.Sidecar(copies: copies, metadata: metadata), "COMPLETED"))
  }

  private func writeSidecar(_ object: ObjectPath, _ bytes: [UInt8]) async throws(StoreError) {
    // Only with the help of a sidecar that somebody else wrote: ours are bounded.
    guard bytes.count <= CopyRecords.sidecarBytesMax else {
      throw StoreError(
        .targetRefused, isRetryable: false, "\(location.fullPath(object.bytes)): \(bytes.count) bytes to keep beside the copy are too many")
    }
    location.hasSidecars.store(true, ordering: .relaxed)
    let path = CopyRecords.sidecarPath(object)
    let directory = try await makeDirectory(parentDirectory(path))
    let name = location.temporaryName()
    let temporary: OpenFile
    switch await files.openBeneath(location.temporaryFD, name, flags: O_CREAT | O_EXCL | O_WRONLY, mode: 0o600) {
    case .success(let file): temporary = file
    case .failure(let failure): throw targetError(failure.code, "openat2", path)
    }
    do throws(StoreError) {
      let block = await pool.take()
      block.bytes.copyBytes(from: bytes)
      block.count = bytes.count
      let chain = files.request()
      chain.hold(temporary)
      chain.write(temporary.fd, from: block.filled, at: 0, keep: block)
      chain.sync(temporary.fd)
      await files.perform(chain)
      let values = [chain.value(0), chain.value(1)]
      files.recycle(chain)
      guard values[0] == Int32(bytes.count), values[1] == 0 else {
        throw targetError(values[0] < 0 ? -values[0] : (values[1] < 0 && values[1] != -ECANCELED ? -values[1] : ENOSPC), "write", path)
      }
      let value = await files.rename(location.temporaryFD, name, to: directory.fd, lastComponent(path), noReplace: false)
      guard value == 0 else { throw targetError(-value, "renameat", path) }
    } catch {
      _ = await files.unlink(location.temporaryFD, name)
      throw error
    }
    try await makeDurable(parentDirectory(path))
  }

  /// After a change of the record alone (a copy that moved).
  func rewriteRecord(_ file: OpenFile, _ record: CopyRecord, _ object: ObjectPath) async throws(StoreError) {
    let bytes = record.json.bytes
    if !location.refusesAttributes.load(ordering: .relaxed), bytes.count <= CopyRecords.attributeBytesMax,
      await files.setAttribute(file.fd, CopyRecord.attributeName, bytes) == 0
    {
      let value = await files.sync(file.fd)
      guard value == 0 else { throw targetError(-value, "fsync", object.bytes) }
    } else {
      try await writeSidecar(object, record, records.metadata(file.fd, object, record).json)
    }
  }
}

extension Optional where Wrapped == OpenFile {
  func orMake(_ make: () async throws(StoreError) -> OpenFile) async throws(StoreError) -> OpenFile {
    if let self { return self }
    return try await make()
  }
}
