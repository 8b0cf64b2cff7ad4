// Answers cut at every point, and answers with bytes changed at random.
import TestSupport
import Testing

@testable import Pipeline

@Suite struct ResponseReaderTests {
  struct Outcome: Equatable {
    var status = 0
    var headers: [HTTPHeader] = []
    var body: [UInt8] = []
    var isDone = false
    var keepsAlive = false
    var taken = 0
    var error: String?
  }

  /// Reads pieces, then the end of the connection if `ends`.
  private static func read(_ pieces: [[UInt8]], method: String = "GET", ends: Bool = false, roomMax: Int = .max) -> Outcome {
    var reader = ResponseReader(method: method)
    var outcome = Outcome()
    do throws(MalformedResponse) {
      for piece in pieces {
        var rest = piece[...]
        var isStuck = false
        while !rest.isEmpty, !isStuck, reader.state != .done {
          var failure: MalformedResponse?
          let taken = Array(rest).withUnsafeBytes { bytes in
            do throws(MalformedResponse) {
              return try reader.read(bytes) { data in
                let count = min(data.count, roomMax)
                outcome.body += data[..<count]
                return count
              }
            } catch {
              failure = error
              return 0
            }
          }
          if let failure { throw failure }
          rest = rest.dropFirst(taken)
          outcome.taken += taken
          isStuck = taken == 0
        }
      }
      if ends { try reader.ended() }
    } catch {
      outcome.error = error.description
    }
    outcome.status = reader.head?.status ?? 0
    outcome.headers = reader.head?.headers(prefix: "") ?? []
    outcome.isDone = reader.state == .done
    outcome.keepsAlive = reader.keepsAlive
    return outcome
  }

  private static let answers: [(text: String, method: String, body: String, keepsAlive: Bool, ends: Bool)] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\nhello", "GET", "hello", true, false),
    ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello", "GET", "hello", false, false),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", "hi", false, false),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nhi", "GET", "hi", true, false),
    ("HTTP/1.1 200\r\nContent-Length:2 \r\n\r\nhi", "GET", "hi", true, false),
    ("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "GET", "hi", true, false),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "PUT", "", true, false),
    ("HTTP/1.1 204 No Content\r\n\r\n", "DELETE", "", true, false),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", "", true, false),
    ("HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n", "HEAD", "", true, false),
    ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET", "until the end", false, true),
    (
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n", "GET", "abc0123456789",
      true, false
    ),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", "GET", "", true, false),
  ]

  @Test func everyAnswerIsTheSameWhereverItIsCut() {
    for answer in Self.answers {
      let bytes = Array(answer.text.utf8)
      let whole = Self.read([bytes], method: answer.method, ends: answer.ends)
      #expect(whole.isDone && whole.error == nil && String(decoding: whole.body, as: UTF8.self) == answer.body, "\(answer.text): \(whole)")
      #expect(whole.keepsAlive == answer.keepsAlive && whole.taken == bytes.count, "\(answer.text)")
      for at in 0...bytes.count {
        #expect(
          Self.read([Array(bytes[..<at]), Array(bytes[at...])], method: answer.method, ends: answer.ends) == whole, "\(answer.text) cut at \(at)")
        #expect(Self.read([Array(bytes[..<at]), Array(bytes[at...])], method: answer.method, ends: answer.ends, roomMax: 1) == whole)
        if at < bytes.count, !answer.ends || at < 19 {
          #expect(Self.read([Array(bytes[..<at])], method: answer.method, ends: true).error != nil, "\(answer.text) ended at \(at)")
        }
      }
      #expect(Self.read(bytes.map { [$0] }, method: answer.method, ends: answer.ends) == whole, "\(answer.text) byte by byte")
    }
  }

  @Test func whatFollowsAnAnswerIsLeftAlone() {
    for answer in Self.answers where !answer.ends {
      let outcome = Self.read([Array((answer.text + "HTTP/1.1 200 OK\r\n").utf8)], method: answer.method)
      #expect(outcome.isDone && outcome.taken == answer.text.utf8.count, "\(answer.text)")
    }
  }

  @Test func whatIsDoubtfulIsRefused() {
    let refused = [
      "HTTP/2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 099 No\r\n\r\n",
      "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
      "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + String(repeating: "x", count: 2_000),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "<html>this is no HTTP at all</html>",
    ]
    for text in refused {
      #expect(Self.read([Array(text.utf8)]).error != nil, "\(text)")
      #expect(Self.read(Array(text.utf8).map { [$0] }).error != nil, "\(text) byte by byte")
    }
  }

  @Test func aHeadHasABound() {
    let line = "X: \(String(repeating: "y", count: 1_000))\r\n"
    func head(_ lines: Int) -> [UInt8] { Array("HTTP/1.1 200 OK\r\n\(String(repeating: line, count: lines))Content-Length: 0\r\n\r\n".utf8) }
    #expect(Self.read([head(60)]).isDone)
    #expect(Self.read([head(70)]).error != nil)
    let many = [[UInt8]](repeating: Array(line.utf8), count: 70)
    #expect(Self.read([Array("HTTP/1.1 200 OK\r\n".utf8)] + many).error != nil)
    // Provisional answers count as well.
    let provisional = Array("HTTP/1.1 103 Early\r\n\(line)\r\n".utf8)
    #expect(Self.read([[UInt8]](repeating: provisional, count: 70)).error != nil)
  }

  @Test func changedBytesNeverMakeMoreOfABodyThanThereIs() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<20_000 {
      let answer = Self.answers.randomElement(using: &random)!
      var bytes = Array(answer.text.utf8)
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
        default: if bytes.count > 1 { bytes.remove(at: at) }
        }
      }
      let whole = Self.read([bytes], method: answer.method, ends: true)
      #expect(whole.body.count <= bytes.count && whole.taken <= bytes.count, "seed \(seed)")
      let at = Int.random(in: 0...bytes.count, using: &random)
      let cut = Self.read([Array(bytes[..<at]), Array(bytes[at...])], method: answer.method, ends: true)
      #expect((cut.error == nil) == (whole.error == nil) && (cut.error != nil || cut == whole), "seed \(seed): \(bytes)")
    }
  }
}
