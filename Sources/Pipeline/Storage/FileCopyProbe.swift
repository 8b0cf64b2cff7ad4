// Cheap looks at the copies of a `file` location, for whoever lists a source: is there anything to do at all? Plain calls,
// no reactor; a wrong guess costs an entry that writes nothing.
//
// - Thread: any, one at a time for each probe. - Blocking: a few system calls for each question.
internal import CLinux
internal import Glibc
internal import Reactor
internal import Synchronization

/// What stands at the location for a source file of a given size and time.
public enum CopyCheck: Hashable, Sendable {
  case upToDate
  case missing
  /// Ours, of an earlier state of the source (or it could not be looked at).
  case stale
  /// Ours, changed by somebody since.
  case changed
  /// Not written by us.
  case foreign
}

public final class FileCopyProbe: CopyProbe {
  private let location: FileLocation
  private let records: CopyRecords
  /// Of the objects, where the location's paths do not name it.
  private let bucket: String

  /// - Parameter bucket: of all objects, if the location's layout has no bucket in its paths.
  public init(location: FileLocation, bucket: String) {
    self.location = location
    self.bucket = bucket
    records = CopyRecords(location: location)
  }

  public func check(bucket: String, key: String, size: Int64, modifiedNs: Int64, permissions: UInt32? = nil) -> CopyCheck {
    switch look(bucket, key) {
    case .nothing: return .missing
    case .unknown: return .stale
    case .file(.foreign): return .foreign
    case .file(.changed): return .changed
    case .file(.ours(let record)):
      let isSame = record.sourceSize == size && record.sourceModifiedNs == modifiedNs && !record.hasOther(permissions: permissions)
      return isSame ? .upToDate : .stale
    }
  }

  // MARK: CopyProbe

  public func isUpToDate(bucket: String, key: String, file: WalkedFile) -> Bool {
    check(bucket: bucket, key: key, size: file.size, modifiedNs: file.modifiedNs, permissions: file.permissions) == .upToDate
  }

  public func hasCopy(of object: ObjectName) -> Bool {
    if case .file(.ours) = look(object.bucket, object.key) { true } else { false }
  }

  public func path(ofCopyOf object: ObjectName) -> String? {
    guard let own = ownPath(object) else { return nil }
    return (displaced(object, own)?.path ?? own).text
  }

  public func object(ofCopyAt path: String) -> ObjectName? {
    let bytes = Array(path.utf8)
    guard !bytes.isEmpty, bytes.prefix(FileLocation.ownName.count + 1) != (FileLocation.ownName + [UInt8(ascii: "/")])[...],
      let named = name(at: bytes)
    else { return nil }
    // The sidecar of a displaced copy is named after the object's own path.
    guard case .file(.ours(let record)) = look(at: bytes, object: named.own), record.isDisplaced == named.isDisplaced else { return nil }
    return named.object
  }

  public func recordedMD5(ofCopyAt path: String) -> MD5Digest? {
    let bytes = Array(path.utf8)
    guard let named = name(at: bytes), case .file(.ours(let record)) = look(at: bytes, object: named.own) else { return nil }
    return record.md5
  }

  private func name(at path: [UInt8]) -> (object: ObjectName, own: ObjectPath, isDisplaced: Bool)? {
    switch location.layout.naming {
    case .mapped:
      guard let found = KeyPath.object(at: path, hasBucket: location.layout.bucketInPath) else { return nil }
      let object = ObjectName(bucket: found.bucket ?? bucket, key: found.key)
      return ownPath(object).map { (object, $0, found.isDisplaced) }
    case .verbatim:
      let isDisplaced = path.suffix(3) == KeyPath.displacedSuffix[...] && displacedIsOurs(path)
      let parts = (isDisplaced ? path.dropLast(3) : path[...]).split(
        separator: UInt8(ascii: "/"), maxSplits: location.layout.bucketInPath ? 1 : 0, omittingEmptySubsequences: false)
      guard let key = String(validating: parts[parts.count - 1], as: UTF8.self) else { return nil }
      let inPath = parts.count > 1 ? String(decoding: parts[0], as: UTF8.self) : bucket
      let object = ObjectName(bucket: inPath, key: key)
      return ownPath(object).map { (object, $0, isDisplaced) }
    }
  }

  private func displacedIsOurs(_ path: [UInt8]) -> Bool {
    if case .file(.ours(let record)) = look(at: path, object: ObjectPath(Array(path.dropLast(3)))) { record.isDisplaced } else { false }
  }

  private func ownPath(_ object: ObjectName) -> ObjectPath? {
    do throws(StoreError) {
      return try location.objectPath(bucket: object.bucket, key: object.key)
    } catch {
      return nil
    }
  }

  // MARK: Looking

  private enum Found {
    case nothing
    case unknown
    case file(CopyState)
  }

  private func look(_ bucket: String, _ key: String) -> Found {
    // An object that can have no file here fails when it is copied, and says why.
    guard let own = ownPath(ObjectName(bucket: bucket, key: key)) else { return .unknown }
    let found = look(at: own.bytes, object: own)
    guard case .nothing = found else { return found }
    return displaced(ObjectName(bucket: bucket, key: key), own).map { .file(.ours($0.record)) } ?? found
  }

  /// The object's copy under the name it had to take; nil if there is none.
  private func displaced(_ object: ObjectName, _ own: ObjectPath) -> (path: ObjectPath, record: CopyRecord)? {
    guard location.hasDisplaced.load(ordering: .relaxed) else { return nil }
    do throws(StoreError) {
      let path = try location.objectPath(bucket: object.bucket, key: object.key, isDisplaced: true)
      guard case .file(.ours(let record)) = look(at: path.bytes, object: own), record.isDisplaced else { return nil }
      return (path, record)
    } catch {
      return nil
    }
  }

  private func look(at path: [UInt8], object: ObjectPath) -> Found {
    guard path.count < Int(PATH_MAX) else { return .unknown }
    let flags = UInt64(O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
    let raw = db_openat2(location.root.raw, String(decoding: path, as: UTF8.self), flags, 0, ResolveRule.beneath)
    guard raw >= 0 else { return errno == ENOENT || errno == ENOTDIR ? .nothing : .unknown }
    let file = OwnedFD(adopting: raw)
    guard let stat = FileStat.of(file.raw) else { return .unknown }
    // A directory of that name: the copy, if there is one, had to take its other name.
    if stat.isDirectory { return .nothing }
    return stat.isRegular ? .file(records.state(file.raw, stat, object)) : .file(.foreign)
  }
}
