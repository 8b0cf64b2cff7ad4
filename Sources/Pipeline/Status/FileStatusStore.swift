// A `file` source's statuses for the status processor: attributes of the source files, by a few plain system calls.
public import PipelineCore

public final class FileStatusStore: SourceStatusStore {
  private let statuses: FileSourceStatus

  public init(_ statuses: FileSourceStatus) { self.statuses = statuses }

  public func status(of version: SourceVersion, site: String) async throws(StoreError) -> SourceSiteStatus {
    guard
      let found = try statuses.statuses(
        of: [site], bucket: version.bucket, key: version.key, info: version.fileState)
    else { return .gone }
    return found[site].map { .known($0) } ?? .unknown
  }

  public func set(
    _ status: ReplicationStatus, of version: SourceVersion, site: String, sites: [String], targetVersionId: String
  ) async throws(StoreError) -> ReplicationStatus? {
    // Without a size the report cannot say which state of the file it is about.
    guard let state = version.fileState else { return nil }
    return try statuses.set(
      status, site: site, bucket: version.bucket, key: version.key, sites: sites, info: state, keepsRecorded: true)
  }
}

extension SourceVersion {
  fileprivate var fileState: ObjectInfo? { size.map { ObjectInfo(size: $0, modifiedNs: modifiedNs) } }
}
