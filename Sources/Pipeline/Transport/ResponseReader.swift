// An HTTP/1.1 answer out of bytes that come in any pieces: status and header lines, then the body by its length, in chunks or
// until the connection ends. A value without I/O.
//
// Invariant: nothing behind the answer is taken, so that what follows it can be noticed. What is doubtful (two lengths, an
// unknown coding, a folded line, a NUL) is refused: a proxy in between might have understood it otherwise. That holds for
// chunks beside a Content-Length too, and for chunks of HTTP/1.0: RFC 9112 6.3 lets the chunks win, and 6.1 calls the other
// faulty, but who sends either may be made to answer one request with the end of another's.

/// What came is no HTTP answer.
struct MalformedResponse: Error, Hashable, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

struct ResponseReader {
  /// Bytes of a head, provisional answers included.
  static let headBytesMax = 65_536

  enum State: Hashable {
    case head
    /// Bytes of the body to come.
    case length(Int64)
    case chunked
    /// The end of the connection is the end of the body.
    case untilClose
    case done
  }

  private(set) var state = State.head
  private(set) var head: ResponseHead?
  /// The connection may serve another request when this answer has been read.
  private(set) var keepsAlive = false
  /// Anything came.
  private(set) var hasBegun = false
  private let hasNoBody: Bool
  /// The beginning of a head whose end has not come.
  private var partial: [UInt8] = []
  private var headBytes = 0
  private var chunks = ChunkedBody()

  /// - Parameter method: of the request: an answer to HEAD has no body whatever it says.
  init(method: String) { hasNoBody = method == "HEAD" }

  /// Takes what it can of the input.
  /// - Parameter body: is given bytes of the body and takes some of them; fewer than all means that it has no room.
  /// - Returns: how many bytes were taken; fewer than all if there was no room, or the answer is over.
  mutating func read(
    _ input: UnsafeRawBufferPointer, body: (UnsafeRawBufferPointer) -> Int
  ) throws(MalformedResponse) -> Int {
    var at = 0
    while at < input.count {
      hasBegun = true
      let rest = UnsafeRawBufferPointer(rebasing: input[at...])
      switch state {
      case .done: return at
      case .head: at += try readHead(rest)
      case .length(let left):
        let offered = Int(min(Int64(rest.count), left))
        let taken = body(UnsafeRawBufferPointer(rebasing: rest[..<offered]))
        at += taken
        took(taken)
        if taken < offered { return at }
      case .untilClose:
        let taken = body(rest)
        at += taken
        if taken < rest.count { return at }
      case .chunked:
        let run = try chunks.next(rest)
        at += run.skipped
        if run.data > 0 {
          let taken = body(UnsafeRawBufferPointer(rebasing: input[at..<(at + run.data)]))
          at += taken
          chunks.took(taken)
          if taken < run.data { return at }
        }
        if chunks.isDone { state = .done }
      }
    }
    return at
  }

  /// Bytes of a body with a length that were received past this reader.
  mutating func took(_ count: Int) {
    guard case .length(let left) = state else { return }
    state = left == Int64(count) ? .done : .length(left - Int64(count))
  }

  /// The peer has ended the connection.
  mutating func ended() throws(MalformedResponse) {
    switch state {
    case .done: break
    case .untilClose: state = .done
    case .head: throw MalformedResponse(hasBegun ? "the connection ended inside the head of an answer" : "the connection ended without an answer")
    case .length(let left): throw MalformedResponse("the connection ended \(left) bytes before the end of the answer")
    case .chunked: throw MalformedResponse("the connection ended inside the answer")
    }
  }

  // MARK: Head

