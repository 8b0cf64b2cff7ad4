// What the status processor, retries and a resync need of a source, whatever it is made of: the status each object shows,
// and what is there to be enqueued.
//
// - Thread: one instance per worker (or per desk); everything runs on the executor it was made for.
public import PipelineCore

/// The version of an object that a status is about.
public struct SourceVersion: Hashable, Sendable {
  public var bucket: String
  public var key: String
  /// Raw; nil where the source has no versions.
  public var versionId: String?
  public var isDeleteMarker = false
  /// Bytes the source had when it was copied; nil where nobody said.
  public var size: Int64?
  /// Nanoseconds since 1970 of its contents then; nil where nobody said, or the source has no such time.
  public var modifiedNs: Int64?

  public init(bucket: String, key: String, versionId: String? = nil) {
    self.bucket = bucket
    self.key = key
    self.versionId = versionId
  }
}

/// What the source shows of one site.
public enum SourceSiteStatus: Hashable, Sendable {
  /// The version is not there any more, or is another one by now: there is nothing to keep a status with.
  case gone
  /// Nothing is recorded for the site.
  case unknown
  case known(ReplicationStatus)
}

/// The replication status of a source's objects: attributes of a `file` source, object tags of an `s3` source.
public protocol SourceStatusStore: AnyObject {
  func status(of version: SourceVersion, site: String) async throws(StoreError) -> SourceSiteStatus

  /// Sets one site's status, and the whole's where the source shows it. COMPLETED is final: a store that can makes the
  /// update conditional on it and on what it has read, and the user's own change of the object wins.
  /// - Parameter sites: all sites of the object the entry knows of; those never reported count as PENDING.
  /// - Parameter targetVersionId: of the copy; empty where the target has none.
  /// - Returns: the status of the whole; nil if the version is gone, and nothing was written.
  func set(
    _ status: ReplicationStatus, of version: SourceVersion, site: String, sites: [String], targetVersionId: String
  ) async throws(StoreError) -> ReplicationStatus?
}

/// One object version of the source, and what it shows.
public struct SourceObject: Sendable {
  /// As the populator would write it; `sites` is left to the caller.
  public var record: ObjectRecord
  /// By site; sites without a status are missing.
  public var statuses: [String: ReplicationStatus] = [:]

  public init(record: ObjectRecord, statuses: [String: ReplicationStatus] = [:]) {
    self.record = record
    self.statuses = statuses
  }
}

/// Part of a listing.
public struct SourcePage: Sendable {
  public var objects: [SourceObject] = []
  /// What could not be listed, one line each: the listing goes on behind it.
  public var failures: [String] = []
  public var isLast = false

  public init() {}
}

/// What is in a source.
public protocol SourceCatalog: AnyObject {
  /// - Parameter versionId: raw; nil for the current version, or where the source has none.
  /// - Parameter sites: whose statuses are wanted.
  /// - Returns: nil if it is not there.
  func object(bucket: String, key: String, versionId: String?, sites: [String]) async throws(StoreError) -> SourceObject?

  /// Begins a listing of all versions, oldest first for each key where the source has versions.
  /// - Parameter bucket: nil: all of them. - Parameter prefix: of keys.
  func list(bucket: String?, prefix: String, sites: [String]) throws(StoreError) -> any SourceListing
}

/// A listing under way.
public protocol SourceListing: AnyObject {
  /// At most about a thousand objects. Not called again after a page that `isLast`.
  func nextPage() async throws(StoreError) -> SourcePage
}
