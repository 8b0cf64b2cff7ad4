// A parsed request head: offsets into the bytes it was parsed from, never copies. Valid only together with those bytes
// and only until they are consumed. Whatever the server needs on every request stands in its own property; any other
// field is looked up by scanning, which is cold.

/// The method, as far as this server cares. Methods are case-sensitive (RFC 9110 9.1).
public enum HTTPMethod: UInt8, Sendable, Hashable {
  case get, post, delete, head
  /// Any other token; its text is `RequestHead.methodName`.
  case other
}

/// How the body is delimited (RFC 9112 6.3).
public enum BodyFraming: Sendable, Hashable {
  case none
  /// Octets; at least 1.
  case length(Int)
  case chunked
}

public struct RequestHead: Sendable, Hashable {
  public internal(set) var method: HTTPMethod = .other
  public internal(set) var methodName: Range<Int> = 0..<0
  /// 0 or 1; a higher minor version is read as 1 (RFC 9110 2.5).
  public internal(set) var minorVersion: UInt8 = 1
  /// The target as received.
  public internal(set) var target: Range<Int> = 0..<0
  /// Path without query; begins with `/`, or is empty (`*`, authority-form, absolute-form without a path).
  public internal(set) var path: Range<Int> = 0..<0
  /// After the first `?`; nil without one.
  public internal(set) var query: Range<Int>?
  /// Host and port the request is for: of an absolute-form target, else of `Host` (RFC 9112 3.2.2).
  public internal(set) var authority: Range<Int>?
  public internal(set) var origin: Range<Int>?
  public internal(set) var secFetchSite: Range<Int>?
  /// All field lines, each with its CRLF.
  public internal(set) var fields: Range<Int> = 0..<0
  public internal(set) var fieldCount = 0
  public internal(set) var framing: BodyFraming = .none
  /// The connection may serve another request after this one (RFC 9112 9.3).
  public internal(set) var keepsAlive = true
  public internal(set) var expectsContinue = false
  /// Octets of the head with its final empty line, leading empty lines included: where the body begins.
  public internal(set) var byteCount = 0

  public init() {}

  /// The value of the first field of that name, without surrounding white space.
  /// - Parameter name: in lower case.
  /// - Parameter bytes: the bytes this head was parsed from.
  public func field(_ name: StaticString, in bytes: Span<UInt8>) -> Range<Int>? {
    var lineStart = fields.lowerBound
    while lineStart < fields.upperBound {
      var colon = lineStart
      while bytes[colon] != ASCII.colon { colon += 1 }
      var lineEnd = colon
      while bytes[lineEnd] != ASCII.carriageReturn { lineEnd += 1 }
      if bytes.equalsIgnoringCase(name, in: lineStart..<colon) { return bytes.trimmed(colon + 1..<lineEnd) }
      lineStart = lineEnd + 2
    }
    return nil
  }
}
