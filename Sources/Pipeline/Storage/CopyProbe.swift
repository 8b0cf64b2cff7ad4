// What may be asked of a location's copies without copying: by the populator, which enqueues only what is not there yet, and by
// quickstart, which compares.

/// What must be known of a location's copies. Made and used on one thread, the lister's or that of a `SourceLook`; may block.
public protocol CopyProbe: AnyObject {
  /// Is the location's copy of this source file complete and unchanged, so that there is nothing to enqueue?
  /// In doubt false: a worker looks again, and an entry too many writes nothing twice.
  func isUpToDate(bucket: String, key: String, file: WalkedFile) -> Bool
  /// Does the location hold a copy of this object that we wrote?
  func hasCopy(of object: ObjectName) -> Bool
  /// Where the copy of an object is, or would be, relative to the location's root; nil if it can have no file there.
  func path(ofCopyOf object: ObjectName) -> String?
  /// Which object a file of the location's tree is a copy of; nil if we did not write it.
  /// - Parameter path: relative to the location's root.
  func object(ofCopyAt path: String) -> ObjectName?
  /// The digest noted when the file at this path was copied; nil if there is none, or it is no copy of ours.
  func recordedMD5(ofCopyAt path: String) -> MD5Digest?
}

extension CopyProbe {
  /// For locations that note no digest.
  public func recordedMD5(ofCopyAt path: String) -> MD5Digest? { nil }
}

/// Names one object.
public struct ObjectName: Hashable, Sendable {
  public var bucket: String
  public var key: String

  public init(bucket: String, key: String) {
    self.bucket = bucket
    self.key = key
  }
}

/// A regular file as it stood when the walk read it.
public struct WalkedFile: Hashable, Sendable {
  /// Relative to the tree's root.
  public var path: String
  /// Bytes.
  public var size: Int64
  /// Modification time, nanoseconds since 1970 (UTC); clamped to what an `Int64` holds.
  public var modifiedNs: Int64
  /// The nine bits; nil: not asked for.
  public var permissions: UInt32?

  public init(path: String, size: Int64, modifiedNs: Int64, permissions: UInt32? = nil) {
    self.path = path
    self.size = size
    self.modifiedNs = modifiedNs
    self.permissions = permissions
  }
}
