// From a Kafka entry to what stores understand. The only place where storage meets the pipeline's formats.
public import PipelineCore

extension ObjectRequest {
  /// - Parameter force: overwrite what is not ours or was changed (the operator asked for it).
  public init(_ entry: ReplicationEntry, site: String, force: Bool = false) {
    self.init(site: site, bucket: entry.bucket, key: entry.key, versionId: entry.versionId)
    isDeleteMarker = entry.isDeleteMarker
    // An ETag of parts is no MD5 of the whole: then there is nothing to compare with.
    md5 = MD5Digest(hexOctets: entry.contentMD5Octets)
    size = entry.contentLength
    lastModified = entry.lastModified
    self.force = force
    guard !isDeleteMarker else { return }
    if !entry.hasData, !entry.content.isEmpty {
      extent = entry.content.isDisjoint(with: [.putTagging, .deleteTagging]) ? .metadata : .tags
    }
    attributes = ObjectAttributes(entry)
  }
}

extension ObjectAttributes {
  fileprivate init(_ entry: ReplicationEntry) {
    entry.forEachAttribute(named: Self.entryNames) { kind, name, value in
      let pair = Pair(name, value)
      switch kind {
      case .named: system.append(pair)
      case .user: user.append(pair)
      case .tag: tags.append(pair)
      }
    }
  }

  fileprivate static let entryNames = AttributeNames(systemNames)
}
