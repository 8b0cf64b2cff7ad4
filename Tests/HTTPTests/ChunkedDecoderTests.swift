// Chunked bodies (RFC 9112 7.1) that must be read and that must be refused, for every split.
import HTTP
import Testing

struct ChunkedDecoderTests {
  static let accepted: [(String, String)] = [
    ("0\r\n\r\n", ""),
    ("5\r\nhello\r\n0\r\n\r\n", "hello"),
    ("1\r\na\r\n0A\r\n0123456789\r\n000\r\n\r\n", "a0123456789"),
    ("3;x\r\nabc\r\n0\r\n\r\n", "abc"),
    ("3 ; x = y;z=\"a;\\\"\\\\ b\"\r\nabc\r\n0;last=1\r\n\r\n", "abc"),
    ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    ("1\r\na\r\n0\r\nDigest: x\r\nEmpty:\r\n\r\n", "a"),
  ]

  @Test(arguments: accepted)
  func everySplitPointGivesTheSameBody(_ text: String, _ body: String) {
    let bytes = Array(text.utf8) + Array("GET".utf8)
    let expected = Decoded.body(Array(body.utf8), consumed: text.utf8.count)
    #expect(decodeChunks(bytes, pieces: [0..<bytes.count]) == expected)
    for cut in 0...bytes.count { #expect(decodeChunks(bytes, pieces: [0..<cut, cut..<bytes.count]) == expected) }
    #expect(decodeChunks(bytes, pieces: bytes.indices.map { $0..<($0 + 1) }) == expected)
    for count in 0..<text.utf8.count { #expect(decodeChunks(Array(bytes[..<count]), pieces: [0..<count]) == .incomplete) }
  }

  static let refused: [(String, HTTPParseError)] = [
    ("\r\n", .chunkSize), ("g\r\n", .chunkSize), ("-1\r\n", .chunkSize), ("+1\r\n", .chunkSize), ("0x1\r\n", .chunkSize),
    (" 1\r\n", .chunkSize), ("1_0\r\n", .chunkSize), ("00000000000000001\r\n", .chunkSize), ("fffffffffffffffff\r\n", .bodyTooLarge),
    ("1\n", .bareLineFeed), ("1\rx", .bareCarriageReturn), ("1 \r\n", .chunkExtension), ("1;\r\n", .chunkExtension),
    ("1;=x\r\n", .chunkExtension), ("1;a=\r\n", .chunkExtension), ("1;a b\r\n", .chunkExtension), ("1;a \r\n", .chunkExtension),
    ("1;a=b \r\n", .chunkExtension), ("1;a=\"b\"c\r\n", .chunkExtension), ("1;a=\"\r\n", .chunkExtension), ("1;a\n", .bareLineFeed),
    ("1;a=\"\n\"\r\n", .bareLineFeed), ("1\r\nab", .chunkEnd), ("1\r\na\n", .chunkEnd), ("1\r\na\rb", .chunkEnd),
    ("0\r\n\n", .bareLineFeed), ("0\r\n\rx", .bareCarriageReturn), ("0\r\n a: b\r\n\r\n", .trailer), ("0\r\na\r\n\r\n", .trailer),
    ("0\r\na : b\r\n\r\n", .trailer), ("0\r\n: b\r\n\r\n", .trailer), ("0\r\na: \0\r\n\r\n", .trailer), ("0\r\na: b\n\r\n", .bareLineFeed),
    ("0\r\na: b\rc\r\n\r\n", .bareCarriageReturn), ("0\r\na: b\r\n c\r\n\r\n", .trailer),
  ]

  @Test(arguments: refused)
  func malformedBodyIsRefusedHoweverItIsSplit(_ text: String, _ error: HTTPParseError) {
    let bytes = Array(text.utf8)
    #expect(decodeChunks(bytes, pieces: [0..<bytes.count]) == .failure(error))
    #expect(decodeChunks(bytes, pieces: bytes.indices.map { $0..<($0 + 1) }) == .failure(error))
  }

  @Test func sizesAreRefusedBeforeTheirDataArrives() {
    var limits = HTTPLimits()
    limits.bodyBytesMax = 8
    let exact = Array("5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n".utf8)
    #expect(decodeChunks(exact, pieces: [0..<exact.count], limits: limits) == .body(Array("abcdefgh".utf8), consumed: exact.count))
    let over = Array("5\r\nabcde\r\n4\r\n".utf8)
    #expect(decodeChunks(over, pieces: [0..<over.count], limits: limits) == .failure(.bodyTooLarge))
  }

  @Test func extensionsAndTrailersAreBoundedOverTheWholeBody() {
    var limits = HTTPLimits()
    limits.chunkExtensionBytesMax = 20
    limits.trailerBytesMax = 20
    let extensions = Array(String(repeating: "1;abcdef\r\nx\r\n", count: 4).utf8)
    #expect(decodeChunks(extensions, pieces: [0..<extensions.count], limits: limits) == .failure(.chunkExtensionsTooLarge))
    let trailers = Array("0\r\nA: 1234567\r\nB: 1234567\r\n\r\n".utf8)
    #expect(decodeChunks(trailers, pieces: [0..<trailers.count], limits: limits) == .failure(.trailersTooLarge))
  }
}
