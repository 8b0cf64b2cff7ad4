// What the lister knows of a location's copies where the source shows a status for each: an object is done when its status says
// so for its present state, and not before. Looking at the copy alone is not enough: a kill between a copy and its status would
// leave the status PENDING for ever, because nothing would be enqueued any more.
//
// - Thread: any, one at a time for each probe. - Blocking: a few system calls for each question.
internal import PipelineCore

public final class RecordedCopies: CopyProbe {
  private let site: String
  private let statuses: FileSourceStatus
  private let copies: (any CopyProbe)?

  /// - Parameter copies: for a target that can be looked at cheaply; a copy that is gone is made again then. Nil for a service:
  ///   the status alone counts.
  public init(site: String, statuses: FileSourceStatus, copies: (any CopyProbe)?) {
    self.site = site
    self.statuses = statuses
    self.copies = copies
  }

  public func isUpToDate(bucket: String, key: String, file: WalkedFile) -> Bool {
    do throws(StoreError) {
      let info = ObjectInfo(size: file.size, modifiedNs: file.modifiedNs)
      guard try statuses.statuses(of: [site], bucket: bucket, key: key, info: info)?[site] == .completed else { return false }
      return copies?.isUpToDate(bucket: bucket, key: key, file: file) ?? true
    } catch {
      // The worker that is sent meets it again and can say so.
      return false
    }
  }

  /// In doubt there is one: the worker that carries out the removal looks.
  public func hasCopy(of object: ObjectName) -> Bool { copies?.hasCopy(of: object) ?? true }
  public func path(ofCopyOf object: ObjectName) -> String? { copies?.path(ofCopyOf: object) }
  public func object(ofCopyAt path: String) -> ObjectName? { copies?.object(ofCopyAt: path) }
  public func recordedMD5(ofCopyAt path: String) -> MD5Digest? { copies?.recordedMD5(ofCopyAt: path) }
}
