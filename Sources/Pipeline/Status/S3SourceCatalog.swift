// What is in an S3 source: lists of versions, and the tags of each for its statuses. Metadata are left out: whoever copies a
// version asks for them then.
//
// Times always come from lists, which give them finer than an object's own headers: versions of one key are ordered by them
// where their ids say nothing.
//
// - Thread: the executor it was made for.
internal import PipelineCore

public final class S3SourceCatalog: SourceCatalog {
  /// Requests for tags under way at a time.
  static let tagRequestsMax = 16

  private let client: S3Client

  public init(client: S3Client) { self.client = client }

  public func object(
    bucket: String, key: String, versionId: String?, sites: [String]
  ) async throws(StoreError) -> SourceObject? {
    var marker: S3ListMarker?
    repeat {
      // The versions of the key itself come before those of longer ones.
      let page = try await page(bucket, key, after: marker)
      for line in page.versions {
        guard line.key == key else { return nil }
        if versionId.map({ $0 == line.rawVersionId ?? VersionId.null }) ?? line.isLatest {
          let found = try await objects([line], bucket)
          return found.first
        }
      }
      marker = page.next
    } while marker != nil
    return nil
  }

  public func list(bucket: String?, prefix: String, sites: [String]) throws(StoreError) -> any SourceListing {
    S3SourceListing(self, bucket: bucket, prefix: prefix)
  }

  // MARK: For listings

  fileprivate func buckets() async throws(StoreError) -> [String] {
    var request = S3Request("GET", "")
    request.answerBytesMax = XMLElement.bytesMax
    let root = try client.document(try await client.perform(request), request)
    return (root["Buckets"]?.all("Bucket") ?? []).compactMap { $0.text("Name") }
  }

  fileprivate func page(
    _ bucket: String, _ prefix: String, after marker: S3ListMarker?
  ) async throws(StoreError) -> (versions: [S3Version], next: S3ListMarker?) {
    try await client.versions(of: bucket, prefix: prefix, after: marker)
  }

  /// The lines that are still there, with their statuses; some requests at a time.
  fileprivate func objects(_ lines: [S3Version], _ bucket: String) async throws(StoreError) -> [SourceObject] {
    var objects: [SourceObject] = []
    for start in stride(from: 0, to: lines.count, by: Self.tagRequestsMax) {
      let some = lines[start..<min(start + Self.tagRequestsMax, lines.count)]
      let asked = some.map { line in line.isDeleteMarker ? nil : client.begin(tagRequest(line, bucket)) }
      defer { for exchange in asked { exchange?.cancel() } }
      for (line, exchange) in zip(some, asked) {
        var object = SourceObject(record: line.record(bucket))
        if let exchange {
          guard let statuses = try await statuses(exchange, tagRequest(line, bucket)) else { continue }
          object.statuses = statuses
        }
        objects.append(object)
      }
    }
    return objects
  }

  private func tagRequest(_ line: S3Version, _ bucket: String) -> S3Request {
    S3Request("GET", bucket, line.key, query: [("tagging", "")] + (line.versionId.map { [("versionId", $0)] } ?? []))
  }

  /// - Returns: nil if the version went away meanwhile.
  private func statuses(_ exchange: S3Exchange, _ request: S3Request) async throws(StoreError) -> [String: ReplicationStatus]? {
    do throws(StoreError) {
      let root = try client.document(try await exchange.answer(), request)
      return S3Client.tags(root).replicationStatuses
    } catch {
      guard error.isGoneAtSource else { throw error }
      return nil
    }
  }
}

/// Lists come newest first for each key and are turned round, so a key's versions are kept until the last of them was seen.
private final class S3SourceListing: SourceListing {
  /// Versions of one key.
  static let versionsOfKeyMax = 100_000

  private let catalog: S3SourceCatalog
  private let prefix: String
  private let bucket: String?
  /// Still to be listed, the present one first; nil: not yet known.
  private var buckets: [String]?
  private var marker: S3ListMarker?
  /// Versions of the last key seen, newest first.
  private var held: [S3Version] = []

  init(_ catalog: S3SourceCatalog, bucket: String?, prefix: String) {
    self.catalog = catalog
    self.bucket = bucket
    self.prefix = prefix
  }

  func nextPage() async throws(StoreError) -> SourcePage {
    var result = SourcePage()
    var left = if let buckets { buckets } else if let bucket { [bucket] } else { try await catalog.buckets() }
    guard let bucket = left.first else {
      result.isLast = true
      return result
    }
    let page = try await catalog.page(bucket, prefix, after: marker)
    var ordered: [S3Version] = []
    for line in page.versions {
      if let last = held.last, last.key != line.key { release(&ordered) }
      held.append(line)
      guard held.count <= Self.versionsOfKeyMax else {
        throw StoreError(
          .sourceRefused, isRetryable: false,
          "\(PrintableName.of("\(bucket)/\(line.key)")): more than \(Self.versionsOfKeyMax) versions; use --prefix to list the others")
      }
    }
    marker = page.next
    if marker == nil {
      release(&ordered)
      left.removeFirst()
    }
    buckets = left
    result.objects = try await catalog.objects(ordered, bucket)
    result.isLast = left.isEmpty
    return result
  }

  private func release(_ ordered: inout [S3Version]) {
    ordered += held.reversed()
    held.removeAll(keepingCapacity: true)
  }
}

extension S3Version {
  /// As entries have it.
  var rawVersionId: String? { versionId.map(S3Client.rawVersion) }

  fileprivate func record(_ bucket: String) -> ObjectRecord {
    var record = ObjectRecord(bucket: bucket, key: key, versionId: rawVersionId, lastModified: lastModified, sites: [])
    record.contentLength = size
    record.isDeleteMarker = isDeleteMarker
    // Unknown, like all metadata: the copy takes them from the source.
    record.contentType = ""
    return record
  }
}
