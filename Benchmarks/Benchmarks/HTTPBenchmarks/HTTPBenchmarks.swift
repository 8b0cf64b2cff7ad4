// Reading requests.
import Benchmark
import BenchmarkSupport
import HTTP

private let plain = Array(
  "GET /_/backbeat/api/crr/status HTTP/1.1\r\nHost: 127.0.0.1:8900\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n".utf8)
private let browser = Array(
  """
  GET /_/backbeat/api/crr/locations/aws-east?wait=3 HTTP/1.1\r
  Host: replication.example.com:8900\r
  Connection: keep-alive\r
  User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r
  Accept: application/json,text/html;q=0.9,*/*;q=0.8\r
  Sec-Fetch-Site: same-origin\r
  Sec-Fetch-Mode: cors\r
  Accept-Encoding: gzip, deflate, br\r
  Accept-Language: en-US,en;q=0.9\r
  \r

  """.utf8)

private func parse(_ raw: [UInt8], _ parser: inout HTTPParser, _ count: Int) throws {
  for _ in 0..<count { blackHole(try parser.parse(raw.span)) }
}

let benchmarks: @Sendable () -> Void = {
  measure("head of a load generator, \(plain.count) bytes") {
    HTTPParser()
  } operations: {
    try parse(plain, &$0, $1)
  }
  measure("head of a browser, \(browser.count) bytes") {
    HTTPParser()
  } operations: {
    try parse(browser, &$0, $1)
  }
}
