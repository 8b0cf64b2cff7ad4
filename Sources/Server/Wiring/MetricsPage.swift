// Builds Prometheus' text format 0.0.4, one family after the other, straight into bytes: a node has a line for each partition
// of each location, and its reactor writes them all in one turn.

/// Text format 0.0.4.
struct MetricsPage {
  enum Kind: String { case counter, gauge, histogram }

  /// Labels as they stand between the braces, made once for many samples.
  struct Labels {
    fileprivate var bytes: [UInt8] = []

    init(_ labels: [(String, String)]) {
      for (name, value) in labels { append(name, value) }
    }

    fileprivate mutating func append(_ name: String, _ value: String) {
      if !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
      bytes += name.utf8
      bytes.append(UInt8(ascii: "="))
      bytes.append(UInt8(ascii: "\""))
      for byte in value.utf8 {
        switch byte {
        case UInt8(ascii: "\\"), UInt8(ascii: "\""):
          bytes.append(UInt8(ascii: "\\"))
          bytes.append(byte)
        case UInt8(ascii: "\n"):
          bytes.append(UInt8(ascii: "\\"))
          bytes.append(UInt8(ascii: "n"))
        default: bytes.append(byte)
        }
      }
      bytes.append(UInt8(ascii: "\""))
    }
  }

  private(set) var bytes: [UInt8] = []
  private var name: [UInt8] = []

  mutating func family(_ name: String, _ kind: Kind, _ help: String) {
    self.name = Array(name.utf8)
    line("# HELP \(name) \(help)")
    line("# TYPE \(name) \(kind.rawValue)")
  }

  mutating func sample(_ value: UInt64, _ labels: [(String, String)]) {
    begin("", Labels(labels))
    end(value)
  }

  /// One of many that differ in a number.
  /// - Parameter label: the name of the last label, `number` its value.
  mutating func sample(_ value: UInt64, _ labels: Labels, _ label: StaticString, _ number: UInt64) {
    bytes += name
    bytes.append(UInt8(ascii: "{"))
    bytes += labels.bytes
    if !labels.bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
    label.withUTF8Buffer { bytes += $0 }
    bytes.append(UInt8(ascii: "="))
    bytes.append(UInt8(ascii: "\""))
    digits(number)
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: "}"))
    end(value)
  }

  mutating func reading(_ value: Double, _ labels: [(String, String)]) {
    begin("", Labels(labels))
    end(value)
  }

  /// - Parameter counts: by bound, not cumulated, one more than there are bounds. - Parameter sum: in the bounds' unit.
  mutating func histogram(_ counts: [UInt64], bounds: [String], sum: Double, _ labels: [(String, String)]) {
    let labels = Labels(labels)
    var total: UInt64 = 0
    for (count, bound) in zip(counts, bounds + ["+Inf"]) {
      total += count
      var withBound = labels
      withBound.append("le", bound)
      begin("_bucket", withBound)
      end(total)
    }
    begin("_sum", labels)
    end(sum)
    begin("_count", labels)
    end(total)
  }

  private mutating func begin(_ suffix: StaticString, _ labels: Labels) {
    bytes += name
    suffix.withUTF8Buffer { bytes += $0 }
    guard !labels.bytes.isEmpty else { return }
    bytes.append(UInt8(ascii: "{"))
    bytes += labels.bytes
    bytes.append(UInt8(ascii: "}"))
  }

  private mutating func end(_ value: UInt64) {
    bytes.append(UInt8(ascii: " "))
    digits(value)
    bytes.append(UInt8(ascii: "\n"))
  }

  private mutating func end(_ value: Double) { line(" \(value)") }

  private mutating func digits(_ value: UInt64) {
    let start = bytes.count
    var rest = value
    repeat {
      bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    } while rest > 0
    bytes[start...].reverse()
  }

  private mutating func line(_ text: String) {
    bytes += text.utf8
    bytes.append(UInt8(ascii: "\n"))
  }
}
