// A directory tree as a location that objects are copied to.
//
// A copy is written under a temporary name in `.downbeat/tmp` (same file system), made complete there (bytes, permission
// bits, time, record), synced, and only then renamed to its name, whose directory is synced before anybody is told. At no
// moment has a reader a partial file under an object's name, and no error leaves anything behind.
// What may be overwritten is decided by the record of the copy (CopyRecord), and once more right before the rename.
//
// Steps are in extensions: +Find (what is there), +Directories, +Write (temporary file), +Adopt, +Publish, +Update (metadata),
// +Remove.
internal import CLinux
internal import Glibc
public import Reactor

public final class FileDestination: ObjectDestination {
  /// Writes of one object in flight.
  static let writesMax = 4
  /// How often a placement is tried that somebody else's change of the tree made impossible.
  static let placementTriesMax = 6

  let location: FileLocation
  let files: any FileOperations
  let pool: BlockPool
  let syncs: DirectorySync
  let records: CopyRecords
  var digests = MD5Pool()

  /// - Parameter location: opened by `FileLocation.openTarget`.
  public init(location: FileLocation, files: any FileOperations, pool: BlockPool) {
    precondition(location.temporaryFD >= 0, "a source cannot be written to")
    self.location = location
    self.files = files
    self.pool = pool
    syncs = DirectorySync(location: location, files: files)
    records = CopyRecords(location: location)
  }

  public func put(_ asked: ObjectRequest, _ body: any ObjectBody, _ look: (any TargetLook)?) async throws(StoreError) -> PutOutcome {
    let request = Self.completed(asked, by: body)
    try request.checkKeepable()
    let path = try location.objectPath(bucket: request.bucket, key: request.key)
    let place = try await find(request, path)
    switch try judge(request, body.info, place) {
    case .answer(let outcome):
      if case .alreadyThere = outcome, let followed = try await followPermissions(body.info, place) { return followed }
      return try await refresh(request, place) ?? outcome
    case .compare(let file): return try await adopt(request, body, place, file)
    case .write: return try await write(request, body, place)
    }
  }

  /// What the entry does not say of the object, its source does.
  private static func completed(_ asked: ObjectRequest, by body: any ObjectBody) -> ObjectRequest {
    let attributes = (asked.attributes.isEmpty ? body.attributes ?? asked.attributes : asked.attributes)
    guard body.md5 != nil || !attributes.isEmpty else { return asked }
    var request = asked
    request.md5 = asked.md5 ?? body.md5
    request.attributes = attributes.withoutStatuses
    return request
  }

  private func write(_ request: ObjectRequest, _ body: any ObjectBody, _ place: Place) async throws(StoreError) -> PutOutcome {
    let temporary = try await makeTemporary(place)
    do throws(StoreError) {
      let md5 = try await fill(temporary, request, body)
      let outcome = try await publish(temporary, request, body.info, md5, place)
      if case .written = outcome { return outcome }
      _ = await files.unlink(location.temporaryFD, temporary.name)
      return outcome
    } catch {
      // Also after a rename: then the name is gone and the copy stays, which the next attempt finds.
      _ = await files.unlink(location.temporaryFD, temporary.name)
      throw error
    }
  }

  // MARK: What may be done

  enum Judgement {
    case answer(PutOutcome)
    /// Not ours, but possibly equal.
    case compare(TargetFile)
    case write
  }

  /// The rules of who may be overwritten (contract 2 and 7).
  func judge(_ request: ObjectRequest, _ info: ObjectInfo, _ place: Place) throws(StoreError) -> Judgement {
    switch place.found {
    case .nothing: return .write
    case .other:
      guard request.force else { throw occupied(place) }
      return .write
    case .file(let file):
      switch file.state {
      case .ours(let record):
        if record.isOf(request, info) { return .answer(.alreadyThere(record.receipt)) }
        return record.isNewer(than: request) ? .answer(.newerThere) : .write
      case .changed, .foreign:
        if request.force { return .write }
        guard file.stat.size == info.size else { throw refusal(file, place) }
        return .compare(file)
      }
    }
  }

  func refusal(_ file: TargetFile, _ place: Place) -> StoreError {
    guard case .changed = file.state else { return occupied(place) }
    return StoreError(
      .targetChanged, isRetryable: false,
      "\(location.fullPath(place.path.bytes)): the copy was changed since it was made; keep it by renaming it, or overwrite it with --force")
  }

  func occupied(_ place: Place) -> StoreError {
    StoreError(
      .targetOccupied, isRetryable: false,
      "\(location.fullPath(place.path.bytes)): something that is no copy of ours has this name; move it away, or overwrite it with --force")
  }

  // MARK: Helpers of the steps

  func targetError(_ code: Int32, _ call: String, _ path: [UInt8]) -> StoreError { .target(code, call, location.fullPath(path)) }
}
