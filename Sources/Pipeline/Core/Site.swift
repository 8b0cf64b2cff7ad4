// The name of a location as the entries spell it, and what a `storageClass` list says of it.

/// A replication location ("site" in Backbeat), prepared for comparison with entries.
public struct Site: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let name: String
  let utf8: [UInt8]
  /// The name in three words if it fits and could be an item of a list, else nothing any text equals.
  private let short: ShortText

  public init(_ name: String) {
    self.name = name
    utf8 = Array(name.utf8)
    let isItem = (1...ShortText.countMax).contains(utf8.count) && !utf8.contains(UInt8(ascii: ","))
    short = isItem ? ShortText(plain: utf8) : .none
  }

  public init(stringLiteral name: String) { self.init(name) }
  public var description: String { name }

  /// An item of the list may end in this: the location reads are served from (backbeat-behaviour 4.1).
  static let preferredRead: [UInt8] = Array(":preferred_read".utf8)
  private static let preferredReadCount = 15

  /// Whether the comma list names this site.
  func isListed(_ list: TextSlice, in text: Span<UInt8>) -> Bool {
    guard list.isPresent else { return false }
    if list.range.count == short.count, !list.isEscaped, ShortText(list, in: text) == short { return true }
    if list.isEscaped {
      let plain = list.bytes(in: text)
      return isListed(plain.span, 0..<plain.count)
    }
    return isListed(text, list.range)
  }

  private func isListed(_ text: Span<UInt8>, _ range: Range<Int>) -> Bool {
    var start = range.lowerBound
    while start < range.upperBound {
      var end = start
      while end < range.upperBound, text[end] != UInt8(ascii: ",") { end += 1 }
      if matches(text, start, end) { return true }
      start = end + 1
    }
    return false
  }

  private func matches(_ text: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
    let count = end - start
    guard count == utf8.count || count == utf8.count + Self.preferredReadCount, count > 0 else { return false }
    for index in utf8.indices where text[start + index] != utf8[index] { return false }
    guard count > utf8.count else { return true }
    let suffix = Self.preferredRead
    for index in suffix.indices where text[start + utf8.count + index] != suffix[index] { return false }
    return true
  }

  func equals(_ slice: TextSlice, in text: Span<UInt8>) -> Bool {
    if slice.range.count == short.count, !slice.isEscaped { return slice.isPresent && ShortText(slice, in: text) == short }
    if slice.isEscaped { return slice.bytes(in: text) == utf8 }
    guard slice.isPresent, slice.range.count == utf8.count else { return false }
    for index in utf8.indices where text[Int(slice.start) + index] != utf8[index] { return false }
    return true
  }
}
