// The entry of one object for one location. An object of a file source has no version: its modification time says which
// state of it is meant. Its MD5 is left empty and computed while it is copied.

internal import PipelineCore
internal import Reactor

struct EntryForm {
  let site: String

  /// - Parameter file: nil if the object was deleted (a delete marker, dated now).
  func encode(_ object: ObjectName, _ file: WalkedFile?) -> (key: [UInt8], value: [UInt8]) {
    let modifiedMs = file.map { $0.modifiedNs / 1_000_000 } ?? WallClock.nowMs()
    var record = ObjectRecord(
      bucket: object.bucket, key: object.key, versionId: nil, lastModified: ISO8601.string(ms: modifiedMs), sites: [site])
    record.contentLength = file?.size ?? 0
    record.isDeleteMarker = file == nil
    return (Self.messageKey(object), EntryEncoder.populated(record))
  }

  static func messageKey(_ object: ObjectName) -> [UInt8] { EntryEncoder.messageKey(bucket: object.bucket, key: object.key) }
}
