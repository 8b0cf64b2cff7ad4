// An error answer: status, name, description, in the body every client of this API reads:
// `{"code":404,"description":"…","RouteNotFound":true}`. The names are Arsenal's where it has one.

public struct HTTPError: Error, Sendable, Hashable {
  public let status: HTTPStatus
  public let name: String
  public let description: String

  public init(_ status: HTTPStatus, _ name: String, _ description: String) {
    self.status = status
    self.name = name
    self.description = description
  }

  public init(_ error: HTTPParseError) {
    let name: String
    switch error.status {
    case .contentTooLarge: name = "EntityTooLarge"
    case .targetTooLong: name = "URITooLong"
    case .expectationFailed: name = "ExpectationFailed"
    case .headTooLarge: name = "RequestHeaderFieldsTooLarge"
    case .notImplemented: name = "NotImplemented"
    case .versionNotSupported: name = "HTTPVersionNotSupported"
    default: name = "BadRequest"
    }
    self.init(error.status, name, error.reason)
  }

  static let requestTimeout = HTTPError(.requestTimeout, "RequestTimeout", "The request did not arrive in time.")

  static let tooManyBodies = HTTPError(.unavailable, "ServiceUnavailable", "Too many large requests at once; try again.")

  public var response: Response {
    var body = Array("{\"code\":\(status.code),\"description\":\"".utf8)
    JSONText.appendEscaped(description, to: &body)
    body.append(contentsOf: "\",\"".utf8)
    JSONText.appendEscaped(name, to: &body)
    body.append(contentsOf: "\":true}".utf8)
    return Response(status, body: body)
  }
}

/// The one thing of JSON this module writes: the inside of a string.
public enum JSONText {
  /// RFC 8259 7: quotes, backslashes and controls escaped, all else as UTF-8.
  public static func appendEscaped(_ text: String, to bytes: inout [UInt8]) {
    for byte in text.utf8 {
      switch byte {
      case ASCII.quote, ASCII.backslash:
        bytes.append(ASCII.backslash)
        bytes.append(byte)
      case ASCII.lineFeed: bytes.append(contentsOf: "\\n".utf8)
      case 0..<ASCII.space:
        bytes.append(contentsOf: "\\u00".utf8)
        bytes.append(ASCII.zero + byte >> 4)
        let low = byte & 15
        bytes.append(low < 10 ? ASCII.zero + low : 0x57 + low)
      default: bytes.append(byte)
      }
    }
  }
}
