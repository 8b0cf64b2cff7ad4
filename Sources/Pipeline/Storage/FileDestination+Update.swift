// Metadata, tags and permission bits of a copy brought up to date without its bytes. The copy stays what it was: the same
// version, unchanged since.
//
// Metadata and tags are in one place at a time (CopyRecords.Metadata), replaced in one step and synced: after a crash the old or the new
// ones are there, and the entry, not committed, comes again.
internal import CLinux
internal import Glibc
internal import PipelineCore
internal import Reactor
internal import Synchronization

extension FileDestination {
  public func update(_ request: ObjectRequest) async throws(StoreError) -> PutOutcome? {
    // Without versions only the source can tell whether the copy is of the state the entry speaks of.
    guard request.versionId != nil else { return nil }
    try request.checkKeepable()
    let place = try await find(request, try location.objectPath(bucket: request.bucket, key: request.key))
    guard case .file(let file) = place.found, case .ours(let record) = file.state else { return nil }
    guard record.versionId == request.versionId else { return record.isNewer(than: request) ? .newerThere : nil }
    if let md5 = request.md5, md5 != record.md5 { return nil }
    return try await refresh(request, place) ?? .alreadyThere(record.receipt)
  }

  /// What an entry of metadata or tags is about, where the copy itself is as it should be. An entry of the whole changes nothing:
  /// it may be a redelivery, and later metadata be there already.
  /// - Returns: nil if there is nothing to change.
  func refresh(_ request: ObjectRequest, _ place: Place) async throws(StoreError) -> PutOutcome? {
    guard request.extent != .whole, case .file(let file) = place.found, case .ours(let record) = file.state,
      record.versionId == request.versionId
    else { return nil }
    let wanted = request.attributes.withoutStatuses.json
    let present = records.metadata(file.file.fd, place.object, record)
    guard present.json ?? ObjectAttributes().json != wanted else {
      // Written by an attempt that may have ended before they were durable.
      try await syncMetadata(file.file, present, place)
      return nil
    }
    let isAttribute = if case .sidecar = present { false } else { try await setMetadata(file.file, wanted.bytes, place.path.bytes) }
    if !isAttribute { try await writeSidecar(place.object, record, wanted) }
    return .written(record.receipt)
  }

  /// Permission bits that the source's file has been given since it was copied (chmod changes neither size nor time).
  /// - Returns: nil if there is nothing to change.
  func followPermissions(_ info: ObjectInfo, _ place: Place) async throws(StoreError) -> PutOutcome? {
    guard case .file(let file) = place.found, case .ours(var record) = file.state, let bits = info.permissions, record.hasOther(permissions: bits)
    else { return nil }
    guard fchmod(file.file.fd, mode_t(bits & 0o777)) == 0 else { throw targetError(errno, "fchmod", place.path.bytes) }
    // The bits are durable before the record that says so.
    let value = await files.sync(file.file.fd)
    guard value == 0 else { throw targetError(-value, "fsync", place.path.bytes) }
    record.permissions = bits & 0o777
    try await rewriteRecord(file.file, record, place.object)
    return .written(record.receipt)
  }

  private func syncMetadata(_ file: OpenFile, _ present: CopyRecords.Metadata, _ place: Place) async throws(StoreError) {
    if case .sidecar = present { return try await makeDurable(parentDirectory(CopyRecords.sidecarPath(place.object))) }
    let value = await files.sync(file.fd)
    guard value == 0 else { throw targetError(-value, "fsync", place.path.bytes) }
  }

  /// - Returns: false if the attribute is refused or does not fit.
  private func setMetadata(_ file: OpenFile, _ value: [UInt8], _ path: [UInt8]) async throws(StoreError) -> Bool {
    guard !location.refusesAttributes.load(ordering: .relaxed) else { return false }
    let chain = files.request()
    chain.hold(file)
    guard chain.hasRoom(forAttribute: ObjectAttributes.attributeName, value) else {
      files.recycle(chain)
      return false
    }
    chain.setAttribute(file.fd, ObjectAttributes.attributeName, value)
    chain.sync(file.fd)
    await files.perform(chain)
    let (set, synced) = (chain.value(0), chain.value(1))
    files.recycle(chain)
    guard judgeAttributes(set) else { return false }
    guard synced == 0 else { throw targetError(-synced, "fsync", path) }
    return true
  }
}
