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
    entry.forEachAttribute(named: ObjectAttributes.entryNames) { kind, name, value in
      let pair = ObjectAttributes.Pair(name, value)
      switch kind {
      case .named: attributes.system.append(pair)
      case .user: attributes.user.append(pair)
      case .tag: attributes.tags.append(pair)
      }
    }
  }
}

extension ObjectAttributes {
  fileprivate static let entryNames = AttributeNames(systemNames)
}
