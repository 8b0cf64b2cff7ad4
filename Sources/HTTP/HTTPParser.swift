// Reads a request head (RFC 9112 2 to 6) from the bytes received so far. Pure: no I/O, no allocation, the result is
// offsets. A line is looked at once, when its CRLF has arrived, so a head costs the same in one piece or in a thousand,
// and gives the same result or the same error. Strict where leniency lets two readers see two requests (smuggling):
// bare LF, folding, blanks before colons, repeated or doubled framing. Does not decode targets and reads no body.

internal import CLinux
internal import Glibc

/// An incremental head parser. Feed it the unconsumed input, longer each time, until it answers a head; then consume
/// `head.byteCount` bytes and feed the same (now reset) parser the rest.
public struct HTTPParser: Sendable {
  let limits: HTTPLimits
  var head = RequestHead()
  private var phase = Phase.requestLine
  /// Start of the first line not yet read, and how far it was already searched for its end.
  private var lineStart = 0
  private var searched = 0
  private var emptyLines = 0
  // What was seen so far that only the end of the head can judge.
  var transferCoding = TransferCoding.absent
  var contentLength: Int?
  var hostField: Range<Int>?
  var closes = false
  var keepsAliveToken = false

  private enum Phase: Sendable { case requestLine, fields }

  /// The codings of all Transfer-Encoding lines so far.
  enum TransferCoding: Sendable {
    case absent
    /// Exactly `chunked`.
    case chunked
    /// Unknown codings, none of them last so far: the last one seen was not chunked.
    case unknown
    /// Unknown codings, then `chunked`.
    case unknownThenChunked
  }

  public init(limits: HTTPLimits = HTTPLimits()) { self.limits = limits }

  /// Forgets everything: the next byte begins a request.
  public mutating func reset() { self = HTTPParser(limits: limits) }

  /// Octets of a head have arrived, and not all of them.
  public var isInsideHead: Bool { searched > 0 }

  /// Reads on.
  /// - Parameter bytes: everything received since the last head or body, from its first byte on.
  /// - Returns: the head, once complete; nil while octets are missing.
  /// - Throws: the first rule broken, in the order of the bytes. The parser must not be used again then.
  public mutating func parse(_ bytes: Span<UInt8>) throws(HTTPParseError) -> RequestHead? {
    while true {
      guard let lineFeed = bytes.firstLineFeed(from: searched) else {
        searched = bytes.count
        try checkLine(bytes, end: searched)
        return nil
      }
      searched = lineFeed + 1
      try checkLine(bytes, end: searched)
      guard lineFeed > lineStart, bytes[lineFeed - 1] == ASCII.carriageReturn else { throw .bareLineFeed }
      let line = lineStart..<(lineFeed - 1)
      lineStart = searched
      switch phase {
      case .requestLine:
        if line.isEmpty {
          emptyLines += 1
          guard emptyLines <= HTTPLimits.leadingEmptyLinesMax else { throw .emptyLines }
        } else {
          try readRequestLine(bytes, line)
          phase = .fields
          head.fields = searched..<searched
        }
      case .fields:
        if line.isEmpty { return try finish(bytes) }
        try readField(bytes, line)
        head.fields = head.fields.lowerBound..<searched
      }
    }
  }

  /// What can be said of a line before its end has arrived; asked of complete ones too, and first, so that the answer does
  /// not depend on how the bytes were split.
  private func checkLine(_ bytes: Span<UInt8>, end: Int) throws(HTTPParseError) {
    if phase == .requestLine {
      if end > lineStart { try checkFirstOctet(bytes[lineStart]) }
      if end - lineStart > limits.requestLineBytesMax { throw .targetTooLong }
    }
    if end > limits.headBytesMax { throw .headTooLarge }
  }

  /// A TLS hello or another binary protocol may never send a line feed; its first octet tells.
  private func checkFirstOctet(_ byte: UInt8) throws(HTTPParseError) {
    if ASCII.isToken(byte) || byte == ASCII.carriageReturn { return }
    if byte == ASCII.lineFeed { throw .bareLineFeed }
    throw byte == ASCII.space ? .requestLine : .method
  }

  private mutating func finish(_ bytes: Span<UInt8>) throws(HTTPParseError) -> RequestHead {
    try decideFraming()
    try decideAuthority(bytes)
    head.keepsAlive = head.minorVersion == 0 ? keepsAliveToken && !closes : !closes
    if head.minorVersion == 0 { head.expectsContinue = false }
    head.byteCount = searched
    defer { reset() }
    return head
  }

  /// RFC 9112 6.1 and 6.3.
  private mutating func decideFraming() throws(HTTPParseError) {
    switch transferCoding {
    case .absent:
      if let contentLength, contentLength > 0 { head.framing = .length(contentLength) }
      return
    case .chunked: head.framing = .chunked
    case .unknown: throw .transferCoding
    case .unknownThenChunked: break
    }
    if head.minorVersion == 0 { throw .transferCodingInVersion10 }
    if contentLength != nil { throw .lengthAndTransferCoding }
    if transferCoding == .unknownThenChunked { throw .transferCodingUnsupported }
  }

  /// RFC 9112 3.2: exactly one Host in HTTP/1.1, and the authority of an absolute-form target goes before it.
  private mutating func decideAuthority(_ bytes: Span<UInt8>) throws(HTTPParseError) {
    if hostField == nil, head.minorVersion > 0 { throw .hostMissing }
    if let hostField, !bytes.isAuthority(hostField) { throw .host }
    if head.authority == nil { head.authority = hostField }
  }
}

extension Span where Element == UInt8 {
  /// Index of the first LF at or after `start`.
  @inline(__always)
  fileprivate func firstLineFeed(from start: Int) -> Int? {
    withUnsafeBufferPointer { buffer in
      guard start < buffer.count, let base = buffer.baseAddress else { return nil }
      guard let found = memchr(base + start, Int32(ASCII.lineFeed), buffer.count - start) else { return nil }
      return UnsafeRawPointer(base).distance(to: found)
    }
  }

  /// `uri-host [":" port]`, or empty (RFC 9110 7.2): the characters a host may have, brackets only around an address.
  func isAuthority(_ range: Range<Int>) -> Bool {
    guard !range.isEmpty else { return true }
    var index = range.lowerBound
    if self[index] == ASCII.openBracket {
      index += 1
      let start = index
      while index < range.upperBound, isAddressByte(self[index]) { index += 1 }
      guard index > start, index < range.upperBound, self[index] == ASCII.closeBracket else { return false }
      index += 1
    } else {
      while index < range.upperBound, isHostByte(self[index]) { index += 1 }
      guard index > range.lowerBound else { return false }
    }
    guard index < range.upperBound else { return true }
    guard self[index] == ASCII.colon, range.upperBound - index <= 6 else { return false }
    for digit in (index + 1)..<range.upperBound where !ASCII.isDigit(self[digit]) { return false }
    return true
  }

  private func isAddressByte(_ byte: UInt8) -> Bool { ASCII.hexValue(byte) != nil || byte == ASCII.colon || byte == ASCII.dot }

  // RFC 3986 3.2.2 reg-name: unreserved, percent-encoded, sub-delims (without the comma, which joins two field lines).
  private func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: return true
    case 0x2D, ASCII.dot, 0x5F, 0x7E, ASCII.percent, 0x21, 0x24, ASCII.ampersand, 0x27, 0x28, 0x29, ASCII.asterisk, ASCII.plus,
      ASCII.semicolon, ASCII.equals:
      return true
    default: return false
    }
  }
}
