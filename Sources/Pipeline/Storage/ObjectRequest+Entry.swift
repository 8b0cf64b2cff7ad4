// From a Kafka entry to what stores understand. The only place where storage meets the pipeline's formats.
public import PipelineCore

extension ObjectRequest {
  /// - Parameter force: overwrite what is not ours or was changed (the operator asked for it).
  public init(_ entry: ReplicationEntry, site: String, force: Bool = false) {
    self.init(site: site, bucket: entry.bucket, key: entry.key, versionId: entry.versionId)
    isDeleteMarker = entry.isDeleteMarker
    // An ETag of parts is no MD5 of the whole: then there is nothing to compare with.
    md5 = MD5Digest(hex: entry.contentMD5)
    size = entry.contentLength
    lastModified = entry.lastModified
    self.force = force
    guard !isDeleteMarker else { return }
    if !entry.hasData, !entry.content.isEmpty {
      extent = entry.content.isDisjoint(with: [.putTagging, .deleteTagging]) ? .metadata : .tags
    }
    let found = entry.attributes(named: ObjectAttributes.systemNames)
    attributes.system = found.named.map { ObjectAttributes.Pair($0.name, $0.value) }
    attributes.user = found.user.map { ObjectAttributes.Pair($0.name, $0.value) }
    attributes.tags = found.tags.map { ObjectAttributes.Pair($0.key, $0.value) }
  }
}
