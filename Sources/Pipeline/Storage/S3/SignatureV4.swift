// AWS Signature Version 4 in the Authorization header. The signing key depends on day, region and service only, so it is made
// once a day; a request then costs one SHA-256 and one HMAC.
//
// Deliberately not here: presigned URLs, chunked signatures (bodies are streamed as UNSIGNED-PAYLOAD and checked by MD5).
internal import PipelineCore

/// Who signs. Never printed: it has no description of its own and is not logged.
public struct S3Credentials: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
  let accessKey: String
  let secretKey: String
  let sessionToken: String?

  public init(accessKey: String, secretKey: String, sessionToken: String? = nil) {
    self.accessKey = accessKey
    self.secretKey = secretKey
    self.sessionToken = sessionToken
  }

  public var description: String { "<credentials>" }
  public var customMirror: Mirror { Mirror(self, children: [], displayStyle: .struct) }
}

/// What of a request is signed.
struct CanonicalRequest {
  static let unsignedPayload = "UNSIGNED-PAYLOAD"
  /// SHA-256 of nothing.
  static let emptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  var method: String
  /// Percent-encoded, as sent.
  var path: String
  /// Percent-encoded and sorted, as sent; empty without one.
  var query = ""
  /// All that are signed, that of the host among them.
  var headers: HeaderLines
  var payload: String

  /// Puts the names of the headers, and the whole text that is signed, into buffers that are empty.
  fileprivate func write(names: inout [UInt8], text: inout [UInt8]) {
    // Each line of the headers is as long there as here, or longer.
    let namesMax = headers.bytes.count
    names.append(addingCapacity: namesMax) { names in
      let otherBytes = method.utf8.count + path.utf8.count + query.utf8.count + payload.utf8.count
      text.append(addingCapacity: otherBytes + headers.bytes.count + namesMax + Self.newlines) { write(names: &names, text: &$0) }
    }
  }

  /// Behind what is no header's line.
  private static let newlines = 5

  private func write(names: inout OutputSpan<UInt8>, text: inout OutputSpan<UInt8>) {
    text.append(text: method)
    text.append(Octet.newline)
    text.append(text: path)
    text.append(Octet.newline)
    text.append(text: query)
    text.append(Octet.newline)
    headers.withSorted { lines in
      for line in lines {
        if !names.isEmpty { names.append(UInt8(ascii: ";")) }
        names.append(octets: line.name)
        text.append(octets: line.name)
        text.append(UInt8(ascii: ":"))
        Self.append(words: line.value, to: &text)
        text.append(Octet.newline)
      }
    }
    text.append(Octet.newline)
    names.withUnsafeMutableBufferPointer { names, count in
      text.append(octets: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(names)[..<count]))
    }
    text.append(Octet.newline)
    text.append(text: payload)
  }

  /// As a header is signed: runs of spaces as one, none at the ends.
  private static func append(words value: UnsafeRawBufferPointer, to text: inout OutputSpan<UInt8>) {
    guard Octet.has(Octet.space, value) else { return text.append(octets: value) }
    let start = text.count
    var isSpace = true
    for byte in value {
      if byte != Octet.space || !isSpace { text.append(byte) }
      isSpace = byte == Octet.space
    }
    if isSpace, text.count > start { _ = text.removeLast() }
  }
}

/// - Thread: one at a time.
final class SignatureV4 {
  private static let algorithm: StaticString = "AWS4-HMAC-SHA256"

  private let credentials: S3Credentials
  private let region: String
  private let service: String
  /// Of the last signature.
  private var time = ""
  /// Of the day the key was made for, `20130524`.
  private var day = ""
  private var key = HMACKey([])
  /// `20130524/eu-west-3/s3/aws4_request`.
  private var scope: [UInt8] = []
  /// The header's value up to the names of the headers, of that day.
  private var prefix: [UInt8] = []
  /// Used again and again.
  private var (names, canonical, text, value): ([UInt8], [UInt8], [UInt8], [UInt8]) = ([], [], [], [])

  init(credentials: S3Credentials, region: String, service: String = "s3") {
    self.credentials = credentials
    self.region = region
    self.service = service
  }

  /// The value of the Authorization header.
  /// - Parameter time: `20130524T000000Z`, also the value of the signed `x-amz-date`.
  func authorization(_ request: CanonicalRequest, time: String) -> [UInt8] {
    if time != self.time { setTime(time) }
    names.removeAll(keepingCapacity: true)
    canonical.removeAll(keepingCapacity: true)
    request.write(names: &names, text: &canonical)
    text.removeAll(keepingCapacity: true)
    text.append(addingCapacity: Self.algorithm.utf8CodeUnitCount + time.utf8.count + scope.count + 2 * SHA256.digestBytes + 3) { text in
      text.append(literal: Self.algorithm)
      text.append(Octet.newline)
      text.append(text: time)
      text.append(Octet.newline)
      scope.withUnsafeBytes { text.append(octets: $0) }
      text.append(Octet.newline)
      SHA256.withDigest(of: canonical) { Hex.append($0, to: &text) }
    }
    value.removeAll(keepingCapacity: true)
    let label: StaticString = ", Signature="
    value.append(addingCapacity: prefix.count + names.count + label.utf8CodeUnitCount + 2 * SHA256.digestBytes) { value in
      prefix.withUnsafeBytes { value.append(octets: $0) }
      names.withUnsafeBytes { value.append(octets: $0) }
      value.append(literal: label)
      key.withCode(of: text) { Hex.append($0, to: &value) }
    }
    return value
  }

  private func setTime(_ time: String) {
    self.time = time
    let day = String(time.prefix(8))
    guard day != self.day else { return }
    self.day = day
    key = HMACKey(Self.signingKey(credentials.secretKey, day: day, region: region, service: service))
    scope = Array("\(day)/\(region)/\(service)/aws4_request".utf8)
    prefix = Array("\(Self.algorithm) Credential=\(credentials.accessKey)/".utf8) + scope + Array(", SignedHeaders=".utf8)
  }

  static func signingKey(_ secret: String, day: String, region: String, service: String) -> [UInt8] {
    var key = Array("AWS4\(secret)".utf8)
    for part in [day, region, service, "aws4_request"] { key = SHA256.hmac(key, Array(part.utf8)) }
    return key
  }
}

/// Times as AWS writes them.
enum AmazonTime {
  /// `20130524T000000Z` of an ISO 8601 time in UTC with milliseconds.
  static func basic(iso text: String) -> String {
    let digits = text.utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: ":") }
    return String(decoding: digits.prefix(15), as: UTF8.self) + "Z"
  }
}
