// The request line (RFC 9112 3): method, target, version, exactly one space between them.

extension HTTPParser {
  /// - Parameter line: the line without its CRLF; not empty.
  mutating func readRequestLine(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(HTTPParseError) {
    let methodEnd = try readMethod(bytes, line)
    var targetEnd = methodEnd + 1
    while targetEnd < line.upperBound, bytes[targetEnd] != ASCII.space {
      // RFC 3986 2: a URI is printable ASCII, and `#` begins the fragment, which is never sent (RFC 9110 7.1).
      let byte = bytes[targetEnd]
      if byte == ASCII.carriageReturn { throw .bareCarriageReturn }
      guard byte > 0x20, byte < 0x7F, byte != 0x23 else { throw .target }
      targetEnd += 1
    }
    guard targetEnd > methodEnd + 1, targetEnd < line.upperBound else { throw .requestLine }
    let target = (methodEnd + 1)..<targetEnd
    guard target.count <= limits.targetBytesMax else { throw .targetTooLong }
    try readVersion(bytes, (targetEnd + 1)..<line.upperBound)
    head.target = target
    try readTarget(bytes, target)
  }

  private mutating func readMethod(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(HTTPParseError) -> Int {
    var end = line.lowerBound
    while end < line.upperBound, bytes[end] != ASCII.space {
      if bytes[end] == ASCII.carriageReturn { throw .bareCarriageReturn }
      guard ASCII.isToken(bytes[end]) else { throw .method }
      end += 1
    }
    let name = line.lowerBound..<end
    guard !name.isEmpty, end < line.upperBound else { throw .requestLine }
    guard name.count <= HTTPLimits.methodBytesMax else { throw .methodTooLong }
    head.methodName = name
    if bytes.equals("GET", in: name) {
      head.method = .get
    } else if bytes.equals("POST", in: name) {
      head.method = .post
    } else if bytes.equals("DELETE", in: name) {
      head.method = .delete
    } else {
      head.method = bytes.equals("HEAD", in: name) ? .head : .other
    }
    return end
  }

  /// RFC 9112 2.3: `HTTP/` digit `.` digit, case-sensitive.
  private mutating func readVersion(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(HTTPParseError) {
    for index in range where bytes[index] == ASCII.carriageReturn { throw .bareCarriageReturn }
    let major = range.lowerBound + 5
    guard range.count == 8, bytes.equals("HTTP/", in: range.lowerBound..<major), ASCII.isDigit(bytes[major]),
      bytes[major + 1] == ASCII.dot, ASCII.isDigit(bytes[major + 2])
    else { throw .version }
    guard bytes[major] == ASCII.zero + 1 else { throw .versionUnsupported }
    head.minorVersion = bytes[major + 2] == ASCII.zero ? 0 : 1
  }

  /// The four forms of RFC 9112 3.2.
  private mutating func readTarget(_ bytes: Span<UInt8>, _ target: Range<Int>) throws(HTTPParseError) {
    if bytes[target.lowerBound] == ASCII.slash { return splitQuery(bytes, target) }
    if target.count == 1, bytes[target.lowerBound] == ASCII.asterisk {
      head.path = target.upperBound..<target.upperBound
      return
    }
    if bytes.equals("CONNECT", in: head.methodName) {
      guard bytes.isAuthority(target) else { throw .target }
      head.path = target.upperBound..<target.upperBound
      return
    }
    let authorityStart = try afterScheme(bytes, target)
    var authorityEnd = authorityStart
    while authorityEnd < target.upperBound, bytes[authorityEnd] != ASCII.slash, bytes[authorityEnd] != ASCII.question {
      authorityEnd += 1
    }
    // An empty host, or user information before it (RFC 9110 4.2.4), is refused: `isAuthority` knows no `@`.
    guard authorityEnd > authorityStart, bytes.isAuthority(authorityStart..<authorityEnd) else { throw .target }
    head.authority = authorityStart..<authorityEnd
    splitQuery(bytes, authorityEnd..<target.upperBound)
  }

  private func afterScheme(_ bytes: Span<UInt8>, _ target: Range<Int>) throws(HTTPParseError) -> Int {
    let start = target.lowerBound
    if target.count > 7, bytes.equalsIgnoringCase("http://", in: start..<(start + 7)) { return start + 7 }
    if target.count > 8, bytes.equalsIgnoringCase("https://", in: start..<(start + 8)) { return start + 8 }
    throw .target
  }

  private mutating func splitQuery(_ bytes: Span<UInt8>, _ range: Range<Int>) {
    var index = range.lowerBound
    while index < range.upperBound, bytes[index] != ASCII.question { index += 1 }
    head.path = range.lowerBound..<index
    head.query = index < range.upperBound ? (index + 1)..<range.upperBound : nil
  }
}
