// Heads that must be read, heads that must be refused and with which status, each beside the paragraph that says so; and
// that neither depends on how the bytes arrive.
import HTTP
import Testing

struct HTTPParserTests {
  struct Refusal: Sendable, CustomStringConvertible {
    var rule: String
    var text: String
    var error: HTTPParseError
    var description: String { "\(rule): \(text.debugDescription.prefix(60))" }
    init(_ rule: String, _ text: String, _ error: HTTPParseError) { (self.rule, self.text, self.error) = (rule, text, error) }
  }

  static let host = "Host: a\r\n"

  static let refusals: [Refusal] = [
    Refusal("9112 2.2 bare LF ends the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", .bareLineFeed),
    Refusal("9112 2.2 bare LF ends a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", .bareLineFeed),
    Refusal("9112 2.2 bare LF ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", .bareLineFeed),
    Refusal("9112 2.2 LF first", "\nGET / HTTP/1.1\r\n\r\n", .bareLineFeed),
    Refusal("9112 2.2 bare CR in the method", "GE\rT / HTTP/1.1\r\n\r\n", .bareCarriageReturn),
    Refusal("9112 2.2 bare CR in the target", "GET /\rx HTTP/1.1\r\n\r\n", .bareCarriageReturn),
    Refusal("9112 2.2 bare CR after the version", "GET / HTTP/1.1\r\r\n\r\n", .bareCarriageReturn),
    Refusal("9112 2.2 bare CR in a field name", "GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n", .bareCarriageReturn),
    Refusal("9112 2.2 bare CR in a field value", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", .bareCarriageReturn),
    Refusal("9112 2.2 blank before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", .foldedField),
    Refusal("9112 2.2 too many empty lines", "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", .emptyLines),
    Refusal("9112 3 no version (HTTP/0.9)", "GET /\r\n\r\n", .requestLine),
    Refusal("9112 3 only a method", "GET\r\n\r\n", .requestLine),
    Refusal("9112 3 two spaces before the target", "GET  / HTTP/1.1\r\n\r\n", .requestLine),
    Refusal("9112 3 two spaces before the version", "GET /  HTTP/1.1\r\n\r\n", .version),
    Refusal("9112 3 leading space", " GET / HTTP/1.1\r\n\r\n", .requestLine),
    Refusal("9112 3 trailing space", "GET / HTTP/1.1 \r\n\r\n", .version),
    Refusal("9112 3 tab as separator", "GET\t/ HTTP/1.1\r\n\r\n", .method),
    Refusal("9112 3.1 method no token", "G@T / HTTP/1.1\r\n\r\n", .method),
    Refusal("9112 3.1 TLS hello", "\u{16}\u{3}\u{1}\u{2}", .method),
    Refusal("9112 3 method too long", String(repeating: "A", count: 33) + " / HTTP/1.1\r\n\r\n", .methodTooLong),
    Refusal("9112 3.2 relative target", "GET status HTTP/1.1\r\n" + host + "\r\n", .target),
    Refusal("9110 7.1 fragment", "GET /a#b HTTP/1.1\r\n" + host + "\r\n", .target),
    Refusal("3986 2 octet above ASCII", "GET /é HTTP/1.1\r\n" + host + "\r\n", .target),
    Refusal("3986 2 NUL", "GET /\0 HTTP/1.1\r\n" + host + "\r\n", .target),
    Refusal("3986 2 DEL", "GET /\u{7F} HTTP/1.1\r\n" + host + "\r\n", .target),
    Refusal("9112 3.2.2 other scheme", "GET ftp://a/ HTTP/1.1\r\n" + host + "\r\n", .target),
    Refusal("9110 4.2.1 empty host", "GET http:///x HTTP/1.1\r\n" + host + "\r\n", .target),
    Refusal("9110 4.2.4 user information", "GET http://u@a/x HTTP/1.1\r\n" + host + "\r\n", .target),
    Refusal("9112 3.2.3 CONNECT with a path", "CONNECT /x HTTP/1.1\r\nHost: a b\r\n\r\n", .host),
    Refusal("9112 2.3 lower case", "GET / http/1.1\r\n\r\n", .version),
    Refusal("9112 2.3 three parts", "GET / HTTP/1.1.1\r\n\r\n", .version),
    Refusal("9112 2.3 no minor", "GET / HTTP/1\r\n\r\n", .version),
    Refusal("9112 2.3 other protocol", "GET / HTTQ/1.1\r\n\r\n", .version),
    Refusal("9112 2.3 letters", "GET / HTTP/a.b\r\n\r\n", .version),
    Refusal("9110 15.6.6 major 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .versionUnsupported),
    Refusal("9110 15.6.6 major 0", "GET / HTTP/0.9\r\n\r\n", .versionUnsupported),
    Refusal("9112 5.1 blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", .fieldName),
    Refusal("9112 5.1 empty name", "GET / HTTP/1.1\r\n: a\r\n\r\n", .fieldName),
    Refusal("9112 5.1 no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", .fieldName),
    Refusal("9110 5.1 name no token", "GET / HTTP/1.1\r\nHo(st: a\r\n\r\n", .fieldName),
    Refusal("9110 5.1 name above ASCII", "GET / HTTP/1.1\r\nHöst: a\r\n\r\n", .fieldName),
    Refusal("9112 5.2 folded with a space", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", .foldedField),
    Refusal("9112 5.2 folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", .foldedField),
    Refusal("9110 5.5 NUL", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", .fieldValue),
    Refusal("9110 5.5 escape", "GET / HTTP/1.1\r\nHost: a\r\nX: \u{1B}\r\n\r\n", .fieldValue),
    Refusal("9110 5.5 DEL", "GET / HTTP/1.1\r\nHost: a\r\nX: \u{7F}\r\n\r\n", .fieldValue),
    Refusal("9112 3.2 no Host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", .hostMissing),
    Refusal("9112 3.2 two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .hostRepeated),
    Refusal("9112 3.2 two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", .hostRepeated),
    Refusal("9110 7.2 Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .host),
    Refusal("9110 7.2 Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .host),
    Refusal("9110 7.2 Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", .host),
    Refusal("9110 7.2 Host with two values", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", .host),
    Refusal("9110 7.2 Host with a bad port", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", .host),
    Refusal("9110 7.2 unclosed bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", .host),
    Refusal("9110 7.2 only a port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", .host),
    Refusal("9110 8.6 sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", .contentLength),
    Refusal("9110 8.6 negative", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", .contentLength),
    Refusal("9110 8.6 hexadecimal", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", .contentLength),
    Refusal("9110 8.6 empty", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", .contentLength),
    Refusal("9110 8.6 space inside", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n", .contentLength),
    Refusal("9110 8.6 list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", .contentLength),
    Refusal(
      "9112 6.3 conflicting", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
      .contentLengthRepeated),
    Refusal(
      "9110 8.6 repeated", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
      .contentLengthRepeated),
    Refusal(
      "9110 8.6 overflow", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", .contentLengthTooLarge),
    Refusal(
      "9112 6.1 both framings", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      .lengthAndTransferCoding),
    Refusal(
      "9112 6.1 both framings, zero",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", .lengthAndTransferCoding),
    Refusal("9112 6.3 not chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", .transferCoding),
    Refusal("9112 6.3 look-alike", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", .transferCoding),
    Refusal("9112 6.3 vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{B}chunked\r\n\r\n", .fieldValue),
    Refusal("9112 6.3 empty", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", .transferCoding),
    Refusal("9112 7.1 twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", .transferCoding),
    Refusal(
      "9112 7.1 twice, two lines",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", .transferCoding),
    Refusal("9112 6.3 not last", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", .transferCoding),
    Refusal("9112 7 parameter", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n", .transferCoding),
    Refusal("9112 7 quoted", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", .transferCoding),
    Refusal("9112 6.3 identity alone", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", .transferCoding),
    Refusal(
      "9112 6.1 unknown, then chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      .transferCodingUnsupported),
    Refusal("9112 6.1 in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .transferCodingInVersion10),
    Refusal("9110 10.1.1 expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", .expectation),
    Refusal("two Origins", "POST / HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nOrigin: http://b\r\n\r\n", .singletonRepeated),
    Refusal(
      "two Sec-Fetch-Sites", "POST / HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n\r\n",
      .singletonRepeated),
  ]

  @Test(arguments: refusals)
  func malformedHeadIsRefusedHoweverItIsSplit(_ refusal: Refusal) {
    let bytes = Array(refusal.text.utf8)
    #expect(parse(bytes) == .failure(refusal.error))
    for cut in 0..<bytes.count { #expect(parse(bytes, cuts: [cut]) == .failure(refusal.error), "cut at \(cut)") }
    #expect(parse(bytes, cuts: Array(0..<bytes.count)) == .failure(refusal.error))
  }

  @Test(arguments: [
    (HTTPParseError.requestLine, 400), (.methodTooLong, 501), (.targetTooLong, 414), (.headTooLarge, 431), (.fieldCount, 431),
    (.versionUnsupported, 505), (.transferCodingUnsupported, 501), (.bodyTooLarge, 413), (.contentLengthTooLarge, 413),
    (.expectation, 417), (.lengthAndTransferCoding, 400), (.hostMissing, 400),
  ])
  func errorCarriesTheStatusOfItsParagraph(_ error: HTTPParseError, _ status: Int) { #expect(error.status.code == status) }

  struct Accepted: Sendable, CustomStringConvertible {
    var text: String
    var head: HeadText
    var description: String { text.debugDescription }
    init(
      _ text: String, _ method: String, _ path: String, query: String? = nil, authority: String? = "a",
      framing: BodyFraming = .none, keepsAlive: Bool = true, minor: UInt8 = 1
    ) {
      self.text = text
      head = HeadText(
        method: method, path: path, query: query, authority: authority, framing: framing, keepsAlive: keepsAlive,
        minorVersion: minor, byteCount: text.utf8.count)
    }
  }

  static let accepted: [Accepted] = [
    Accepted("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/"),
    Accepted("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/"),
    Accepted("GET /_/crr/status?x=/&y=? HTTP/1.1\r\nhOSt:a\r\n\r\n", "GET", "/_/crr/status", query: "x=/&y=?"),
    Accepted("GET /? HTTP/1.1\r\nHost:\t a \t\r\n\r\n", "GET", "/", query: ""),
    Accepted("GET /%2F{}|\"<>^` HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/%2F{}|\"<>^`"),
    Accepted("GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \u{E9}\r\n\r\n", "GET", "/"),
    Accepted("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET", "/", authority: ""),
    Accepted("GET / HTTP/1.1\r\nHost: [::1]:8900\r\n\r\n", "GET", "/", authority: "[::1]:8900"),
    Accepted("GET http://b:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/x", query: "y", authority: "b:80"),
    Accepted("GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "", authority: "b"),
    Accepted("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", ""),
    Accepted("CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT", ""),
    Accepted("get / HTTP/1.1\r\nHost: a\r\n\r\n", "get", "/"),
    Accepted("GET / HTTP/1.9\r\nHost: a\r\n\r\n", "GET", "/"),
    Accepted("GET / HTTP/1.0\r\n\r\n", "GET", "/", authority: nil, keepsAlive: false, minor: 0),
    Accepted("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/", authority: nil, minor: 0),
    Accepted(
      "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET", "/", authority: nil, keepsAlive: false, minor: 0),
    Accepted("GET / HTTP/1.1\r\nHost: a\r\nConnection: x , CLOSE\r\n\r\n", "GET", "/", keepsAlive: false),
    Accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST", "/"),
    Accepted("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\n\r\n", "POST", "/", framing: .length(7)),
    Accepted("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", "POST", "/", framing: .chunked),
    Accepted("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked ,\r\n\r\n", "POST", "/", framing: .chunked),
    Accepted(
      "DELETE / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", "DELETE", "/", authority: nil,
      framing: .length(3), keepsAlive: false, minor: 0),
  ]

  @Test(arguments: accepted)
  func everySplitPointGivesTheSameHead(_ request: Accepted) {
    let bytes = Array(request.text.utf8)
    #expect(parse(bytes) == .head(request.head))
    for cut in 0..<bytes.count { #expect(parse(bytes, cuts: [cut]) == .head(request.head), "cut at \(cut)") }
    #expect(parse(bytes, cuts: Array(0..<bytes.count)) == .head(request.head))
    for count in 0..<bytes.count { #expect(parse(Array(bytes[..<count])) == .incomplete, "first \(count) octets") }
  }

  @Test func bytesBehindTheHeadAreNotTouched() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    #expect(parse(text + "\0\n garbage") == parse(text))
  }

  // `#expect` and `#require` take no `Span` (it does not escape), hence the local results below.

  @Test func pipelinedHeadsAreReadOneAfterTheOther() throws {
    let one = Array("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    let bytes = one + Array("GET /22 HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    var parser = HTTPParser()
    let first = try parser.parse(bytes.span)
    #expect(first?.byteCount == one.count)
    #expect(!parser.isInsideHead)
    let rest = bytes.span.extracting(one.count..<bytes.count)
    let second = try parser.parse(rest)
    let path = second.map { rest.text(in: $0.path) }
    #expect(path == "/22")
  }

  @Test func fieldIsFoundByNameWithoutItsBlanks() throws {
    let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX-One:  1 \r\nx-two:\r\nX-ONE: again\r\n\r\n".utf8)
    var parser = HTTPParser()
    let parsed = try parser.parse(bytes.span)
    let head = try #require(parsed)
    let one = head.field("x-one", in: bytes.span).map { bytes.span.text(in: $0) }
    let two = head.field("x-two", in: bytes.span)
    let three = head.field("x-three", in: bytes.span)
    #expect(one == "1")
    #expect(two?.isEmpty == true)
    #expect(three == nil)
    #expect(head.fieldCount == 4)
  }

  @Test func limitsHoldToTheOctet() {
    var limits = HTTPLimits()
    limits.targetBytesMax = 10
    limits.fieldCountMax = 2
    limits.headBytesMax = 80
    let tail = " HTTP/1.1\r\nHost: a\r\n\r\n"
    if case .head = parse("GET /234567890" + tail, limits: limits) {} else { Issue.record("a target of the limit is refused") }
    #expect(parse("GET /2345678901" + tail, limits: limits) == .failure(.targetTooLong))
    #expect(parse("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n", limits: limits) == .failure(.fieldCount))
    let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n"
    let filler = String(repeating: "x", count: 80 - frame.utf8.count)
    let exact = "GET / HTTP/1.1\r\nHost: a\r\nX: \(filler)\r\n\r\n"
    if case .head = parse(exact, limits: limits) {} else { Issue.record("a head of exactly the limit is refused") }
    #expect(parse("GET / HTTP/1.1\r\nHost: a\r\nX: \(filler)y\r\n\r\n", limits: limits) == .failure(.headTooLarge))
  }

  @Test func endlessLinesAreRefusedBeforeTheyEnd() {
    let limits = HTTPLimits()
    #expect(parse("GET /" + String(repeating: "a", count: 8300)) == .failure(.targetTooLong))
    let field = "GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: limits.headBytesMax)
    #expect(parse(field) == .failure(.headTooLarge))
  }
}
