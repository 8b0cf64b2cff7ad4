// Seeded mutation of good requests and bodies: whatever the octets, the parser answers, and answers the same for every
// split. The seed of a failing round stands in the message; run it again with DOWNBEAT_TEST_SEED.
import HTTP
import TestSupport
import Testing

struct ParserFuzzTests {
  static let seeds: [UInt64] = (0..<24).map { testSeed &+ $0 }
  static let roundsPerSeed = 400

  static let heads: [String] = [
    "GET /_/crr/status HTTP/1.1\r\nHost: localhost:8900\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
    "POST /_/crr/pause/aws HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 12\r\nConnection: keep-alive, close\r\n\r\n",
    "POST /a?b=c HTTP/1.0\r\nTransfer-Encoding: gzip, chunked\r\nExpect: 100-continue\r\n\r\n",
    "DELETE http://h:1/x?y HTTP/1.1\r\nHost: a\r\nOrigin: http://h\r\nSec-Fetch-Site: none\r\n\r\n",
  ]
  static let bodies: [String] = [
    "5\r\nhello\r\n0\r\n\r\n", "a;x=\"y\\\"z\" ; q\r\n0123456789\r\n000\r\nTrailer: v\r\nOther:\r\n\r\n", "1\r\na\r\n1\r\nb\r\n0;e\r\n\r\n",
  ]
  static let alphabet: [UInt8] = Array("\r\n\t :;,/?#%\"\\=01aAfF\0\u{7F}{".utf8) + [0x80, 0xFF]

  static func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      guard !bytes.isEmpty else { return }
      let at = Int.random(in: 0..<bytes.count, using: &random)
      let octet = Bool.random(using: &random) ? alphabet.randomElement(using: &random)! : UInt8(truncatingIfNeeded: random.next())
      switch Int.random(in: 0..<5, using: &random) {
      case 0: bytes[at] = octet
      case 1: bytes.insert(octet, at: at)
      case 2: bytes.remove(at: at)
      case 3: bytes.replaceSubrange(at..., with: bytes[at...] + bytes[at...])
      default: bytes.swapAt(at, Int.random(in: 0..<bytes.count, using: &random))
      }
    }
  }

  static func cuts(_ count: Int, _ random: inout SeededGenerator) -> [Int] {
    (0..<Int.random(in: 1...6, using: &random)).map { _ in Int.random(in: 0...count, using: &random) }.sorted()
  }

  @Test(arguments: seeds)
  func mutatedHeadIsAnsweredAlikeForEverySplit(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for round in 0..<Self.roundsPerSeed {
      var bytes = Array(Self.heads.randomElement(using: &random)!.utf8)
      Self.mutate(&bytes, &random)
      let whole = parse(bytes)
      let cuts = Self.cuts(bytes.count, &random)
      #expect(parse(bytes, cuts: cuts) == whole, "seed \(seed) round \(round) cuts \(cuts) bytes \(bytes)")
      #expect(parse(bytes, cuts: Array(0..<bytes.count)) == whole, "seed \(seed) round \(round) octet by octet, bytes \(bytes)")
      if case .head(let head) = whole {
        #expect(head.byteCount <= bytes.count)
        #expect(Self.framingsSeenByANaiveReader(bytes, head) <= 1, "seed \(seed) round \(round) bytes \(bytes)")
      }
    }
  }

  /// How many framing fields a reader that only splits at LF and lower-cases would find in an accepted head: never two.
  static func framingsSeenByANaiveReader(_ bytes: [UInt8], _ head: HeadText) -> Int {
    bytes[..<head.byteCount].split(separator: 10).filter { line in
      let text = String(decoding: line, as: UTF8.self).lowercased()
      return text.hasPrefix("content-length") || text.hasPrefix("transfer-encoding")
    }.count
  }

  @Test(arguments: seeds)
  func mutatedChunksAreDecodedAlikeForEverySplit(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for round in 0..<Self.roundsPerSeed {
      var bytes = Array(Self.bodies.randomElement(using: &random)!.utf8)
      Self.mutate(&bytes, &random)
      let whole = decodeChunks(bytes, pieces: [0..<bytes.count])
      let octets = decodeChunks(bytes, pieces: bytes.indices.map { $0..<($0 + 1) })
      #expect(octets == whole, "seed \(seed) round \(round) bytes \(bytes)")
      let ends = Self.cuts(bytes.count, &random) + [bytes.count]
      let pieces = zip([0] + ends, ends).map { $0..<$1 }
      #expect(decodeChunks(bytes, pieces: pieces) == whole, "seed \(seed) round \(round) pieces \(pieces) bytes \(bytes)")
    }
  }
}
