// Metadata and tags of a copy brought up to date without its bytes.
internal import PipelineCore

extension S3Destination {
  public func update(_ request: ObjectRequest) async throws(StoreError) -> PutOutcome? {
    let key = try key(of: request)
    guard !suspects.contains(key), let there = try await client.head(placement.bucket, key),
      let record = S3CopyRecord(there.head, size: there.size)
    else { return nil }
    guard record.versionId == request.versionId else { return record.isNewer(than: request) ? .newerThere : nil }
    let attributes = request.attributes.withoutStatuses
    let receipt = CopyReceipt(bytes: there.size, md5: there.md5 ?? record.md5, targetVersionId: there.versionId)
    if request.extent == .metadata, record.attributesHash != attributes.shortHash {
      return try await rewrite(key, there, record, request, attributes)
    }
    return try await updateTags(key, there, attributes.tags) ? .written(receipt) : .alreadyThere(receipt)
  }

  /// - Returns: whether they were others.
  private func updateTags(_ key: String, _ there: S3ObjectHead, _ wanted: [ObjectAttributes.Pair]) async throws(StoreError) -> Bool {
    let version = there.versionId.map { [("versionId", $0)] } ?? []
    let has = try await client.tags(placement.bucket, key, version: version)
    guard Set(has) != Set(wanted) else { return false }
    try await client.setTags(wanted, placement.bucket, key, version: version)
    return true
  }

  /// S3 changes metadata only by copying the object onto itself; nil where it is too large for that.
  private func rewrite(
    _ key: String, _ there: S3ObjectHead, _ record: S3CopyRecord, _ request: ObjectRequest, _ attributes: ObjectAttributes
  ) async throws(StoreError) -> PutOutcome? {
    guard there.size <= S3Placement.singleBytesMax else { return nil }
    var renewed = record
    self.attributes.become(attributes)
    renewed.attributesHash = self.attributes.shortHash
    if !request.lastModified.isEmpty { renewed.lastModified = request.lastModified }
    var from = "/\(URIEncoding.encoded(placement.bucket))/\(URIEncoding.encoded(key, keepsSlash: true))"
    if let version = there.versionId { from += "?versionId=\(URIEncoding.encoded(version))" }
    var copy = S3Request("PUT", placement.bucket, key, body: .bytes([]))
    write(self.attributes.lines, renewed, to: &copy.headers)
    copy.headers.append("x-amz-copy-source", from)
    copy.headers.append("x-amz-metadata-directive", "REPLACE")
    copy.headers.append("x-amz-tagging-directive", "REPLACE")
    if let etag = there.head["etag"] { copy.headers.append("x-amz-copy-source-if-match", etag) }
    let answer = try await client.perform(copy)
    let version = answer.head["x-amz-version-id"].flatMap { $0 == "null" ? nil : $0 }
    return .written(CopyReceipt(bytes: there.size, md5: there.md5 ?? record.md5, targetVersionId: version))
  }
}
