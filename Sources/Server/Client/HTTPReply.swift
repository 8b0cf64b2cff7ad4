// One HTTP/1.1 answer, parsed from the bytes received so far.
//
// For the control client only: one request a connection, `Connection: close`, so whatever follows the answer is nobody's.
// Framing is RFC 9112 section 6.3 as a client sees it: chunked, else Content-Length, else until the end of the connection.

struct HTTPReply: Equatable, Sendable {
  var status: Int
  /// Names in lower case; of a repeated field the last.
  var fields: [String: String]
  var body: [UInt8]

  enum Outcome: Equatable, Sendable {
    case needMore
    case reply(HTTPReply)
    case malformed(String)
  }

  /// Reads an answer from the front of `bytes`.
  ///
  /// - Parameter isComplete: the peer has closed; no more bytes will come.
  static func parse(_ bytes: [UInt8], isComplete: Bool) -> Outcome {
    guard let headEnd = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
      return isComplete ? .malformed("the answer ends inside its head") : .needMore
    }
    let lines = String(decoding: bytes[..<headEnd.lowerBound], as: UTF8.self).split(separator: "\r\n")
    let words = (lines.first ?? "").split(separator: " ", maxSplits: 2)
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3, let status = Int(words[1]) else {
      return .malformed("this is not HTTP: “\((lines.first ?? "").prefix(60))”")
    }
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { return .malformed("a header line without a colon") }
      fields[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmed
    }
    let rest = bytes[headEnd.upperBound...]
    // 100 Continue and its like precede the real answer.
    if (100..<200).contains(status) { return parse(Array(rest), isComplete: isComplete) }
    switch body(rest, status: status, fields: fields, isComplete: isComplete) {
    case .needMore: return isComplete ? .malformed("the answer ends inside its body") : .needMore
    case .malformed(let why): return .malformed(why)
    case .body(let body): return .reply(HTTPReply(status: status, fields: fields, body: body))
    }
  }

  private enum BodyOutcome {
    case needMore
    case body([UInt8])
    case malformed(String)
  }

  private static func body(
    _ bytes: ArraySlice<UInt8>, status: Int, fields: [String: String], isComplete: Bool
  ) -> BodyOutcome {
    if status == 204 || status == 304 { return .body([]) }
    if let coding = fields["transfer-encoding"] {
      guard coding.lowercased() == "chunked" else { return .malformed("unknown transfer coding “\(coding)”") }
      return chunked(bytes)
    }
    if let text = fields["content-length"] {
      guard let length = Int(text), length >= 0 else { return .malformed("Content-Length “\(text)”") }
      return bytes.count < length ? .needMore : .body(Array(bytes.prefix(length)))
    }
    return isComplete ? .body(Array(bytes)) : .needMore
  }

  private static func chunked(_ bytes: ArraySlice<UInt8>) -> BodyOutcome {
    var rest = bytes
    var body: [UInt8] = []
    while true {
      guard let end = rest.firstRange(of: Array("\r\n".utf8)) else { return .needMore }
      let digits = rest[..<end.lowerBound].prefix { $0 != UInt8(ascii: ";") }
      guard digits.count <= 8, let size = Int(String(decoding: digits, as: UTF8.self).trimmed, radix: 16), size >= 0 else {
        return .malformed("a chunk without a size")
      }
      rest = rest[end.upperBound...]
      if size == 0 { return .body(body) }
      guard rest.count >= size + 2 else { return .needMore }
      body += rest.prefix(size)
      rest = rest.dropFirst(size + 2)
    }
  }
}
