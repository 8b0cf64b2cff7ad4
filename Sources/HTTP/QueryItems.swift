// The query of a request target: `name=value` pairs joined by `&`, percent-decoded once, `+` as a space. Looked up by name
// where a route takes a parameter; unknown names are nobody's business.

public struct QueryItems {
  /// What a query says about one name.
  public enum Value: Sendable, Equatable {
    case absent
    /// Empty for `name` and `name=`.
    case single(String)
    /// More than once: which one counts would be a guess.
    case repeated
    /// A bad escape, or not UTF-8.
    case malformed
  }

  private let range: Range<Int>

  /// - Parameter range: as of `RequestHead.query`.
  public init(_ range: Range<Int>?) { self.range = range ?? 0..<0 }

  public func value(_ name: StaticString, in bytes: Span<UInt8>) -> Value {
    var found = Value.absent
    visit(name, in: bytes) { text in
      guard found == .absent else { return found = .repeated }
      found = text.map { .single($0) } ?? .malformed
    }
    return found
  }

  /// Of a name that may stand more than once, in the query's order; nil: one of them is malformed.
  public func values(_ name: StaticString, in bytes: Span<UInt8>) -> [String]? {
    var found: [String]? = []
    visit(name, in: bytes) { text in
      if let text { found?.append(text) } else { found = nil }
    }
    return found
  }

  /// - Parameter body: is given nil for what is malformed.
  private func visit(_ name: StaticString, in bytes: Span<UInt8>, _ body: (String?) -> Void) {
    var start = range.lowerBound
    while start < range.upperBound {
      var end = start
      while end < range.upperBound, bytes[end] != ASCII.ampersand { end += 1 }
      var nameEnd = start
      while nameEnd < end, bytes[nameEnd] != ASCII.equals { nameEnd += 1 }
      if bytes.decodedEquals(name, in: start..<nameEnd) {
        body(bytes.percentDecoded(min(nameEnd + 1, end)..<end, plusIsSpace: true))
      }
      start = end + 1
    }
  }
}
