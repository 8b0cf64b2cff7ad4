// A request path as segments: offsets only, split at `/` before anything is decoded, so that `%2F` stays data inside a
// segment (RFC 3986 2.2). Comparing decodes on the fly; only keys that leave the request become strings.

/// The first segments of a path. `/_/crr/status/` has three and a trailing slash; `/` has none.
public struct PathSegments {
  /// Longest fixed part of any route, with room; what is beyond belongs to a key.
  public static let countMax = 12

  private var starts = InlineArray<12, Int>(repeating: 0)
  private var ends = InlineArray<12, Int>(repeating: 0)
  /// Segments found, at most `countMax`.
  public private(set) var count = 0
  /// There are more than `countMax`.
  public private(set) var isTruncated = false
  /// The path ends in `/`; the empty segment behind it is not counted.
  public private(set) var hasTrailingSlash = false
  private let pathEnd: Int

  /// - Parameter path: as of `RequestHead.path`: begins with `/`, or is empty (then there is no segment).
  public init(_ path: Range<Int>, in bytes: Span<UInt8>) {
    pathEnd = path.upperBound
    var start = path.lowerBound + 1
    while start < path.upperBound {
      var end = start
      while end < path.upperBound, bytes[end] != ASCII.slash { end += 1 }
      if count == Self.countMax {
        isTruncated = true
        break
      }
      starts[count] = start
      ends[count] = end
      count += 1
      start = end + 1
    }
    hasTrailingSlash = path.count > 1 && bytes[path.upperBound - 1] == ASCII.slash
  }

  public subscript(index: Int) -> Range<Int> {
    precondition(index < count, "no segment \(index)")
    return starts[index]..<ends[index]
  }

  /// From that segment to the end of the path, slashes included: a key.
  public func rest(from index: Int) -> Range<Int> { index < count ? starts[index]..<pathEnd : pathEnd..<pathEnd }

  /// The segments are exactly these, or these and a trailing slash.
  public func count(is count: Int) -> Bool { self.count == count && !isTruncated }
}

extension Span where Element == UInt8 {
  /// The range, percent-decoded once, is exactly the literal. A malformed escape equals nothing.
  @inline(__always)
  public func decodedEquals(_ text: StaticString, in range: Range<Int>) -> Bool {
    // Nearly always nothing is encoded, and lengths differ.
    if range.count == text.utf8CodeUnitCount { return equals(text, in: range) }
    if range.count < text.utf8CodeUnitCount { return false }
    return decodedEquals(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount), in: range)
  }

  /// The same for a name known only at run time. (Another label, or every literal would be a `String`.)
  public func decodedEquals(text: String, in range: Range<Int>) -> Bool { decodedEquals(text.utf8, in: range) }

  private func decodedEquals(_ text: some Collection<UInt8>, in range: Range<Int>) -> Bool {
    var index = range.lowerBound
    for expected in text {
      guard index < range.upperBound else { return false }
      var byte = self[index]
      index += 1
      if byte == ASCII.percent {
        guard let decoded = escape(at: index, end: range.upperBound) else { return false }
        byte = decoded
        index += 2
      }
      guard byte == expected else { return false }
    }
    return index == range.upperBound
  }

  /// The range percent-decoded once.
  /// - Parameter plusIsSpace: as in a query (`application/x-www-form-urlencoded`).
  /// - Returns: nil for a malformed escape or bytes that are not UTF-8.
  public func percentDecoded(_ range: Range<Int>, plusIsSpace: Bool = false) -> String? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(range.count)
    var index = range.lowerBound
    while index < range.upperBound {
      let byte = self[index]
      index += 1
      if byte == ASCII.percent {
        guard let escaped = escape(at: index, end: range.upperBound) else { return nil }
        decoded.append(escaped)
        index += 2
      } else {
        decoded.append(plusIsSpace && byte == ASCII.plus ? ASCII.space : byte)
      }
    }
    return String(validating: decoded, as: UTF8.self)
  }

  /// The two digits behind a `%`.
  private func escape(at index: Int, end: Int) -> UInt8? {
    guard index + 1 < end, let high = ASCII.hexValue(self[index]), let low = ASCII.hexValue(self[index + 1]) else { return nil }
    return high << 4 | low
  }
}
