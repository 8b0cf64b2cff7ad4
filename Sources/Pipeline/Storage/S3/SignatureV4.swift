// AWS Signature Version 4 in the Authorization header. The signing key depends on day, region and service only, so it is made
// once a day; a request then costs one SHA-256 and one HMAC.
//
// Deliberately not here: presigned URLs, chunked signatures (bodies are streamed as UNSIGNED-PAYLOAD and checked by MD5).

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
  /// Names in lower case, sorted; values trimmed.
  var headers: [HTTPHeader]
  var payload: String

  var signedNames: String { headers.map(\.name).joined(separator: ";") }

  func bytes(signedNames: String) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(512)
    func line(_ part: String) {
      text += part.utf8
      text.append(UInt8(ascii: "\n"))
    }
    line(method)
    line(path)
    line(query)
    for header in headers {
      text += header.name.utf8
      text.append(UInt8(ascii: ":"))
      line(header.value)
    }
    line("")
    line(signedNames)
    text += payload.utf8
    return text
  }
}

/// - Thread: one at a time.
final class SignatureV4 {
  private let credentials: S3Credentials
  private let region: String
  private let service: String
  /// Of the day the key was made for, `20130524`.
  private var day = ""
  private var key: [UInt8] = []

  init(credentials: S3Credentials, region: String, service: String = "s3") {
    self.credentials = credentials
    self.region = region
    self.service = service
  }

  /// The value of the Authorization header.
  /// - Parameter time: `20130524T000000Z`, also the value of the signed `x-amz-date`.
  func authorization(_ request: CanonicalRequest, time: String) -> String {
    let day = String(time.prefix(8))
    let scope = "\(day)/\(region)/\(service)/aws4_request"
    let names = request.signedNames
    let digest = SHA256.hex(request.bytes(signedNames: names))
    if day != self.day {
      key = Self.signingKey(credentials.secretKey, day: day, region: region, service: service)
      self.day = day
    }
    let signature = Self.hex(SHA256.hmac(key, Array("AWS4-HMAC-SHA256\n\(time)\n\(scope)\n\(digest)".utf8)))
    return "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope), SignedHeaders=\(names), Signature=\(signature)"
  }

  static func signingKey(_ secret: String, day: String, region: String, service: String) -> [UInt8] {
    var key = Array("AWS4\(secret)".utf8)
    for part in [day, region, service, "aws4_request"] { key = SHA256.hmac(key, Array(part.utf8)) }
    return key
  }

  private static let digits = Array("0123456789abcdef".utf8)

  static func hex(_ bytes: [UInt8]) -> String {
    String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
      for (index, byte) in bytes.enumerated() {
        buffer[2 * index] = digits[Int(byte >> 4)]
        buffer[2 * index + 1] = digits[Int(byte & 15)]
      }
      return bytes.count * 2
    }
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
