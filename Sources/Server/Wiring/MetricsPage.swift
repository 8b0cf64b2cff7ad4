// Builds Prometheus' text format 0.0.4, one family after the other.

/// Text format 0.0.4.
struct MetricsPage {
  enum Kind: String { case counter, gauge, histogram }

  private(set) var bytes: [UInt8] = []
  private var name = ""

  mutating func family(_ name: String, _ kind: Kind, _ help: String) {
    self.name = name
    line("# HELP \(name) \(help)")
    line("# TYPE \(name) \(kind.rawValue)")
  }

  mutating func sample(_ value: UInt64, _ labels: [(String, String)]) { line("\(name)\(Self.list(labels)) \(value)") }
  mutating func reading(_ value: Double, _ labels: [(String, String)]) { line("\(name)\(Self.list(labels)) \(value)") }

  /// - Parameter counts: by bound, not cumulated, one more than there are bounds. - Parameter sum: in the bounds' unit.
  mutating func histogram(_ counts: [UInt64], bounds: [String], sum: Double, _ labels: [(String, String)]) {
    var total: UInt64 = 0
    for (count, bound) in zip(counts, bounds + ["+Inf"]) {
      total += count
      line("\(name)_bucket\(Self.list(labels + [("le", bound)])) \(total)")
    }
    line("\(name)_sum\(Self.list(labels)) \(sum)")
    line("\(name)_count\(Self.list(labels)) \(total)")
  }

  private static func list(_ labels: [(String, String)]) -> String {
    labels.isEmpty ? "" : "{" + labels.map { "\($0.0)=\"\(escaped($0.1))\"" }.joined(separator: ",") + "}"
  }

  private mutating func line(_ text: String) {
    bytes += text.utf8
    bytes.append(UInt8(ascii: "\n"))
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }
}
