// Octets as hex digits, header lines, and what is asked of an answer's head.
import PipelineCore
import Testing

@testable import Pipeline

@Suite struct OctetsTests {
  @Test func everyOctetHasItsTwoDigits() {
    for count in 0...9 {
      for first in 0...255 {
        let octets = (0..<count).map { UInt8(truncatingIfNeeded: first + 37 * $0) }
        let expected = octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(octets.withUnsafeBytes { Hex.text($0) } == expected)
      }
    }
  }

  @Test func controlsAreFoundWhereverTheyStandAndNothingElseIs() {
    let plain = Array("ordinary text, of several words\u{e4}\u{20ac} ~".utf8)
    #expect(!plain.withUnsafeBytes { Octet.containControls($0) })
    for octet: UInt8 in 0...255 {
      for position in plain.indices {
        var bytes = plain
        bytes[position] = octet
        #expect(bytes.withUnsafeBytes { Octet.containControls($0) } == (octet < 0x20 || octet == 0x7F), "\(octet) at \(position)")
      }
    }
    #expect(![UInt8]().withUnsafeBytes { Octet.containControls($0) })
  }

  @Test func aNameKnownBeforehandMakesTheSameLine() {
    var known = HeaderLines()
    known.append("x-amz-meta-a", "one\r\ntwo")
    known.append("x-amz-date", bytesMax: 40) { $0.append(literal: "20130524T000000Z\n") }
    var unknown = HeaderLines()
    unknown.append(named: "X-Amz-Meta-A", "one\r\ntwo")
    unknown.append(named: "x-amz-Date", "20130524T000000Z\n")
    #expect(known.bytes == unknown.bytes && known.count == unknown.count)
    #expect(known.list == [HTTPHeader("x-amz-meta-a", "one  two"), HTTPHeader("x-amz-date", "20130524T000000Z ")])
  }

  /// Whatever stood there before.
  @Test func rememberedAttributesAreThoseOfTheCopy() {
    var plain = ObjectAttributes()
    plain.system = [.init("content-type", "image/png")]
    var tagged = plain
    tagged.user = [.init("x-amz-meta-a", "1")]
    tagged.tags = [.init("k", "v")]
    var renamed = tagged
    renamed.user = [.init("x-amz-meta-a", "2")]
    var written = WrittenAttributes()
    for attributes in [ObjectAttributes(), plain, plain, tagged, renamed, tagged, ObjectAttributes(), plain] {
      written.become(attributes)
      var lines = HeaderLines()
      attributes.write(to: &lines)
      #expect(written.lines.bytes == lines.bytes && written.lines.count == lines.count && written.shortHash == attributes.shortHash)
      var headers = HeaderLines([HTTPHeader("x-first", "1")])
      headers.append(written.lines)
      #expect(headers.list == [HTTPHeader("x-first", "1")] + lines.list && headers.count == 1 + lines.count)
    }
  }

  @Test func aDigestIsReadFromTheHeadAsFromText() {
    let hex = "d41d8cd98f00b204e9800998ecf8427e"
    func head(_ etag: String, _ more: String = "") -> ResponseHead {
      ResponseHead(status: 200, lines: Array("date: x\r\nETag:  \(etag) \r\n\(more)\r\n".utf8))
    }
    for etag in [hex, "\"\(hex)\"", "\"\(hex.uppercased())\""] { #expect(head(etag).contentMD5 == MD5Digest(hex: hex), "\(etag)") }
    for etag in ["", "\"", "\"\"", "\"\(hex)-2\"", "W/\"\(hex)\"", "\"\(hex.dropLast())\"", "\"\(hex.dropLast())g\""] {
      #expect(head(etag).contentMD5 == nil, "\(etag)")
    }
    #expect(head("\"\(hex)\"", "x-amz-server-side-encryption: AES256\r\n").contentMD5 != nil)
    #expect(head("\"\(hex)\"", "x-amz-server-side-encryption: aws:kms\r\n").contentMD5 == nil)
    #expect(head("\"\(hex)\"", "X-Amz-Server-Side-Encryption-Customer-Algorithm: AES256\r\n").contentMD5 == nil)
    #expect(head(hex).has("etag") && !head(hex).has("eta") && !head(hex).has("etags"))
  }
}
