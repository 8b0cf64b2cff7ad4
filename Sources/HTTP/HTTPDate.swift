// `Date` of RFC 9110 5.6.7 (IMF-fixdate), for example `Sun, 06 Nov 1994 08:49:37 GMT`. Pure calendar arithmetic: no
// locale, no time zone, no C library state.

enum HTTPDate {
  static let byteCount = 29

  /// - Parameter unixSeconds: since 1970-01-01T00:00:00Z; years 1970 to 9999.
  static func format(unixSeconds: Int64) -> [UInt8] {
    let days = unixSeconds / 86_400
    let secondOfDay = Int(unixSeconds % 86_400)
    let (year, month, day) = civil(days: days)
    var text: [UInt8] = []
    text.reserveCapacity(byteCount)
    // 1970-01-01 was a Thursday.
    append(name(Int((days + 4) % 7), of: "SunMonTueWedThuFriSat"), to: &text)
    append(", ", to: &text)
    appendTwoDigits(day, to: &text)
    append(" ", to: &text)
    append(name(month - 1, of: "JanFebMarAprMayJunJulAugSepOctNovDec"), to: &text)
    append(" ", to: &text)
    appendTwoDigits(year / 100, to: &text)
    appendTwoDigits(year % 100, to: &text)
    append(" ", to: &text)
    appendTwoDigits(secondOfDay / 3_600, to: &text)
    append(":", to: &text)
    appendTwoDigits(secondOfDay / 60 % 60, to: &text)
    append(":", to: &text)
    appendTwoDigits(secondOfDay % 60, to: &text)
    append(" GMT", to: &text)
    return text
  }

  /// Days since 1970 to the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
  private static func civil(days: Int64) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (Int(year), Int(month), Int(day))
  }

  private static func name(_ index: Int, of names: String) -> Substring.UTF8View {
    let utf8 = names[...].utf8
    return utf8.dropFirst(3 * index).prefix(3)
  }

  private static func append(_ text: some Sequence<UInt8>, to bytes: inout [UInt8]) { bytes.append(contentsOf: text) }
  private static func append(_ text: String, to bytes: inout [UInt8]) { bytes.append(contentsOf: text.utf8) }

  private static func appendTwoDigits(_ value: Int, to bytes: inout [UInt8]) {
    bytes.append(ASCII.zero + UInt8(value / 10))
    bytes.append(ASCII.zero + UInt8(value % 10))
  }
}
