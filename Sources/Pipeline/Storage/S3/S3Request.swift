// One S3 request before it is signed, and where an S3 service is.

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
struct S3Endpoint: Hashable {
  /// With `://`.
  let scheme: String
  /// With its port, where it is not the scheme's own.
  let host: String

  init(_ url: String) {
    let end = url.firstRange(of: "://")
    scheme = end.map { String(url[..<$0.upperBound]) } ?? ""
    host = String(url[(end?.upperBound ?? url.startIndex)...])
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
  var headers: [HTTPHeader] = []
  var body = Body.none
  /// Of the answer's body, where it is known; a hint.
  var expectedBytes: Int64?

  init(_ method: String, _ bucket: String, _ key: String = "", query: [(String, String)] = [], headers: [HTTPHeader] = [], body: Body = .none) {
    self.method = method
    self.bucket = bucket
    self.key = key
    self.query = query
    self.headers = headers
    self.body = body
  }

  /// For messages.
  var name: String { "\(method) \(PrintableName.of("\(bucket)/\(key)"))" }

  /// Encoded and in the order to be signed.
  var canonicalQuery: String {
    query.map { (URIEncoding.encoded($0.0), URIEncoding.encoded($0.1)) }.sorted { $0 < $1 }
      .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
  }

  /// Signs and addresses it.
  /// - Parameter iso: the time now, ISO 8601 UTC.
  func outgoing(_ settings: S3Settings, endpoint: S3Endpoint, signature: SignatureV4, iso: String) -> OutgoingRequest {
    let scheme = endpoint.scheme
    var host = endpoint.host
    var path: [UInt8] = [UInt8(ascii: "/")]
    // Without a bucket it is about all of them.
    if settings.pathStyle || bucket.isEmpty {
      URIEncoding.append(bucket, keepsSlash: false, to: &path)
      if !key.isEmpty { path.append(UInt8(ascii: "/")) }
    } else {
      host = "\(bucket).\(host)"
    }
    URIEncoding.append(key, keepsSlash: true, to: &path)

    let time = AmazonTime.basic(iso: iso)
    var payload = CanonicalRequest.emptyPayload
    var outgoingBody = OutgoingRequest.Body.none
    switch body {
    case .none: break
    case .bytes(let bytes):
      payload = SHA256.hex(bytes)
      outgoingBody = .bytes(bytes)
    case .streamed(let length):
      payload = CanonicalRequest.unsignedPayload
      outgoingBody = .streamed(length: length)
    }
    var signed = headers.map { HTTPHeader($0.name.lowercased(), $0.value.headerValue) }
    signed.append(HTTPHeader("host", Self.hostHeader(host, scheme)))
    signed.append(HTTPHeader("x-amz-content-sha256", payload))
    signed.append(HTTPHeader("x-amz-date", time))
    if let token = settings.credentials.sessionToken { signed.append(HTTPHeader("x-amz-security-token", token)) }
    signed.sort { $0.name < $1.name }
    let pathText = String(decoding: path, as: UTF8.self)
    let query = canonicalQuery
    let canonical = CanonicalRequest(
      method: method, path: pathText, query: query, headers: signed.map { HTTPHeader($0.name, $0.value.trimmedToWords) },
      payload: payload)
    let authorization = signature.authorization(canonical, time: time)
    var sent = signed.filter { $0.name != "host" }
    sent.append(HTTPHeader("authorization", authorization))
    var outgoing = OutgoingRequest(
      method: method, url: "\(scheme)\(host)\(pathText)\(query.isEmpty ? "" : "?\(query)")", headers: sent, body: outgoingBody,
      caFile: settings.caFile)
    // A PUT or DELETE is answered with a few lines.
    outgoing.expectedBytes = expectedBytes ?? (method == "GET" || method == "POST" ? nil : 0)
    return outgoing
  }

  /// As the HTTP library will write it: without the scheme's own port.
  private static func hostHeader(_ host: String, _ scheme: String) -> String {
    let usual = scheme == "http://" ? ":80" : ":443"
    return host.hasSuffix(usual) ? String(host.dropLast(usual.count)) : host
  }
}

extension String {
  /// As it may stand in a header: a control character would end it, or the request.
  fileprivate var headerValue: String {
    guard utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return self }
    return String(decoding: utf8.map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }, as: UTF8.self)
  }

  /// As a header is signed: runs of spaces as one, none at the ends.
  fileprivate var trimmedToWords: String {
    guard hasPrefix(" ") || hasSuffix(" ") || contains("  ") else { return self }
    return split(separator: " ").joined(separator: " ")
  }
}