  private mutating func readHead(_ input: UnsafeRawBufferPointer) throws(MalformedResponse) -> Int {
    if partial.isEmpty, let end = Self.headEnd(input) {
      try finishHead(UnsafeRawBufferPointer(rebasing: input[..<end]))
      return end
    }
    // The end may lie across the pieces: it is looked for from a little before the seam.
    let before = partial.count
    let taken = min(input.count, Self.headBytesMax - headBytes - before + 1)
    partial += input[..<taken]
    let from = max(0, before - 3)
    let end = partial.withUnsafeBytes { Self.headEnd(UnsafeRawBufferPointer(rebasing: $0[from...])) }
    guard let end else {
      guard Self.couldBeHTTP(partial) else { throw Self.notHTTP }
      guard headBytes + partial.count <= Self.headBytesMax else { throw Self.tooLong }
      return taken
    }
    let whole = partial
    partial = []
    var failure: MalformedResponse?
    whole.withUnsafeBytes { bytes in
      do throws(MalformedResponse) { try finishHead(UnsafeRawBufferPointer(rebasing: bytes[..<(from + end)])) } catch { failure = error }
    }
    if let failure { throw failure }
    return from + end - before
  }

  private static let notHTTP = MalformedResponse("an answer that does not begin like HTTP/1.1")

  private static func couldBeHTTP(_ bytes: [UInt8]) -> Bool { zip(bytes, "HTTP/1.".utf8).allSatisfy { $0 == $1 } }

  private static let tooLong = MalformedResponse("an answer whose head is longer than \(headBytesMax) bytes")

  /// Behind the empty line, or nil.
  private static func headEnd(_ bytes: UnsafeRawBufferPointer) -> Int? {
    var at = 0
    while let line = Octet.firstNewline(bytes, from: at) {
      at = line + 1
      if at < bytes.count, bytes[at] == Octet.newline { return at + 1 }
      if at + 1 < bytes.count, bytes[at] == Octet.carriageReturn, bytes[at + 1] == Octet.newline { return at + 2 }
    }
    return nil
  }

  private mutating func finishHead(_ bytes: UnsafeRawBufferPointer) throws(MalformedResponse) {
    headBytes += bytes.count
    guard headBytes <= Self.headBytesMax else { throw Self.tooLong }
    guard !Octet.has(0, bytes) else { throw MalformedResponse("an answer with a NUL in its head") }
    guard let lineEnd = Octet.firstNewline(bytes, from: 0) else { throw MalformedResponse("an answer without a status line") }
    let (status, isOld) = try Self.statusLine(UnsafeRawBufferPointer(rebasing: bytes[..<lineEnd]))
    let lines = UnsafeRawBufferPointer(rebasing: bytes[(lineEnd + 1)...])
    var framing = ResponseFraming(isOld: isOld)
    try framing.read(lines)
    if framing.isChunked, framing.length != nil { throw MalformedResponse("an answer in chunks that has a length as well") }
    if framing.isChunked, isOld { throw MalformedResponse("an answer of HTTP/1.0 in chunks") }
    // Provisional: the real answer follows.
    if (100..<200).contains(status) {
      guard status != 101 else { throw MalformedResponse("an answer 101 nobody asked for") }
      return
    }
    head = ResponseHead(status: status, lines: Array(lines))
    keepsAlive = framing.keepsAlive
    if hasNoBody || status == 204 || status == 304 {
      state = .done
    } else if framing.isChunked {
      state = .chunked
    } else if let length = framing.length {
      state = length == 0 ? .done : .length(length)
    } else {
      state = .untilClose
      keepsAlive = false
    }
  }

  /// `HTTP/1.1 200 OK`, its reason optional.
  private static func statusLine(_ line: UnsafeRawBufferPointer) throws(MalformedResponse) -> (status: Int, isOld: Bool) {
    guard line.count >= 12, Octet.begins(line, "HTTP/1."), line[7] == Octet.digit(0) || line[7] == Octet.digit(1), line[8] == Octet.space else {
      throw notHTTP
    }
    var status = 0
    for byte in line[9..<12] {
      guard byte >= Octet.digit(0), byte <= Octet.digit(9) else { throw MalformedResponse("an answer without a status") }
      status = status * 10 + Int(byte - Octet.digit(0))
    }
    let isEnd = line.count == 12 || line[12] == Octet.space || line[12] == Octet.carriageReturn
    guard isEnd, status >= 100 else { throw MalformedResponse("an answer without a status") }
    return (status, line[7] == Octet.digit(0))
  }
}

