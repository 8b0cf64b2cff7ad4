// Times as the API and the stored states spell them: ISO 8601, UTC, milliseconds, as JavaScript's `toISOString`.
// Civil dates by counting days from 0000-03-01 (the proleptic Gregorian calendar); no time zone, no leap seconds.

public enum ISO8601 {
  private static let dayMs: Int64 = 86_400_000
  /// Days from 0000-03-01 to 1970-01-01.
  private static let epochDays: Int64 = 719_468
  /// JavaScript's own range: 100 million days around the epoch.
  public static let msMax: Int64 = 8_640_000_000_000_000

  /// - Parameter ms: Unix milliseconds within ±`msMax`; beyond it is cut to the bound.
  /// - Returns: `2018-06-28T05:40:20.600Z`; years beyond four digits as `+012345-…`.
  public static func string(ms: Int64) -> String {
    let ms = min(max(ms, -msMax), msMax)
    let days = ms.quotientDown(dayMs)
    let rest = ms - days * dayMs
    let date = civil(days: days)
    var text: [UInt8] = []
    text.reserveCapacity(24)
    if (0...9999).contains(date.year) {
      append(date.year, digits: 4, to: &text)
    } else {
      text.append(UInt8(ascii: date.year < 0 ? "-" : "+"))
      append(abs(date.year), digits: 6, to: &text)
    }
    for (mark, value, digits) in [
      ("-", date.month, 2), ("-", date.day, 2), ("T", rest / 3_600_000, 2), (":", rest / 60_000 % 60, 2),
      (":", rest / 1000 % 60, 2), (".", rest % 1000, 3),
    ] as [(Unicode.Scalar, Int64, Int)] {
      text.append(UInt8(ascii: mark))
      append(value, digits: digits, to: &text)
    }
    text.append(UInt8(ascii: "Z"))
    return String(decoding: text, as: UTF8.self)
  }

  /// - Parameter text: `YYYY-MM-DDTHH:MM:SS`, a fraction of up to nine digits or none, then `Z` or `±HH:MM`.
  /// - Returns: Unix milliseconds (a finer fraction is cut); nil for anything else, and for dates that do not exist.
  public static func ms(_ text: String) -> Int64? {
    var reader = DigitReader(Array(text.utf8))
    guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"),
      let day = reader.number(2), reader.take("T"), let hour = reader.number(2), reader.take(":"),
      let minute = reader.number(2), reader.take(":"), let second = reader.number(2)
    else { return nil }
    guard (1...12).contains(month), day >= 1, day <= daysIn(month, of: year), hour < 24, minute < 60, second < 60 else {
      return nil
    }
    var fraction: Int64 = 0
    if reader.take(".") {
      guard let milliseconds = reader.fraction(digitsMax: 9) else { return nil }
      fraction = milliseconds
    }
    var offsetMinutes: Int64 = 0
    if !reader.take("Z") {
      let isWest = reader.take("-")
      guard isWest || reader.take("+"), let hours = reader.number(2), reader.take(":"), let minutes = reader.number(2),
        hours < 24, minutes < 60
      else { return nil }
      offsetMinutes = (hours * 60 + minutes) * (isWest ? -1 : 1)
    }
    guard reader.isAtEnd else { return nil }
    let seconds = days(year: year, month: month, day: day) * 86_400 + hour * 3600 + (minute - offsetMinutes) * 60 + second
    return seconds * 1000 + fraction
  }

  private static func daysIn(_ month: Int64, of year: Int64) -> Int64 {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return switch month {
    case 2: isLeap ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// The year is counted from March, so that the leap day is its last.
  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted.quotientDown(400)
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - epochDays
  }

  private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = days + epochDays
    let era = shifted.quotientDown(146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    return (yearOfEra + era * 400 + (month >= 10 ? 1 : 0), month < 10 ? month + 3 : month - 9, day)
  }

  private static func append(_ value: Int64, digits: Int, to text: inout [UInt8]) {
    var divisor: Int64 = 1
    for _ in 1..<digits { divisor *= 10 }
    for _ in 0..<digits {
      text.append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
      divisor /= 10
    }
  }
}

extension Int64 {
  /// Division that rounds towards minus infinity.
  fileprivate func quotientDown(_ divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}

private struct DigitReader {
  private let text: [UInt8]
  private var at = 0

  init(_ text: [UInt8]) { self.text = text }

  var isAtEnd: Bool { at == text.count }

  mutating func take(_ mark: Unicode.Scalar) -> Bool {
    guard at < text.count, text[at] == UInt8(ascii: mark) else { return false }
    at += 1
    return true
  }

  mutating func number(_ digits: Int) -> Int64? {
    guard at + digits <= text.count else { return nil }
    var value: Int64 = 0
    for _ in 0..<digits {
      guard (0x30...0x39).contains(text[at]) else { return nil }
      value = value * 10 + Int64(text[at] - 0x30)
      at += 1
    }
    return value
  }

  /// Milliseconds from the digits behind the point.
  mutating func fraction(digitsMax: Int) -> Int64? {
    var count = 0
    var value: Int64 = 0
    while let digit = number(1) {
      count += 1
      if count <= 3 { value = value * 10 + digit }
    }
    guard count >= 1, count <= digitsMax else { return nil }
    for _ in 0..<max(0, 3 - count) { value *= 10 }
    return value
  }
}
