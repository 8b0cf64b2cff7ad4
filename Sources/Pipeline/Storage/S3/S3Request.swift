// One S3 request before it is signed, and where an S3 service is.
internal import PipelineCore

/// How to reach an S3 service.
public struct S3Settings: Hashable, Sendable {
  /// `http://…` or `https://…` without a trailing slash; tried in turn when one cannot be reached.
  public var endpoints: [String]
  public var region: String
  /// The bucket in the path; else in the host name.
  public var pathStyle: Bool
  public var credentials: S3Credentials
  public var caFile: String?

  public init(endpoints: [String], region: String, pathStyle: Bool = true, credentials: S3Credentials, caFile: String? = nil) {
    precondition(!endpoints.isEmpty)
    self.endpoints = endpoints
    self.region = region
    self.pathStyle = pathStyle
    self.credentials = credentials
    self.caFile = caFile
  }
}

/// Where requests of one service go.
final class S3Endpoint {
  /// Buckets whose host names are remembered; beyond it all are forgotten.
  static let bucketsMax = 256
  /// Of a bucket's name (S3's own bound, and that of a label).
  static let bucketBytesMax = 63

  let origin: HTTPOrigin
  /// With `://`.
  private let scheme: String
  private let host: String
  private var originsByBucket: [String: HTTPOrigin] = [:]

  init(_ url: String) {
    let end = url.firstRange(of: "://")
    scheme = end.map { String(url[..<$0.upperBound]) } ?? ""
    host = String(url[(end?.upperBound ?? url.startIndex)...])
    origin = HTTPOrigin(url)
  }

  /// Whether a bucket can stand in a host name. Entries name buckets, and a `?` or `@` in there would make another host of it,
  /// which would get our signature and have its answer copied. Such a bucket stands in the path.
  static func isHostName(_ bucket: String) -> Bool {
    let labels = bucket.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return bucket.utf8.count <= bucketBytesMax
      && labels.allSatisfy { label in
        guard let first = label.first, let last = label.last, first != UInt8(ascii: "-"), last != UInt8(ascii: "-") else { return false }
        return label.allSatisfy { byte in
          switch Octet.lower(byte) {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
          default: false
          }
        }
      }
  }

  /// With the bucket in the host name.
  func origin(ofBucket bucket: String) -> HTTPOrigin {
    if let known = originsByBucket[bucket] { return known }
    if originsByBucket.count >= Self.bucketsMax { originsByBucket.removeAll() }
    let origin = HTTPOrigin("\(scheme)\(bucket).\(host)")
    originsByBucket[bucket] = origin
    return origin
  }
}

struct S3Request {
  enum Body {
    case none
    /// Signed with its SHA-256.
    case bytes([UInt8])
    /// Given with `send`; signed as UNSIGNED-PAYLOAD.
    case streamed(length: Int64)
  }

  var method: String
  var bucket: String
  /// Empty for the bucket itself.
  var key = ""
  /// Sub-resources and parameters, not encoded.
  var query: [(String, String)] = []
  /// Besides those every request has.
  var headers = HeaderLines()
  var body = Body.none
  /// Of the answer's body, where it is known; a hint.
  var expectedBytes: Int64?
  /// Of an answer that is kept in memory.
  var answerBytesMax = S3Client.answerBytesMax

  init(_ method: String, _ bucket: String, _ key: String = "", query: [(String, String)] = [], headers: [HTTPHeader] = [], body: Body = .none) {
    self.method = method
    self.bucket = bucket
    self.key = key
    self.query = query
    self.headers = HeaderLines(headers)
    self.body = body
  }

  /// For messages.
  var name: String { "\(method) \(PrintableName.of("\(bucket)/\(key)"))" }

  /// Encoded and in the order to be signed.
  var canonicalQuery: String {
    guard query.count > 1 else { return URIEncoding.form(query) }
    return query.map { (URIEncoding.encoded($0.0), URIEncoding.encoded($0.1)) }.sorted { $0 < $1 }
      .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
  }

  /// Signs and addresses it. Its headers leave with what is returned.
  /// - Parameter time: now, as `AmazonTime.basic` writes it.
  mutating func outgoing(_ settings: S3Settings, endpoint: S3Endpoint, signature: SignatureV4, time: String) -> OutgoingRequest {
    // Without a bucket it is about all of them.
    let isInPath = settings.pathStyle || !S3Endpoint.isHostName(bucket)
    let origin = isInPath ? endpoint.origin : endpoint.origin(ofBucket: bucket)
    let path = String(bytesMax: URIEncoding.bytesMax(bucket.utf8.count + key.utf8.count) + 2) { path in
      path.append(UInt8(ascii: "/"))
      if isInPath {
        URIEncoding.append(bucket, keepsSlash: false, to: &path)
        if !key.isEmpty { path.append(UInt8(ascii: "/")) }
      }
      URIEncoding.append(key, keepsSlash: true, to: &path)
    }
    let query = query.isEmpty ? "" : canonicalQuery

    var payload = CanonicalRequest.emptyPayload
    var outgoingBody = OutgoingRequest.Body.none
    switch body {
    case .none: break
    case .bytes(let bytes):
      if !bytes.isEmpty { payload = SHA256.hex(bytes) }
      outgoingBody = .bytes(bytes)
    case .streamed(let length):
      payload = CanonicalRequest.unsignedPayload
      outgoingBody = .streamed(length: length)
    }
    var lines = HeaderLines()
    swap(&lines, &headers)
    lines.append("x-amz-content-sha256", payload)
    lines.append("x-amz-date", time)
    if let token = settings.credentials.sessionToken { lines.append("x-amz-security-token", token) }
    lines.append("host", origin.hostHeader)
    let authorization = signature.authorization(
      CanonicalRequest(method: method, path: path, query: query, headers: lines, payload: payload), time: time)
    // The host's is the transport's to write.
    lines.removeLast()
    lines.append("authorization", bytesMax: authorization.count) { line in authorization.withUnsafeBytes { line.append(octets: $0) } }
    // A PUT or DELETE is answered with a few lines.
    let bytes = expectedBytes ?? (method == "GET" || method == "POST" ? nil : 0)
    return OutgoingRequest(
      method: method, origin: origin, target: Self.target(path, query), lines: lines, body: outgoingBody, expectedBytes: bytes,
      caFile: settings.caFile)
  }
  private static func target(_ path: String, _ query: String) -> String {
    guard !query.isEmpty else { return path }
    return String(bytesMax: path.utf8.count + 1 + query.utf8.count) { target in
      target.append(text: path)
      target.append(UInt8(ascii: "?"))
      target.append(text: query)
    }
  }
}
