// Text written octet by octet into room made once.
import PipelineCore
import Testing

@Suite struct TextAppendingTests {
  private func decimal(_ number: Int64) -> String { String(bytesMax: OutputSpan<UInt8>.decimalBytesMax) { $0.append(decimal: number) } }

  @Test func decimalsAreThoseOfTheStandardLibrary() {
    var numbers: [Int64] = [0, .min, .max, -1, .min + 1]
    var power: Int64 = 1
    for _ in 0..<19 {
      numbers += [power - 1, power, power + 1, -power]
      power = power.multipliedReportingOverflow(by: 10).partialValue
    }
    for number in numbers { #expect(decimal(number) == String(number)) }
  }

  @Test func textsOfAnyKindAreTakenAsTheyStand() {
    let native = String(repeating: "ü€😀", count: 9)
    for text in ["", "a", "fifteen letters", "sixteen letters.", native, String(native.dropFirst()), "a\0b"] {
      #expect(String(bytesMax: text.utf8.count) { $0.append(text: text) } == text)
      #expect([UInt8](bytesMax: text.utf8.count) { $0.append(text: text) } == Array(text.utf8))
      var bytes: [UInt8] = [1, 2]
      bytes.append(text: text)
      #expect(bytes == [1, 2] + Array(text.utf8))
    }
    #expect(String(bytesMax: 20) { $0.append(literal: "less than the room") } == "less than the room")
    #expect([UInt8](bytesMax: 0) { _ in } == [])
  }

  /// Both ways to a name of a member, at both levels.
  @Test func namesAreWrittenAlikeWhenTheyAreKnownBeforehand() {
    func json(_ isNested: Bool, _ name: (inout JSONWriter) -> Void) -> [UInt8] {
      var writer = JSONWriter()
      if isNested { writer.beginNested() }
      writer.beginObject()
      name(&writer)
      writer.int(-7)
      name(&writer)
      writer.string("quote \" and \\ and ü")
      name(&writer)
      writer.string("plain")
      writer.endObject()
      if isNested { writer.endNested() }
      return writer.bytes
    }
    for isNested in [false, true] {
      #expect(json(isNested) { $0.name("some-name") } == json(isNested) { $0.name(text: "some-name") })
    }
    #expect(
      String(decoding: json(true) { $0.name("n") }, as: UTF8.self)
        == #""{\"n\":-7,\"n\":\"quote \\\" and \\\\ and ü\",\"n\":\"plain\"}""#)
  }
}
