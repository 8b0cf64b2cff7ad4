// Times as the API shows them: ISO 8601, UTC, milliseconds, `2018-06-28T05:40:20.600Z`. Pure calendar arithmetic.

enum ISOTime {
  /// - Parameter unixMs: since 1970-01-01T00:00:00Z, not before; years up to 9999.
  static func text(unixMs: Int64) -> String {
    let (days, msOfDay) = max(0, unixMs).quotientAndRemainder(dividingBy: 86_400_000)
    let (year, month, day) = civil(days: days)
    let (hour, minute, second) = (msOfDay / 3_600_000, msOfDay / 60_000 % 60, msOfDay / 1_000 % 60)
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T"
      + "\(padded(hour, 2)):\(padded(minute, 2)):\(padded(second, 2)).\(padded(msOfDay % 1_000, 3))Z"
  }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  /// Days since 1970 to the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
  private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
  }
}
