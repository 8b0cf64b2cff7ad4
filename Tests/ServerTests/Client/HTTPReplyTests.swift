// The client's reading of answers: every split point, every framing, and rubbish.

import Testing

@testable import Server

@Suite struct HTTPReplyTests {
  private static let lengthFramed =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"a\":\"b\"}   "
  private static let chunked =
    "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"
  private static let untilClose = "HTTP/1.0 503 Service Unavailable\r\n\r\nno more"
  private static let after100 = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"

  @Test(arguments: [
    (lengthFramed, 200, "{\"a\":\"b\"}   "), (chunked, 202, "abc0123456789"), (untilClose, 503, "no more"), (after100, 204, ""),
  ]) func everySplitPointGivesTheSameReply(raw: String, status: Int, body: String) {
    let bytes = Array(raw.utf8)
    for cut in 0...bytes.count {
      let outcome = HTTPReply.parse(Array(bytes[..<cut]), isComplete: false)
      if case .malformed(let why) = outcome { Issue.record("cut at \(cut): \(why)") }
      if cut < bytes.count - 2, case .reply = outcome { Issue.record("a reply after \(cut) of \(bytes.count) bytes") }
    }
    guard case .reply(let reply) = HTTPReply.parse(bytes, isComplete: true) else {
      Issue.record("no reply")
      return
    }
    #expect(reply.status == status)
    #expect(reply.body == Array(body.utf8))
  }

  @Test(arguments: [
    "SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", "\r\n\r\n",
  ]) func rubbishIsMalformed(_ raw: String) {
    guard case .malformed = HTTPReply.parse(Array(raw.utf8), isComplete: false) else {
      Issue.record("accepted")
      return
    }
  }

  @Test(arguments: [
    "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab",
  ])
  func anAnswerCutShortIsMalformed(_ raw: String) {
    guard case .malformed = HTTPReply.parse(Array(raw.utf8), isComplete: true) else {
      Issue.record("accepted")
      return
    }
  }

  @Test(arguments: [
    ("http://127.0.0.1:8900", "http://127.0.0.1:8900"), ("http://h", "http://h:80"),
    ("http://[::1]:1/a/b/", "http://[::1]:1/a/b"),
  ]) func aURLIsHostPortAndPrefix(text: String, canonical: String) throws {
    #expect(try ControlURL(text).description == canonical)
  }

  @Test(arguments: [
    ("https://h", "“https://h” is no usable URL: the control client speaks plain http only; use a local port or a tunnel"),
    ("localhost:8900", "“localhost:8900” is no usable URL: it must begin with http://"),
    ("http://h:x", "“http://h:x” is no usable URL: “h:x” is no host and port"),
    ("http://h/a?b", "“http://h/a?b” is no usable URL: “/a?b” is no path"),
  ]) func anUnusableURLIsAUsageErrorThatSaysWhy(text: String, message: String) {
    #expect(throws: CommandFailure.usage(message)) { try ControlURL(text) }
  }

  @Test func segmentsArePercentEncoded() {
    #expect(ControlURL.segment("a b/ü%~") == "a%20b%2F%C3%BC%25~")
  }

  @Test func columnsAreAsWideAsTheirWidestCell() {
    var table = TextTable(header: ["A", "N"], rightAligned: [1])
    table.add(["long", "1"])
    table.add(["x", "100"])
    #expect(table.lines == ["A       N", "long    1", "x     100"])
  }
}
