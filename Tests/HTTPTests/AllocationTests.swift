// Reading a request's head allocates nothing. True of optimised code, so this judges release builds only
// (`DOWNBEAT_TEST_RELEASE=1 scripts/test`); in a debug build it merely runs.
import HTTP
import TestSupport
import Testing

@Suite struct HTTPAllocationTests {
  @Test func parsingAHeadAllocatesNothing() throws {
    let raw = Array(
      "GET /_/backbeat/api/crr/status HTTP/1.1\r\nHost: 127.0.0.1:8900\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n".utf8)
    var parser = HTTPParser()
    var heads = 0
    func round() throws {
      if try parser.parse(raw.span) != nil { heads += 1 }
    }
    try round()
    let count = try allocations { for _ in 0..<1_000 { try round() } }
    #expect(count ?? 0 == 0)
    #expect(heads == 1_001)
  }
}
