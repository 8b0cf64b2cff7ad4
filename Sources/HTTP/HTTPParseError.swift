// What can be wrong with the bytes of a request. One case per rule, so that a test can name the rule it checks and the
// answer can say what the client did; the status is the one the cited paragraph asks for.

/// The peer's fault, found while reading a head or a body. After one of these the connection is answered and closed:
/// where the next request would begin is no longer known.
public enum HTTPParseError: Error, Hashable, Sendable, CaseIterable {
  /// Not `method SP target SP version CRLF` with single spaces (RFC 9112 3).
  case requestLine
  /// The method is empty or holds an octet that is no token character (RFC 9112 3.1).
  case method
  /// The method is longer than any known one (RFC 9112 3: 501).
  case methodTooLong
  /// The target is in none of the forms of RFC 9112 3.2, or holds a control, a space, `#` or an octet above 0x7E.
  case target
  case targetTooLong
  /// The version is not `HTTP/` digit `.` digit, in capitals (RFC 9112 2.3).
  case version
  /// Another major version than 1 (RFC 9110 15.6.6).
  case versionUnsupported
  /// LF without CR before it (RFC 9112 2.2: we do not use the permission to accept it).
  case bareLineFeed
  /// CR without LF after it (RFC 9112 2.2).
  case bareCarriageReturn
  /// More empty lines before a request line than anybody sends.
  case emptyLines
  case headTooLarge
  case fieldCount
  /// Empty or no token, or followed by white space before the colon, or no colon at all (RFC 9112 5.1).
  case fieldName
  /// A control octet in a value (RFC 9110 5.5).
  case fieldValue
  /// A line that begins with white space (RFC 9112 5.2: a server refuses obs-fold).
  case foldedField
  /// HTTP/1.1 without `Host` (RFC 9112 3.2).
  case hostMissing
  case hostRepeated
  case host
  /// No plain run of digits (RFC 9110 8.6).
  case contentLength
  /// More than one, even if equal (RFC 9110 8.6 allows to refuse).
  case contentLengthRepeated
  /// More digits than any body could have.
  case contentLengthTooLarge
  /// Both framings at once: request smuggling (RFC 9112 6.1).
  case lengthAndTransferCoding
  /// Not exactly one `chunked` as the last coding (RFC 9112 6.3).
  case transferCoding
  /// Codings before `chunked` that we do not know (RFC 9112 6.1: 501).
  case transferCodingUnsupported
  /// Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1: faulty framing).
  case transferCodingInVersion10
  /// Something other than `100-continue` (RFC 9110 10.1.1: 417).
  case expectation
  /// `Origin` or `Sec-Fetch-Site` twice: which one decides would be a guess.
  case singletonRepeated
  /// Chunk size without digits, too many of them, or followed by neither `;` nor CRLF (RFC 9112 7.1).
  case chunkSize
  /// Chunk extension outside the grammar of RFC 9112 7.1.1.
  case chunkExtension
  case chunkExtensionsTooLarge
  /// Chunk data not followed by CRLF (RFC 9112 7.1).
  case chunkEnd
  case trailer
  case trailersTooLarge
  case bodyTooLarge

  public var status: HTTPStatus {
    switch self {
    case .methodTooLong, .transferCodingUnsupported: return .notImplemented
    case .targetTooLong: return .targetTooLong
    case .versionUnsupported: return .versionNotSupported
    case .headTooLarge, .fieldCount, .trailersTooLarge: return .headTooLarge
    case .bodyTooLarge, .contentLengthTooLarge: return .contentTooLarge
    case .expectation: return .expectationFailed
    case .requestLine, .method, .target, .version, .bareLineFeed, .bareCarriageReturn, .emptyLines, .fieldName, .fieldValue,
      .foldedField, .hostMissing, .hostRepeated, .host, .contentLength, .contentLengthRepeated, .lengthAndTransferCoding,
      .transferCoding, .transferCodingInVersion10, .singletonRepeated, .chunkSize, .chunkExtension, .chunkExtensionsTooLarge,
      .chunkEnd, .trailer:
      return .badRequest
    }
  }

  /// English, for the client's developer; constant text, so nothing of the request is echoed.
  public var reason: String {
    switch self {
    case .requestLine: return "The request line is not 'METHOD target HTTP/1.1'."
    case .method: return "The method is not a token."
    case .methodTooLong: return "The method is longer than any known one."
    case .target: return "The request target is malformed."
    case .targetTooLong: return "The request target is too long."
    case .version: return "The protocol version is malformed."
    case .versionUnsupported: return "Only HTTP/1.1 and HTTP/1.0 are spoken here."
    case .bareLineFeed: return "A line ends in LF without CR."
    case .bareCarriageReturn: return "A CR is not followed by LF."
    case .emptyLines: return "Too many empty lines before the request line."
    case .headTooLarge: return "The request head is too large."
    case .fieldCount: return "The request has too many header fields."
    case .fieldName: return "A header field name is malformed."
    case .fieldValue: return "A header field value holds a control character."
    case .foldedField: return "Folded header fields are not accepted."
    case .hostMissing: return "The Host header is missing."
    case .hostRepeated: return "The Host header is given more than once."
    case .host: return "The Host header is malformed."
    case .contentLength: return "The Content-Length is malformed."
    case .contentLengthRepeated: return "The Content-Length is given more than once."
    case .contentLengthTooLarge, .bodyTooLarge: return "The request body is too large."
    case .lengthAndTransferCoding: return "Content-Length and Transfer-Encoding must not come together."
    case .transferCoding: return "The Transfer-Encoding is malformed."
    case .transferCodingUnsupported: return "The only transfer coding understood is 'chunked'."
    case .transferCodingInVersion10: return "HTTP/1.0 has no Transfer-Encoding."
    case .expectation: return "The only expectation understood is '100-continue'."
    case .singletonRepeated: return "A header field that must stand alone is given more than once."
    case .chunkSize: return "A chunk size is malformed."
    case .chunkExtension: return "A chunk extension is malformed."
    case .chunkExtensionsTooLarge: return "The chunk extensions are too large."
    case .chunkEnd: return "A chunk does not end where its size says."
    case .trailer: return "A trailer field is malformed."
    case .trailersTooLarge: return "The trailer section is too large."
    }
  }
}
