import TestSupport
import Testing

@testable import Pipeline

@Suite struct XMLTests {
  private func parse(_ text: String) throws -> XMLElement { try XMLElement(parsing: Array(text.utf8)) }

  @Test func theDocumentsOfS3AreRead() throws {
    let error = try parse("<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>a &amp; b &#x41;</Message></Error>\n")
    #expect(error.name == "Error" && error.text("Code") == "SlowDown" && error.text("Message") == "a & b A")
    let tags = try parse(
      "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet><Tag><Key>k</Key><Value/></Tag><Tag><Key><![CDATA[<x>]]></Key>"
        + "<Value>v</Value></Tag></TagSet></Tagging>")
    #expect(tags["TagSet"]?.all("Tag").map { $0.text("Key") } == ["k", "<x>"])
    #expect(tags["TagSet"]?.all("Tag").map { $0.text("Value") } == ["", "v"])
    #expect(try parse("<a:b q='>'>x<!-- - --></a:b>").text == "x")
  }

  @Test(arguments: [
    "", "text", "<a>", "<a></b>", "<a><b></a></b>", "<a>&bogus;</a>", "<a>&#xD800;</a>", "<a/>x", "<a/><b/>", "<>x</>",
    "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "<a><!ENTITY x></a>", "<a", "<a b=\"", "<a>&amp</a>", "<a><![CDATA[x</a>", "<a><</a>",
  ])
  func anythingElseIsRefused(_ text: String) {
    #expect(throws: XMLElement.Malformed.self) { try parse(text) }
  }

  @Test func nestingIsBounded() throws {
    let deep = String(repeating: "<a>", count: 17) + String(repeating: "</a>", count: 17)
    #expect(throws: XMLElement.Malformed.self) { try parse(deep) }
    #expect(try parse(String(deep.dropFirst(3).dropLast(4))).name == "a")
  }

  @Test func damagedDocumentsNeverCrash() {
    var random = SeededGenerator(seed: testSeed)
    let original = Array("<R a=\"b\"><!-- c --><K>x &lt;&#65;</K><![CDATA[y]]><E/></R>".utf8)
    for _ in 0..<20_000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      bytes.removeLast(Int.random(in: 0...3, using: &random))
      do throws(XMLElement.Malformed) { _ = try XMLElement(parsing: bytes) } catch { continue }
    }
  }
}
