// A bucket as the source of objects. Never writes to it.
//
// What is given is one version: named by its id, or, in a bucket without versions, held by its ETag, which every further
// request for a part of it must still find.
internal import PipelineCore
internal import Reactor

public final class S3Source: ObjectSource {
  /// Bytes of a key or a version id. S3 has 1,024; what a service like it might add is its own affair.
  static let nameBytesMax = 4_096
  /// Characters of a key that is far too long in a message.
  private static let nameShownMax = 100

  public let client: S3Client

  public init(client: S3Client) { self.client = client }

  public func open(_ request: ObjectRequest) async throws(StoreError) -> any ObjectBody {
    try Self.checkNames(request)
    let version = S3Client.versionQuery(request.versionId, encoded: request.encodedVersionId)
    var get = S3Request("GET", request.bucket, request.key, query: version)
    get.expectedBytes = request.size
    let exchange = client.begin(get)
    do throws(StoreError) {
      let head = try await exchange.head()
      guard let size = head["content-length"].flatMap({ Int64($0) }), size >= 0 else {
        throw StoreError(.sourceRefused, isRetryable: false, "GET \(Self.name(request)): an answer without a length")
      }
      let md5 = head.contentMD5
      if let asked = request.md5, let has = md5, asked != has {
        throw .changed("\(Self.name(request)) (the entry's MD5 is \(asked), the source's \(has))")
      }
      let attributes = try await attributes(request, head, version)
      let modifiedNs = request.versionId == nil ? head["last-modified"].flatMap(HTTPDate.ns) : nil
      return S3Body(
        client: client, exchange: exchange, request: request, info: ObjectInfo(size: size, modifiedNs: modifiedNs),
        md5: md5, attributes: attributes, head: head)
    } catch {
      exchange.cancel()
      throw error
    }
  }

  /// Metadata come with the object; tags are asked for only where there are some, and only if the request does not know them.
  private func attributes(
    _ request: ObjectRequest, _ head: ResponseHead, _ version: [(String, String)]
  ) async throws(StoreError) -> ObjectAttributes {
    guard request.attributes.isEmpty else { return request.attributes }
    var attributes = head.objectAttributes
    if let count = head["x-amz-tagging-count"], count != "0" {
      attributes.tags = try await client.tags(request.bucket, request.key, version: version)
    }
    return attributes.withoutStatuses
  }

  public func isPresent(_ request: ObjectRequest) async throws(StoreError) -> Bool {
    try Self.checkNames(request)
    return try await client.head(request.bucket, request.key) != nil
  }

  /// What no service can have is not asked for.
  private static func checkNames(_ request: ObjectRequest) throws(StoreError) {
    let names = [("key", request.key.utf8.count), ("version id", request.versionId?.utf8.count ?? 0)]
    for (what, bytes) in names where bytes > nameBytesMax {
      let name = PrintableName.of("\(request.bucket)/\(request.key.prefix(nameShownMax))")
      var error = StoreError(
        .keyNotMappable, isRetryable: false, "\(name): a \(what) of \(bytes) bytes; a source has at most \(nameBytesMax)")
      error.side = .source
      throw error
    }
  }

  static func name(_ request: ObjectRequest) -> String { PrintableName.of("\(request.bucket)/\(request.key)") }
}

/// An object, or a part of one, as it comes in.
private final class S3Body: ObjectBody {
  let info: ObjectInfo
  let md5: MD5Digest?
  let attributes: ObjectAttributes?
  private let client: S3Client
  private let exchange: S3Exchange
  private let request: ObjectRequest
  /// Of the whole; nil for a part.
  private let head: ResponseHead?
  private var received: Int64 = 0

  init(
    client: S3Client, exchange: S3Exchange, request: ObjectRequest, info: ObjectInfo, md5: MD5Digest?, attributes: ObjectAttributes?,
    head: ResponseHead?
  ) {
    self.client = client
    self.exchange = exchange
    self.request = request
    self.info = info
    self.md5 = md5
    self.attributes = attributes
    self.head = head
  }

  var hasBuffer: Bool { received == info.size || exchange.hasBuffer }

  func next() async throws(StoreError) -> Block? {
    if let block = try await exchange.receive() {
      received += Int64(block.count)
      return block
    }
    guard received == info.size else {
      var error = StoreError(
        .sourceUnavailable, isRetryable: true, "GET \(S3Source.name(request)): \(received) of \(info.size) bytes came")
      error.side = .source
      throw error
    }
    return nil
  }

  func part(_ range: Range<Int64>) async throws(StoreError) -> (any ObjectBody)? {
    var headers = [HTTPHeader("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")]
    if let etag = head?["etag"] { headers.append(HTTPHeader("if-match", etag)) }
    let get = S3Request(
      "GET", request.bucket, request.key, query: S3Client.versionQuery(request.versionId, encoded: request.encodedVersionId), headers: headers)
    let part = client.begin(get)
    do throws(StoreError) {
      let head = try await part.head()
      let length = Int64(range.count)
      let begins = head["content-range"]?.hasPrefix("bytes \(range.lowerBound)-\(range.upperBound - 1)/") == true
      guard head.status == 206, begins, head["content-length"].flatMap({ Int64($0) }) == length else {
        throw .changed("\(S3Source.name(request)) (another range than asked for came)")
      }
      return S3Body(
        client: client, exchange: part, request: request, info: ObjectInfo(size: length), md5: nil, attributes: nil, head: nil)
    } catch {
      part.cancel()
      throw error
    }
  }

  func close() { exchange.cancel() }
}

/// Dates as HTTP spells them.
enum HTTPDate {
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  /// - Parameter text: `Sun, 06 Nov 1994 08:49:37 GMT`. - Returns: Unix milliseconds; nil for another form.
  static func ms(_ text: String) -> Int64? {
    let words = text.split(separator: " ")
    guard words.count == 6, words[5] == "GMT", words[1].utf8.count == 2, let month = months.firstIndex(of: String(words[2])) else { return nil }
    let number = month + 1
    return ISO8601.ms("\(words[3])-\(number < 10 ? "0" : "")\(number)-\(words[1])T\(words[4])Z")
  }

  /// - Returns: Unix nanoseconds; nil also for a date before 1678 or after 2261, which says nothing here.
  static func ns(_ text: String) -> Int64? {
    guard let (ns, isOver) = ms(text)?.multipliedReportingOverflow(by: 1_000_000), !isOver else { return nil }
    return ns
  }
}
