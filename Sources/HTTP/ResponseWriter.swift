// Turns an answer into octets: head and body together, behind each other in the connection's output, so that one write
// carries both. Adds what every answer carries: Content-Type, Content-Length, Date (rendered once a second) and
// x-scal-request-id. Knows nothing of sockets.
internal import Reactor

/// The id of one request, as sent in `x-scal-request-id` and written to logs: 10 random hexadecimal digits of this
/// process, then the request's number.
public struct RequestID: Sendable, Hashable, CustomStringConvertible {
  static let byteCount = 20
  let prefix: UInt64
  let number: UInt64

  /// 40 random bits, then 40 bits of the number.
  func forEachDigit(_ body: (UInt8) -> Void) {
    Self.forEachDigit(of: prefix, body)
    Self.forEachDigit(of: number, body)
  }

  private static func forEachDigit(of value: UInt64, _ body: (UInt8) -> Void) {
    var shift: UInt64 = 40
    while shift > 0 {
      shift -= 4
      let digit = UInt8(truncatingIfNeeded: value >> shift) & 15
      body(digit < 10 ? ASCII.zero + digit : 0x57 + digit)
    }
  }

  public var description: String {
    var text: [UInt8] = []
    forEachDigit { text.append($0) }
    return String(decoding: text, as: UTF8.self)
  }
}

struct ResponseWriter: ~Copyable {
  private let idPrefix: UInt64
  private var requestNumber: UInt64 = 0
  private var date: [UInt8] = []
  private var dateEnds = Instant(ns: .min)

  init() {
    var random = SystemRandomNumberGenerator()
    idPrefix = random.next()
  }

  mutating func nextRequestID() -> RequestID {
    requestNumber &+= 1
    return RequestID(prefix: idPrefix, number: requestNumber)
  }

  /// What the connection says about itself in an answer.
  enum Persistence {
    /// HTTP/1.1 stays open without a word.
    case open
    /// HTTP/1.0 must be told (RFC 9112 C.2.2).
    case openAnnounced
    case close
  }

  /// Appends one whole answer.
  /// - Parameter isHead: the request was HEAD: same head, no body (RFC 9110 9.3.2).
  mutating func append(
    _ response: borrowing Response, id: RequestID, persistence: Persistence, isHead: Bool, now: Instant,
    to output: inout OutputBuffer
  ) {
    refreshDate(now: now)
    output.reserve(320 + response.headerLines.count + response.body.count)
    output.append("HTTP/1.1 ")
    output.appendDecimal(response.status.code)
    output.append(ASCII.space)
    output.append(response.status.phrase)
    output.append("\r\nContent-Type: ")
    output.append(response.contentType)
    output.append("\r\nContent-Length: ")
    output.appendDecimal(response.body.count)
    output.append("\r\nDate: ")
    output.append(date)
    output.append("\r\nx-scal-request-id: ")
    id.forEachDigit { output.append($0) }
    switch persistence {
    case .open: output.append("\r\n")
    case .openAnnounced: output.append("\r\nConnection: keep-alive\r\n")
    case .close: output.append("\r\nConnection: close\r\n")
    }
    if !response.headerLines.isEmpty { output.append(response.headerLines) }
    output.append("\r\n")
    if !isHead { output.append(response.body) }
  }

  /// Renders the date anew when the wall clock's second has ended. The monotonic clock says when to look, so a wall clock
  /// set back or forth is followed within a second.
  private mutating func refreshDate(now: Instant) {
    guard now >= dateEnds else { return }
    let wallMs = WallClock.nowMs()
    date = HTTPDate.format(unixSeconds: wallMs / 1_000)
    dateEnds = now + .milliseconds(1_000 - wallMs % 1_000)
  }
}
