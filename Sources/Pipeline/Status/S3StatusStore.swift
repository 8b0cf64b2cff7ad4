// An S3 source's statuses: object tags `<site>-replication-status`, because S3 cannot change user metadata in place. The status
// of the whole is derived from them and not kept.
//
// The user's tags come first: ours are added where they fit into the ten tags of an object, and what the service shows
// afterwards decides. S3 has no conditional update of tags, so a change the user makes between our reading and our writing (a
// few milliseconds) can be lost; to keep that rare, a status is written when it is final, or changes what is recorded, and not
// otherwise.
//
// - Thread: one instance per worker, on its executor.
public import PipelineCore

public final class S3StatusStore: SourceStatusStore {
  /// Tags an object may have.
  static let tagsMax = 10
  /// Rounds of merging with somebody who changes the tags at the same time.
  static let roundsMax = 3

  private let client: S3Client
  private let note: @Sendable (String) -> Void
  private var saidFull = false

  /// - Parameter note: told once when a status does not fit.
  public init(client: S3Client, note: @escaping @Sendable (String) -> Void) {
    self.client = client
    self.note = note
  }

  public func status(of version: SourceVersion, site: String) async throws(StoreError) -> SourceSiteStatus {
    guard let tags = try await tags(version) else { return .gone }
    return tags.replicationStatuses[site].map { .known($0) } ?? .unknown
  }

  public func set(
    _ status: ReplicationStatus, of version: SourceVersion, site: String, sites: [String], targetVersionId: String
  ) async throws(StoreError) -> ReplicationStatus? {
    // Delete markers have no tags.
    guard !version.isDeleteMarker, var tags = try await tags(version) else { return nil }
    for _ in 0..<Self.roundsMax {
      let known = tags.replicationStatuses
      // COMPLETED is final; PENDING is what a site without a tag is.
      let isKept = known[site] == .completed || known[site] == status || (known[site] == nil && status == .pending)
      guard !isKept, let wanted = merged(tags, site, status, version) else { break }
      try await client.setTags(wanted, version.bucket, version.key, version: S3Client.versionQuery(version.versionId))
      guard let shown = try await self.tags(version) else { return nil }
      tags = shown
      if Set(shown) == Set(wanted) { break }
    }
    var known = tags.replicationStatuses
    if known[site] != .completed { known[site] = status }
    for other in sites where known[other] == nil { known[other] = .pending }
    return ReplicationStatus.overall(Array(known.values))
  }

  /// - Returns: nil if there is no room.
  private func merged(
    _ tags: [ObjectAttributes.Pair], _ site: String, _ status: ReplicationStatus, _ version: SourceVersion
  ) -> [ObjectAttributes.Pair]? {
    let name = site + ObjectAttributes.statusTagSuffix
    var merged = tags.filter { $0.name != name }
    guard merged.count < Self.tagsMax else {
      if !saidFull {
        saidFull = true
        let object = PrintableName.of("\(version.bucket)/\(version.key)")
        note("\(object) has \(merged.count) tags of its own: its replication status is not shown there (nor that of others like it)")
      }
      return nil
    }
    merged.append(.init(name, status.rawValue))
    return merged
  }

  /// - Returns: nil if the version is gone.
  private func tags(_ version: SourceVersion) async throws(StoreError) -> [ObjectAttributes.Pair]? {
    do throws(StoreError) {
      return try await client.tags(version.bucket, version.key, version: S3Client.versionQuery(version.versionId))
    } catch {
      guard error.isGoneAtSource else { throw error }
      return nil
    }
  }
}

extension [ObjectAttributes.Pair] {
  /// By site, of tags that name one.
  var replicationStatuses: [String: ReplicationStatus] {
    var statuses: [String: ReplicationStatus] = [:]
    for tag in self where tag.name.hasSuffix(ObjectAttributes.statusTagSuffix) {
      statuses[String(tag.name.dropLast(ObjectAttributes.statusTagSuffix.count))] = ReplicationStatus(rawValue: tag.value)
    }
    return statuses
  }
}
