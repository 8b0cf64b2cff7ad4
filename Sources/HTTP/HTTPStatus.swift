// Status codes this server answers with, and their reason phrases (RFC 9110 15). A code outside the list cannot be
// written by accident: the type has no public initialiser.

/// One status line's code and phrase.
public struct HTTPStatus: Sendable, Hashable {
  public let code: Int
  let phrase: StaticString

  public static func == (left: HTTPStatus, right: HTTPStatus) -> Bool { left.code == right.code }
  public func hash(into hasher: inout Hasher) { hasher.combine(code) }

  public static let ok = HTTPStatus(code: 200, phrase: "OK")
  public static let accepted = HTTPStatus(code: 202, phrase: "Accepted")
  public static let badRequest = HTTPStatus(code: 400, phrase: "Bad Request")
  public static let forbidden = HTTPStatus(code: 403, phrase: "Forbidden")
  public static let notFound = HTTPStatus(code: 404, phrase: "Not Found")
  public static let methodNotAllowed = HTTPStatus(code: 405, phrase: "Method Not Allowed")
  public static let requestTimeout = HTTPStatus(code: 408, phrase: "Request Timeout")
  public static let contentTooLarge = HTTPStatus(code: 413, phrase: "Content Too Large")
  public static let targetTooLong = HTTPStatus(code: 414, phrase: "URI Too Long")
  public static let expectationFailed = HTTPStatus(code: 417, phrase: "Expectation Failed")
  public static let headTooLarge = HTTPStatus(code: 431, phrase: "Request Header Fields Too Large")
  public static let internalError = HTTPStatus(code: 500, phrase: "Internal Server Error")
  public static let notImplemented = HTTPStatus(code: 501, phrase: "Not Implemented")
  public static let unavailable = HTTPStatus(code: 503, phrase: "Service Unavailable")
  public static let versionNotSupported = HTTPStatus(code: 505, phrase: "HTTP Version Not Supported")
}
