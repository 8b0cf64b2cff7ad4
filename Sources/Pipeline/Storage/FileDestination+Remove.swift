// Delete markers: only a copy that is ours and unchanged is ever removed.
internal import CLinux
internal import Glibc
internal import Reactor
internal import Synchronization

extension FileDestination {
  public func remove(_ request: ObjectRequest) async throws(StoreError) -> RemoveOutcome {
    let object = try location.objectPath(bucket: request.bucket, key: request.key)
    let place = try await find(request, object)
    guard case .file(let file) = place.found, let directory = place.directory else { return .notThere }
    switch file.state {
    case .foreign: return .notOurs
    case .changed: throw refusal(file, place)
    case .ours(let record): if record.isNewer(than: request) { return .newerThere }
    }
    // Right before: what has been put there since it was looked at is not ours to remove.
    guard case .success(let now) = await files.status(directory.fd, place.path.name), now.isSameState(as: file.stat) else {
      throw refusal(TargetFile(file: file.file, stat: file.stat, state: .foreign), place)
    }
    let value = await files.unlink(directory.fd, place.path.name)
    guard value == 0 || value == -ENOENT else { throw targetError(-value, "unlinkat", place.path.bytes) }
    try await makeDurable(try await prune(place.path.parent))
    if location.hasSidecars.load(ordering: .relaxed) {
      // Left behind by a crash here, it describes a file that is not there: harmless.
      let sidecar = CopyRecords.sidecarPath(object)
      if case .success(let meta) = await files.openBeneath(location.root.raw, parentDirectory(sidecar), flags: O_PATH | O_DIRECTORY) {
        _ = await files.unlink(meta.fd, lastComponent(sidecar))
      }
    }
    return .removed
  }
}
