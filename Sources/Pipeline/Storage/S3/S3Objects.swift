// The operations on single objects that need no streaming: looking, tags, removal, metadata, lists of versions.
internal import PipelineCore

/// What HEAD tells of an object.
struct S3ObjectHead {
  let head: ResponseHead
  let size: Int64

  init(_ head: ResponseHead) {
    self.head = head
    size = head["content-length"].flatMap { Int64($0) } ?? 0
  }

  var versionId: String? { head["x-amz-version-id"].flatMap { $0 == "null" ? nil : $0 } }
  var etag: String? { head.etag }
  var md5: MD5Digest? { head.contentMD5 }
}

/// What is found under a key.
enum S3Look {
  case object(S3ObjectHead)
  /// A delete marker; there may be versions below it.
  case deleted
  case nothing
}

extension ResponseHead {
  /// Without its quotes.
  var etag: String? { withETag { String(decoding: $0, as: UTF8.self) } }

  /// Lends it without its quotes.
  private func withETag<Result>(_ body: (Slice<UnsafeRawBufferPointer>) -> Result) -> Result? {
    withValue("etag") { octets in
      let quote = UInt8(ascii: "\"")
      let isQuoted = octets.count >= 2 && octets.first == quote && octets.last == quote
      return body(isQuoted ? octets.dropFirst().dropLast() : octets[...])
    }
  }

  /// The ETag where it is the MD5 of the contents: not of parts, and not of something encrypted with a key of the customer's.
  var contentMD5: MD5Digest? {
    guard !has("x-amz-server-side-encryption-customer-algorithm") else { return nil }
    if let encryption = self["x-amz-server-side-encryption"], encryption != "AES256" { return nil }
    return withETag { MD5Digest(hexOctets: $0) } ?? nil
  }

  /// Metadata as S3 keeps them with an object; tags apart.
  var objectAttributes: ObjectAttributes {
    var attributes = ObjectAttributes()
    for name in ObjectAttributes.systemNames {
      // Some servers add a type where none was given.
      let values = headers(prefix: name).filter { $0.name == name && $0.value != "binary/octet-stream" }
      if let value = values.first?.value { attributes.system.append(.init(name, value)) }
    }
    attributes.user = headers(prefix: "x-amz-meta-").map { .init($0.name, $0.value) }.filter { !$0.isOurs }
    return attributes
  }
}

extension ObjectAttributes {
  /// Metadata of an object that S3 keeps as headers of their own.
  static let systemNames = ["content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires"]
  static let statusTagSuffix = "-replication-status"

  /// Without what replication itself notes at a source: never copied.
  var withoutStatuses: ObjectAttributes {
    guard user.contains(where: \.isOurs) || tags.contains(where: { $0.name.hasSuffix(Self.statusTagSuffix) }) else { return self }
    var copy = self
    copy.user.removeAll(where: \.isOurs)
    copy.tags.removeAll { $0.name.hasSuffix(Self.statusTagSuffix) }
    return copy
  }

  /// As headers of a request that makes an object.
  func write(to headers: inout HeaderLines) {
    for pair in system { headers.append(named: pair.name, pair.value) }
    for pair in user { headers.append(named: pair.name, pair.value) }
    guard !tags.isEmpty else { return }
    let pairs = tags.map { ($0.name, $0.value) }
    headers.append("x-amz-tagging", bytesMax: URIEncoding.formBytesMax(pairs)) { URIEncoding.append(form: pairs, to: &$0) }
  }
}

extension ObjectAttributes.Pair {
  fileprivate var isOurs: Bool { S3CopyRecord.headers.contains(name) }
}

extension S3Client {
  /// The version id as a parameter: Scality's in its encoded form, any other as it is.
  /// - Parameter encoded: its encoded form, where that is known already.
  static func versionQuery(_ raw: String?, encoded: String? = nil) -> [(String, String)] {
    guard let raw else { return [] }
    return [("versionId", isScality(raw) ? encoded ?? VersionId.encode(raw) : raw)]
  }

  /// Raw ids of Scality begin with twenty digits that count down.
  private static func isScality(_ raw: String) -> Bool { raw.utf8.count >= VersionId.rawCount && VersionOrder.countsDown(raw) }

  /// The version id as entries have it: Scality's decoded, any other as it is.
  static func rawVersion(_ spelled: String) -> String {
    guard let raw = VersionId.decode(spelled), isScality(raw) else { return spelled }
    return raw
  }

  /// - Returns: nil if there is no such object (or it is deleted).
  func head(_ bucket: String, _ key: String, version: [(String, String)] = []) async throws(StoreError) -> S3ObjectHead? {
    guard case .object(let head) = try await look(bucket, key, version: version) else { return nil }
    return head
  }

  func look(_ bucket: String, _ key: String, version: [(String, String)] = []) async throws(StoreError) -> S3Look {
    try await finish(beginLook(bucket, key, version: version))
  }

  /// Sends the question only.
  func beginLook(_ bucket: String, _ key: String, version: [(String, String)] = []) -> S3Exchange {
    begin(S3Request("HEAD", bucket, key, query: version))
  }