/// What header lines say of where a body ends and of the connection.
private struct ResponseFraming {
  var length: Int64?
  var isChunked = false
  var keepsAlive: Bool

  init(isOld: Bool) { keepsAlive = !isOld }

  /// - Parameter lines: each with its line end, and the empty one.
  mutating func read(_ lines: UnsafeRawBufferPointer) throws(MalformedResponse) {
    var at = 0
    while let end = Octet.firstNewline(lines, from: at) {
      let line = UnsafeRawBufferPointer(rebasing: lines[at..<(end > at && lines[end - 1] == Octet.carriageReturn ? end - 1 : end)])
      at = end + 1
      if !line.isEmpty { try readLine(line) }
    }
  }

  private mutating func readLine(_ line: UnsafeRawBufferPointer) throws(MalformedResponse) {
    guard line[0] != Octet.space, line[0] != Octet.tab else { throw MalformedResponse("an answer with a folded header") }
    guard let colon = Octet.firstColon(line, from: 0), colon > 0 else { throw MalformedResponse("an answer with a header without a colon") }
    // Few lines matter, and their length tells most of the others apart.
    switch colon {
    case 14 where Self.equal(line[..<colon], "content-length"): try readLength(Self.trimmed(line[(colon + 1)...]))
    case 17 where Self.equal(line[..<colon], "transfer-encoding"): try readCoding(Self.trimmed(line[(colon + 1)...]))
    case 10 where Self.equal(line[..<colon], "connection"): readConnection(line[(colon + 1)...])
    default: break
    }
  }

  private mutating func readConnection(_ tokens: Slice<UnsafeRawBufferPointer>) {
    var rest = tokens
    while !rest.isEmpty {
      let token = Self.trimmed(rest.prefix { $0 != UInt8(ascii: ",") })
      if Self.equal(token, "close") { keepsAlive = false }
      if Self.equal(token, "keep-alive") { keepsAlive = true }
      rest = rest.drop { $0 != UInt8(ascii: ",") }.dropFirst()
    }
  }

  private mutating func readLength(_ text: Slice<UnsafeRawBufferPointer>) throws(MalformedResponse) {
    var value: Int64 = 0
    for byte in text {
      let (times, isOver) = value.multipliedReportingOverflow(by: 10)
      guard byte >= Octet.digit(0), byte <= Octet.digit(9), !isOver else { throw MalformedResponse("an answer with a bad length") }
      let (sum, isTooMuch) = times.addingReportingOverflow(Int64(byte - Octet.digit(0)))
      guard !isTooMuch else { throw MalformedResponse("an answer with a bad length") }
      value = sum
    }
    guard !text.isEmpty, length == nil || length == value else { throw MalformedResponse("an answer with a bad length") }
    length = value
  }

  private mutating func readCoding(_ text: Slice<UnsafeRawBufferPointer>) throws(MalformedResponse) {
    guard !isChunked, Self.equal(text, "chunked") else { throw MalformedResponse("an answer in an unknown coding") }
    isChunked = true
  }

  private static func trimmed(_ text: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
    var text = text
    while let first = text.first, first == Octet.space || first == Octet.tab { text.removeFirst() }
    while let last = text.last, last == Octet.space || last == Octet.tab { text.removeLast() }
    return text
  }

  /// - Parameter name: in lower case.
  private static func equal(_ text: Slice<UnsafeRawBufferPointer>, _ name: StaticString) -> Bool {
    guard text.count == name.utf8CodeUnitCount else { return false }
    var index = 0
    for byte in text {
      guard Octet.lower(byte) == name.utf8Start[index] else { return false }
      index += 1
    }
    return true
  }
}
