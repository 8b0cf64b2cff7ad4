// Header fields (RFC 9112 5): the syntax of every line, and the meaning of those that frame the body, keep the connection
// or guard against other sites. All others are only checked.

extension HTTPParser {
  /// - Parameter line: one field line without its CRLF; not empty.
  mutating func readField(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(HTTPParseError) {
    head.fieldCount += 1
    guard head.fieldCount <= limits.fieldCountMax else { throw .fieldCount }
    if ASCII.isBlank(bytes[line.lowerBound]) { throw .foldedField }
    var colon = line.lowerBound
    while colon < line.upperBound, ASCII.isToken(bytes[colon]) { colon += 1 }
    guard colon > line.lowerBound, colon < line.upperBound, bytes[colon] == ASCII.colon else {
      throw colon < line.upperBound && bytes[colon] == ASCII.carriageReturn ? .bareCarriageReturn : .fieldName
    }
    for index in (colon + 1)..<line.upperBound where !ASCII.isFieldValue(bytes[index]) {
      throw bytes[index] == ASCII.carriageReturn ? .bareCarriageReturn : .fieldValue
    }
    try interpret(bytes, name: line.lowerBound..<colon, value: bytes.trimmed((colon + 1)..<line.upperBound))
  }

  /// Sorted by length first: most fields of most requests are not ours, and are passed over with one comparison.
  private mutating func interpret(_ bytes: Span<UInt8>, name: Range<Int>, value: Range<Int>) throws(HTTPParseError) {
    switch name.count {
    case 4:
      guard bytes.equalsIgnoringCase("host", in: name) else { return }
      guard hostField == nil else { throw .hostRepeated }
      hostField = value
    case 6:
      if bytes.equalsIgnoringCase("expect", in: name) {
        guard bytes.equalsIgnoringCase("100-continue", in: value) else { throw .expectation }
        head.expectsContinue = true
      } else if bytes.equalsIgnoringCase("origin", in: name) {
        guard head.origin == nil else { throw .singletonRepeated }
        head.origin = value
      }
    case 10:
      if bytes.equalsIgnoringCase("connection", in: name) { readConnection(bytes, value) }
    case 14:
      if bytes.equalsIgnoringCase("content-length", in: name) {
        guard contentLength == nil else { throw .contentLengthRepeated }
        contentLength = try readLength(bytes, value)
      } else if bytes.equalsIgnoringCase("sec-fetch-site", in: name) {
        guard head.secFetchSite == nil else { throw .singletonRepeated }
        head.secFetchSite = value
      }
    case 17:
      if bytes.equalsIgnoringCase("transfer-encoding", in: name) { try readTransferCodings(bytes, value) }
    default: return
    }
  }

  /// RFC 9110 8.6: one or more digits and nothing else.
  private func readLength(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(HTTPParseError) -> Int {
    guard !value.isEmpty else { throw .contentLength }
    for index in value where !ASCII.isDigit(bytes[index]) { throw .contentLength }
    var length = 0
    for index in value {
      length = length * 10 + Int(bytes[index] - ASCII.zero)
      guard length < 1 << 56 else { throw .contentLengthTooLarge }
    }
    return length
  }

  /// RFC 9112 9.6; the tokens are case-insensitive (RFC 9110 7.6.1).
  private mutating func readConnection(_ bytes: Span<UInt8>, _ value: Range<Int>) {
    bytes.forEachListItem(in: value) { item in
      if bytes.equalsIgnoringCase("close", in: item) { closes = true }
      if bytes.equalsIgnoringCase("keep-alive", in: item) { keepsAliveToken = true }
    }
  }

  /// RFC 9112 6.1: `chunked` once and last; what comes before it is judged when the head is complete.
  private mutating func readTransferCodings(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(HTTPParseError) {
    var isMalformed = false
    var itemCount = 0
    bytes.forEachListItem(in: value) { item in
      itemCount += 1
      let isChunked = bytes.equalsIgnoringCase("chunked", in: item)
      let isName = isToken(bytes, item)
      switch transferCoding {
      case .absent: transferCoding = isChunked ? .chunked : .unknown
      case .unknown: transferCoding = isChunked ? .unknownThenChunked : .unknown
      // RFC 9112 7.1: nothing may follow `chunked`, and it may not be applied twice.
      case .chunked, .unknownThenChunked: isMalformed = true
      }
      if !isName { isMalformed = true }
    }
    if isMalformed || itemCount == 0 { throw .transferCoding }
  }

  private func isToken(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
    for index in range where !ASCII.isToken(bytes[index]) { return false }
    return true
  }
}

extension Span where Element == UInt8 {
  /// Calls `body` with every non-empty item of a comma-separated list, blanks removed (RFC 9110 5.6.1).
  @inline(__always)
  func forEachListItem(in range: Range<Int>, _ body: (Range<Int>) -> Void) {
    var start = range.lowerBound
    while start < range.upperBound {
      var end = start
      while end < range.upperBound, self[end] != ASCII.comma { end += 1 }
      let item = trimmed(start..<end)
      if !item.isEmpty { body(item) }
      start = end + 1
    }
  }
}
