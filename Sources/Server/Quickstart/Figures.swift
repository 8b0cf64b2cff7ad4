// Numbers as a person reads them in one glance, and text that fits a terminal's columns. Pure.

enum Figures {
  /// `1,234,567`
  static func count(_ value: Int64) -> String {
    var digits = Array(String(value.magnitude))
    var at = digits.count - 3
    while at > 0 {
      digits.insert(",", at: at)
      at -= 3
    }
    return (value < 0 ? "-" : "") + String(digits)
  }

  /// `999 B`, `1.2 kB`, `45 MB`: decimal units, two digits at least.
  static func bytes(_ value: Int64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    var (amount, unit) = (Double(value), 0)
    // 999.5 would be rounded to 1000 of the smaller unit.
    while abs(amount) >= (unit == 0 ? 1_000 : 999.5), unit < units.count - 1 {
      amount /= 1_000
      unit += 1
    }
    if unit == 0 { return "\(value) B" }
    return (abs(amount) < 9.95 ? decimal(amount) : String(Int64(amount.rounded()))) + " " + units[unit]
  }

  /// `3,210/s`, `0.4/s`
  static func rate(_ perSecond: Double) -> String {
    perSecond > 0 && perSecond < 9.95 ? decimal(perSecond) + "/s" : count(Int64(perSecond.rounded())) + "/s"
  }

  static func bytesRate(_ perSecond: Double) -> String { bytes(Int64(perSecond.rounded())) + "/s" }

  /// Never 100 % before everything is done, never 0 % once something is.
  static func percent(done: Int64, of total: Int64) -> Int {
    guard total > 0 else { return 0 }
    if done >= total { return 100 }
    return done <= 0 ? 0 : min(99, max(1, Int(Double(done) / Double(total) * 100)))
  }

  /// `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`
  static func duration(_ duration: Duration) -> String {
    let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    if seconds < 9.95 { return decimal(seconds) + " s" }
    let whole = Int64(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3_600 { return "\(whole / 60) min \(padded(whole % 60)) s" }
    return "\(whole / 3_600) h \(padded(whole % 3_600 / 60)) min"
  }

  private static func padded(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }

  private static func decimal(_ value: Double) -> String {
    let tenths = Int64((value * 10).rounded())
    return "\(tenths / 10).\(abs(tenths % 10))"
  }
}

/// Columns a text takes on a terminal.
enum DisplayWidth {
  static func of(_ text: String) -> Int { text.unicodeScalars.reduce(0) { $0 + of($1) } }

  /// The longest beginning that fits; what was cut shows as `…`.
  static func fitted(_ text: String, columns: Int) -> String {
    guard of(text) > columns else { return text }
    guard columns > 0 else { return "" }
    var (kept, width) = (String.UnicodeScalarView(), 0)
    for scalar in text.unicodeScalars {
      width += of(scalar)
      if width > columns - 1 { break }
      kept.append(scalar)
    }
    return String(kept) + "…"
  }

  static func padded(_ text: String, columns: Int) -> String {
    text + String(repeating: " ", count: max(0, columns - of(text)))
  }

  /// Wide East Asian characters and emoji take two, marks that sit on another character none.
  private static func of(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format, .control: return 0
    default: break
    }
    switch scalar.value {
    case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
      0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
      return 2
    default: return 1
    }
  }
}
