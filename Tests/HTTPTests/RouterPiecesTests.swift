// Segments, escapes, queries, and who may call.
import Testing

@testable import HTTP

struct RouterPiecesTests {
  private func head(_ text: String) throws -> (RequestHead, [UInt8]) {
    let bytes = Array(text.utf8)
    var parser = HTTPParser()
    let head = try parser.parse(bytes.span)
    return (try #require(head), bytes)
  }

  @Test(
    arguments: [
      ("/", [], false), ("/a", ["a"], false), ("/a/", ["a"], true), ("/_/crr/status", ["_", "crr", "status"], false),
      ("/a//b", ["a", "", "b"], false), ("//", [""], true), ("/a//", ["a", ""], true), ("/a%2Fb/c", ["a%2Fb", "c"], false),
    ] as [(String, [String], Bool)])
  func pathIsSplitBeforeItIsDecoded(_ path: String, _ expected: [String], _ hasTrailingSlash: Bool) {
    let bytes = Array(path.utf8)
    let segments = PathSegments(0..<bytes.count, in: bytes.span)
    var texts: [String] = []
    for index in 0..<segments.count { texts.append(bytes.span.text(in: segments[index])) }
    #expect(texts == expected)
    #expect(segments.hasTrailingSlash == hasTrailingSlash)
    #expect(!segments.isTruncated)
  }

  @Test func restOfAPathKeepsItsSlashes() {
    let bytes = Array("/_/crr/failed/bucket/a//b%2Fc/".utf8)
    let segments = PathSegments(0..<bytes.count, in: bytes.span)
    let rest = bytes.span.percentDecoded(segments.rest(from: 4))
    #expect(rest == "a//b/c/")
    let none = segments.rest(from: 11)
    #expect(none.isEmpty)
  }

  @Test func moreSegmentsThanAnyRouteHasAreNoticed() {
    let bytes = Array(String(repeating: "/a", count: 13).utf8)
    let segments = PathSegments(0..<bytes.count, in: bytes.span)
    #expect(segments.isTruncated && segments.count == 12)
    let isTwelve = segments.count(is: 12)
    #expect(!isTwelve)
  }

  @Test(arguments: [
    ("status", "status", true), ("st%61tus", "status", true), ("%73%74%61%74%75%73", "status", true), ("status%2", "status", false),
    ("st%zztus", "status", false), ("Status", "status", false), ("statusx", "status", false), ("st%2561tus", "status", false),
    ("a%2Fb", "a/b", true), ("%C3%A9", "é", true), ("", "", true),
  ])
  func segmentIsComparedDecodedOnce(_ raw: String, _ text: String, _ isEqual: Bool) {
    let bytes = Array(raw.utf8)
    let equals = bytes.span.decodedEquals(text: text, in: 0..<bytes.count)
    #expect(equals == isEqual)
  }

  @Test(
    arguments: [("%41+b", "A+b"), ("%25%34%31", "%41"), ("%", nil), ("%4", nil), ("%4g", nil), ("%ff", nil), ("%C3%A9", "é")] as [(String, String?)])
  func escapesAreDecodedOnceAndStrictly(_ raw: String, _ text: String?) {
    let bytes = Array(raw.utf8)
    let decoded = bytes.span.percentDecoded(0..<bytes.count)
    #expect(decoded == text)
  }

  @Test(arguments: [
    ("", QueryItems.Value.absent), ("wait", .single("")), ("wait=", .single("")), ("wait=5", .single("5")), ("x=1&wait=5&y", .single("5")),
    ("wait=5&wait=5", .repeated), ("wait=5&wait", .repeated), ("waiter=5", .absent), ("w%61it=5", .single("5")), ("wait=%zz", .malformed),
    ("wait=a+b%2B", .single("a b+")), ("wait=a=b", .single("a=b")), ("&&wait=1&", .single("1")), ("Wait=1", .absent),
  ])
  func queryIsLookedUpByName(_ query: String, _ expected: QueryItems.Value) {
    let bytes = Array(query.utf8)
    let value = QueryItems(0..<bytes.count).value("wait", in: bytes.span)
    #expect(value == expected)
  }

  enum Verdict: Sendable { case allowed, crossSite, foreignName, notAllowed }

  private func judge(_ request: String, peer: String, _ policy: CallerPolicy) throws -> Verdict {
    let (head, bytes) = try head(request)
    switch policy.refusal(head, bytes.span, peer: IPAddress(peer)!) {
    case nil: return .allowed
    case CallerPolicy.crossSite: return .crossSite
    case CallerPolicy.foreignName: return .foreignName
    default: return .notAllowed
    }
  }

  static let policy = CallerPolicy(allowList: AllowList(["10.0.0.0/8"]), allowedHosts: ["Node-A.example", "192.0.2.1"])

  @Test(arguments: [
    ("POST", "Sec-Fetch-Site: cross-site", Verdict.crossSite), ("POST", "Sec-Fetch-Site: same-site", .crossSite),
    ("DELETE", "Sec-Fetch-Site: cross-site", .crossSite), ("POST", "Sec-Fetch-Site:", .crossSite),
    ("POST", "Sec-Fetch-Site: same-origin", .allowed), ("POST", "Sec-Fetch-Site: none", .allowed), ("POST", "X: y", .allowed),
    ("GET", "Sec-Fetch-Site: cross-site", .allowed), ("GET", "Origin: http://evil", .allowed),
    ("POST", "Origin: http://localhost:8900", .allowed), ("POST", "Origin: HTTP://LOCALHOST:8900", .allowed),
    ("POST", "Origin: http://localhost", .crossSite), ("POST", "Origin: http://localhost:8901", .crossSite),
    ("POST", "Origin: http://127.0.0.1:8900", .crossSite), ("POST", "Origin: http://evil.example", .crossSite),
    ("POST", "Origin: null", .crossSite), ("POST", "Origin:", .crossSite), ("POST", "Origin: http://", .crossSite),
    ("POST", "Origin: http://localhost:8900.evil", .crossSite), ("POST", "Origin: http://u@localhost:8900", .crossSite),
    ("POST", "Origin: ftp://localhost:8900", .allowed),
    ("POST", "Origin: http://localhost:8900\r\nSec-Fetch-Site: cross-site", .crossSite),
  ])
  func actingFromAnotherSiteIsRefused(_ method: String, _ field: String, _ verdict: Verdict) throws {
    let request = "\(method) / HTTP/1.1\r\nHost: localhost:8900\r\n\(field)\r\n\r\n"
    #expect(try judge(request, peer: "127.0.0.1", Self.policy) == verdict)
    // From afar too, and before the allow-list speaks.
    #expect(try judge(request, peer: "10.1.1.1", Self.policy) == verdict)
    #expect(try judge(request, peer: "192.0.2.9", Self.policy) == (verdict == .allowed ? .notAllowed : verdict))
  }

  @Test(arguments: [
    ("a", "http://a", Verdict.allowed), ("a:80", "http://a", .allowed), ("a", "http://a:80", .allowed), ("a", "https://a", .allowed),
    ("a:443", "https://a", .allowed), ("a:80", "https://a", .crossSite), ("[::1]:80", "http://[::1]", .allowed), ("a", "http://b", .crossSite),
  ])
  func defaultPortsAreThoseOfTheOriginsScheme(_ host: String, _ origin: String, _ verdict: Verdict) throws {
    #expect(try judge("POST / HTTP/1.1\r\nHost: \(host)\r\nOrigin: \(origin)\r\n\r\n", peer: "10.0.0.1", Self.policy) == verdict)
  }

  @Test(arguments: [
    ("localhost", true), ("LocalHost:8900", true), ("localhost.", true), ("app.localhost:80", true), ("127.0.0.1:8900", true),
    ("127.9.9.9", true), ("[::1]:8900", true), ("[::ffff:127.0.0.1]", true), ("node-a.example:8900", true), ("NODE-A.EXAMPLE", true),
    ("192.0.2.1:1", true), ("evil.example", false), ("evil.example:8900", false), ("localhost.evil.example", false),
    ("127.0.0.1.evil.example", false), ("0.0.0.0:8900", false), ("2130706433", false), ("127.1", false), ("10.0.0.1", false),
    ("[::2]", false), ("", false), ("xlocalhost", false),
  ])
  func loopbackPeerMustUseALoopbackName(_ host: String, _ isAllowed: Bool) throws {
    let request = "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n"
    #expect(try judge(request, peer: "127.0.0.1", Self.policy) == (isAllowed ? .allowed : .foreignName))
    #expect(try judge(request, peer: "::1", Self.policy) == (isAllowed ? .allowed : .foreignName))
    // Rebinding needs a browser on this machine; other peers are judged by their address.
    #expect(try judge(request, peer: "10.0.0.1", Self.policy) == .allowed)
  }

  @Test func absoluteTargetDecidesInsteadOfHost() throws {
    let request = "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
    #expect(try judge(request, peer: "127.0.0.1", Self.policy) == .foreignName)
  }

  @Test func probeWithoutHostIsAllowedFromLoopback() throws {
    #expect(try judge("GET / HTTP/1.0\r\n\r\n", peer: "127.0.0.1", Self.policy) == .allowed)
  }
}
