// What we know of a copy we made: which state of the source it is, and how it looked when we left it. Kept as compact JSON
// in the copy's `user.downbeat` attribute (or a sidecar file). From it follows everything that must not happen: writing the
// same thing twice, an older version over a newer one, over somebody's own file, over somebody's change.
internal import PipelineCore
internal import Reactor

struct CopyRecord: Hashable, Sendable {
  static let attributeName = "user.downbeat"
  private static let version = 1

  /// The source's bytes and time when they were read.
  var sourceSize: Int64
  var sourceModifiedNs: Int64?
  /// Its permission bits then; nil: it has none, or they were not noted.
  var permissions: UInt32?
  var md5: MD5Digest
  var versionId: String?
  /// ISO 8601 of the version; empty if unknown.
  var lastModified = ""
  /// The copy itself as we left it.
  var targetSize: Int64
  var targetModifiedNs: Int64
  /// It has the name of a key that is a directory as well.
  var isDisplaced = false

  // MARK: As JSON

  var json: JSONValue {
    var members: [JSONValue.Member] = [.init("v", .int(Self.version)), .init("size", .int(sourceSize))]
    if let sourceModifiedNs { members.append(.init("mtime", .int(sourceModifiedNs))) }
    if let permissions { members.append(.init("mode", .int(Int64(permissions)))) }
    members.append(.init("md5", .string(md5.hex)))
    if let versionId { members.append(.init("versionId", .string(versionId))) }
    if !lastModified.isEmpty { members.append(.init("lastModified", .string(lastModified))) }
    members.append(.init("copySize", .int(targetSize)))
    members.append(.init("copyMtime", .int(targetModifiedNs)))
    if isDisplaced { members.append(.init("displaced", .bool(true))) }
    return .object(members)
  }

  /// Nil for anything we did not write.
  init?(json: JSONValue?) {
    guard let json, json["v"]?.int == Int64(Self.version), let size = json["size"]?.int,
      let md5 = json["md5"]?.string.flatMap({ MD5Digest(hex: $0) }), let copySize = json["copySize"]?.int,
      let copyModified = json["copyMtime"]?.int
    else { return nil }
    sourceSize = size
    sourceModifiedNs = json["mtime"]?.int
    permissions = json["mode"]?.int.flatMap { UInt32(exactly: $0) }
    self.md5 = md5
    versionId = json["versionId"]?.string
    lastModified = json["lastModified"]?.string ?? ""
    targetSize = copySize
    targetModifiedNs = copyModified
    isDisplaced = json["displaced"]?.bool ?? false
  }

  init?(bytes: [UInt8]) {
    do throws(JSONValue.Malformed) {
      self.init(json: try JSONValue(parsing: bytes, bytesMax: 8_192, depthMax: 4))
    } catch {
      // Not ours, or damaged: both count as a file we did not write, which is never overwritten unasked.
      return nil
    }
  }

  init(_ request: ObjectRequest, _ info: ObjectInfo, md5: MD5Digest, copy: FileStat) {
    sourceSize = info.size
    sourceModifiedNs = info.modifiedNs
    permissions = info.permissions.map { $0 & 0o777 }
    self.md5 = md5
    versionId = request.versionId
    lastModified = request.lastModified
    targetSize = copy.size
    targetModifiedNs = copy.modifiedNs
  }

  // MARK: What follows from it

  /// The copy still looks as we left it.
  func isUnchanged(_ copy: FileStat) -> Bool { copy.size == targetSize && copy.modifiedNs == targetModifiedNs }

  /// The record of the same copy, whatever name it has had to take and whatever bits since.
  func isSameCopy(as other: CopyRecord) -> Bool {
    var other = other
    other.isDisplaced = isDisplaced
    other.permissions = permissions
    return self == other
  }

  /// The copy is of the very state that is to be copied.
  func isOf(_ request: ObjectRequest, _ info: ObjectInfo) -> Bool {
    if let md5 = request.md5, md5 != self.md5 { return false }
    guard request.versionId == versionId, info.size == sourceSize else { return false }
    return info.modifiedNs == nil || info.modifiedNs == sourceModifiedNs
  }

  /// The source has other permission bits than the copy was given; what was not noted counts as equal.
  func hasOther(permissions now: UInt32?) -> Bool {
    if let permissions, let now { permissions != now & 0o777 } else { false }
  }

  /// The copy is of a later version than the request. Where the source has no versions, what it has now is the latest.
  func isNewer(than request: ObjectRequest) -> Bool {
    VersionOrder.isLater(versionId, lastModified, than: request.versionId, request.lastModified)
  }

  var receipt: CopyReceipt { CopyReceipt(bytes: targetSize, md5: md5) }
}
