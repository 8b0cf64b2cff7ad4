// Rendering: the calendar, error bodies, header lines.
import Testing

@testable import HTTP

struct ResponseTests {
  @Test(
    arguments: [
      (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
      (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
      (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
      (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] as [(Int64, String)])
  func dateIsIMFFixdate(_ seconds: Int64, _ text: String) {
    #expect(String(decoding: HTTPDate.format(unixSeconds: seconds), as: UTF8.self) == text)
  }

  @Test func errorBodyIsValidJSONWhateverTheText() {
    let error = HTTPError(.notFound, "RouteNotFound", "no \"such\" \\ path\n\u{1}\u{1F} é")
    #expect(
      String(decoding: error.response.body, as: UTF8.self)
        == "{\"code\":404,\"description\":\"no \\\"such\\\" \\\\ path\\n\\u0001\\u001f é\",\"RouteNotFound\":true}")
  }

  @Test func everyParseErrorHasAStatusAndWords() {
    for error in HTTPParseError.allCases {
      #expect((400...505).contains(error.status.code))
      #expect(error.reason.hasSuffix("."))
      #expect(HTTPError(error).description == error.reason)
    }
  }

  @Test func requestIDIsTwentyHexadecimalDigitsAndCounts() {
    #expect(RequestID(prefix: 0xFFFF_FF12_3456_789A, number: 0xABC).description == "123456789a0000000abc")
  }
}
