// Percent-encoding and its undoing: of every octet, and of what only looks like it.
import Testing

@testable import Pipeline

@Suite struct URIEncodingTests {
  @Test func whatIsEncodedIsDecodedAgain() {
    for scalar in (0...0x2FF).compactMap(Unicode.Scalar.init) {
      let text = "a\(Character(scalar))/%\(Character(scalar))"
      #expect(URIEncoding.decoded(URIEncoding.encoded(text)) == text, "U+\(scalar.value)")
      #expect(URIEncoding.decoded(URIEncoding.encoded(text, keepsSlash: true)) == text, "U+\(scalar.value)")
    }
  }

  @Test(arguments: [
    ("", ""), ("a-b.c_d~e", "a-b.c_d~e"), ("a b", "a%20b"), ("+", "%2B"), ("/", "%2F"), ("é", "%C3%A9"), ("\u{0}", "%00"), ("%", "%25"),
  ])
  func everythingButTheUnreservedIsEncodedInUpperCase(_ text: String, _ encoded: String) {
    #expect(URIEncoding.encoded(text) == encoded)
  }

  @Test(arguments: ["%", "%4", "a%", "%+5", "% 5", "%-1", "%zz", "%0x", "%%41", "%FF", "%C3"])
  func whatIsNoPercentEncodedUTF8IsRefused(_ text: String) { #expect(URIEncoding.decoded(text) == nil) }

  @Test func digitsOfBothCasesCount() { #expect(URIEncoding.decoded("%c3%A9%2b") == "é+") }
}