  /// The answer to `beginLook`.
  func finish(_ exchange: S3Exchange) async throws(StoreError) -> S3Look {
    defer { exchange.cancel() }
    let head = try await exchange.anyHead()
    // 405: a delete marker, asked for by its version.
    if head.status == 404 || head.status == 405 {
      _ = try await exchange.rest(max: Self.drainBytesMax)
      return head["x-amz-delete-marker"] == "true" ? .deleted : .nothing
    }
    return .object(S3ObjectHead(try await exchange.answer().head))
  }

  /// Tags of an object, in the order the service gives them.
  func tags(_ bucket: String, _ key: String, version: [(String, String)] = []) async throws(StoreError) -> [ObjectAttributes.Pair] {
    let request = S3Request("GET", bucket, key, query: [("tagging", "")] + version)
    return Self.tags(try document(try await perform(request), request))
  }

  static func tags(_ root: XMLElement) -> [ObjectAttributes.Pair] {
    (root["TagSet"]?.all("Tag") ?? []).map { .init($0.text("Key") ?? "", $0.text("Value") ?? "") }
  }

  /// Replaces all tags; none removes them.
  func setTags(
    _ tags: [ObjectAttributes.Pair], _ bucket: String, _ key: String, version: [(String, String)] = []
  ) async throws(StoreError) {
    let query = [("tagging", "")] + version
    guard !tags.isEmpty else {
      _ = try await perform(S3Request("DELETE", bucket, key, query: query))
      return
    }
    let set = tags.map { "<Tag><Key>\($0.name.xmlEscaped)</Key><Value>\($0.value.xmlEscaped)</Value></Tag>" }.joined()
    let body = Array("<Tagging><TagSet>\(set)</TagSet></Tagging>".utf8)
    _ = try await perform(S3Request("PUT", bucket, key, query: query, headers: Self.bodyHeaders(body), body: .bytes(body)))
  }

  func remove(_ bucket: String, _ key: String, version: [(String, String)] = []) async throws(StoreError) {
    _ = try await perform(S3Request("DELETE", bucket, key, query: version))
  }

  func document(_ answer: S3Answer, _ request: S3Request) throws(StoreError) -> XMLElement {
    do throws(XMLElement.Malformed) {
      return try XMLElement(parsing: answer.body)
    } catch {
      throw StoreError(.unavailable(side), isRetryable: true, "\(request.name): the answer is no S3 document: \(error)")
    }
  }

  /// What S3 wants with an XML body.
  static func bodyHeaders(_ body: [UInt8]) -> [HTTPHeader] {
    let md5 = MD5()
    body.withUnsafeBytes { md5.add($0) }
    return [HTTPHeader("content-md5", md5.finish().base64), HTTPHeader("content-type", "application/xml")]
  }
}

/// One line of a list of versions.
public struct S3Version: Hashable, Sendable {
  public var key: String
  /// As the service spells it; nil in a bucket without versions.
  public var versionId: String?
  public var isLatest: Bool
  public var isDeleteMarker: Bool
  /// ISO 8601.
  public var lastModified: String
  public var etag: String
  public var size: Int64
}

/// Where a list goes on.
public struct S3ListMarker: Hashable, Sendable {
  public var key: String
  public var versionId: String
}

extension S3Client {
  /// One page (up to 1,000 lines) of all versions below a prefix, newest first for each key.
  /// - Returns: the lines, and where the next page begins; nil: this was the last.
  public func versions(
    of bucket: String, prefix: String = "", after marker: S3ListMarker? = nil
  ) async throws(StoreError) -> (versions: [S3Version], next: S3ListMarker?) {
    var query = [("versions", ""), ("encoding-type", "url")]
    if !prefix.isEmpty { query.append(("prefix", prefix)) }
    if let marker {
      query.append(("key-marker", marker.key))
      if !marker.versionId.isEmpty { query.append(("version-id-marker", marker.versionId)) }
    }
    var request = S3Request("GET", bucket, query: query)
    request.answerBytesMax = XMLElement.bytesMax
    let root = try document(try await perform(request), request)
    let isEncoded = root.text("EncodingType") == "url"
    func key(_ text: String) -> String {
      isEncoded ? URIEncoding.decoded(text.split(separator: "+", omittingEmptySubsequences: false).joined(separator: " ")) ?? text : text
    }
    let lines = root.children.filter { $0.name == "Version" || $0.name == "DeleteMarker" }.map { line in
      S3Version(
        key: key(line.text("Key") ?? ""), versionId: line.text("VersionId").flatMap { $0 == "null" || $0.isEmpty ? nil : $0 },
        isLatest: line.text("IsLatest") == "true", isDeleteMarker: line.name == "DeleteMarker",
        lastModified: line.text("LastModified") ?? "", etag: (line.text("ETag") ?? "").filter { $0 != "\"" },
        size: line.text("Size").flatMap { Int64($0) } ?? 0)
    }
    guard root.text("IsTruncated") == "true", let next = root.text("NextKeyMarker") else { return (lines, nil) }
    return (lines, S3ListMarker(key: key(next), versionId: root.text("NextVersionIdMarker") ?? ""))
  }
}
