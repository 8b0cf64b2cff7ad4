// Builds Prometheus' text format 0.0.4, one family after the other, straight into bytes: a node has lines for each partition of
// each location, and its reactor writes them all in one turn.
internal import PipelineCore

/// Text format 0.0.4.
struct MetricsPage {
  enum Kind: String { case counter, gauge, histogram }

  /// Labels as they stand between the braces, made once for many samples.
  struct Labels {
    fileprivate var bytes: [UInt8] = []

    init(_ labels: [(String, String)]) {
      for (name, value) in labels { append(name, value) }
    }

    /// The same and one more, a number.
    func with(_ name: StaticString, _ number: UInt64) -> Labels {
      var more = self
      if !more.bytes.isEmpty { more.bytes.append(UInt8(ascii: ",")) }
      name.withUTF8Buffer { more.bytes += $0 }
      more.bytes += [UInt8(ascii: "="), UInt8(ascii: "\"")]
      more.bytes.append(digitsOf: number)
      more.bytes.append(UInt8(ascii: "\""))
      return more
    }

    /// The same and one more.
    func with(_ name: String, _ value: String) -> Labels {
      var more = self
      more.append(name, value)
      return more
    }

    private mutating func append(_ name: String, _ value: String) {
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

  /// Bounds as a page shows them, made once for many histograms: `0.1`, and `10` without a fraction.
  struct Bounds {
    fileprivate let texts: [String]
    fileprivate let unit: Int64

    /// - Parameter unit: so many of the bounds' units are one of the page's.
    init(_ bounds: [Int64], unit: Int64 = 1) {
      self.unit = unit
      texts = bounds.map { $0 % unit == 0 ? String($0 / unit) : "\(Double($0) / Double(unit))" }
    }
  }

  private(set) var bytes: [UInt8] = []
  private var name: [UInt8] = []
  /// Empty: all.
  private let families: Set<String>
  /// Whether the family that samples are given for now is wanted.
  private var isShown = true

  /// - Parameters: families: those wanted, by name; empty: all. byteCount: about so many bytes will come.
  init(_ families: Set<String> = [], byteCount: Int = 0) {
    self.families = families
    if byteCount > 0 { bytes.reserveCapacity(byteCount + byteCount / 8) }
  }

  /// False: nothing that begins so is wanted, and need not be put together.
  func shows(anyOf prefixes: String...) -> Bool {
    families.isEmpty || families.contains { family in prefixes.contains { family.hasPrefix($0) } }
  }

  mutating func family(_ name: String, _ kind: Kind, _ help: String) {
    isShown = families.isEmpty || families.contains(name)
    guard isShown else { return }
    self.name = Array(name.utf8)
    line("# HELP \(name) \(help)")
    line("# TYPE \(name) \(kind.rawValue)")
  }

  mutating func sample(_ value: UInt64, _ labels: [(String, String)]) { if isShown { sample(value, Labels(labels)) } }

  mutating func sample(_ value: UInt64, _ labels: Labels) {
    guard isShown else { return }
    begin("", labels)
    end(value)
  }

  /// One of many that differ in a number.
  /// - Parameter label: the name of the last label, `number` its value.
  mutating func sample(_ value: UInt64, _ labels: Labels, _ label: StaticString, _ number: UInt64) {
    guard isShown else { return }
    begin(labels, label, number)
    end(value)
  }

  mutating func reading(_ value: Double, _ labels: [(String, String)]) {
    guard isShown else { return }
    begin("", Labels(labels))
    end(value)
  }

  mutating func reading(_ value: Int64, _ labels: Labels) {
    guard isShown else { return }
    begin("", labels)
    bytes.append(UInt8(ascii: " "))
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    bytes.append(digitsOf: value.magnitude)
    bytes.append(UInt8(ascii: "\n"))
  }

  /// Seconds with three decimals, of many that differ in a number.
  /// - Parameter ms: at least 0.
  mutating func seconds(ms: Int64, _ labels: Labels, _ label: StaticString, _ number: UInt64) {
    guard isShown else { return }
    begin(labels, label, number)
    bytes.append(UInt8(ascii: " "))
    let (seconds, rest) = ms.magnitude.quotientAndRemainder(dividingBy: 1_000)
    bytes.append(digitsOf: seconds)
    bytes.append(UInt8(ascii: "."))
    if rest < 100 { bytes.append(UInt8(ascii: "0")) }
    if rest < 10 { bytes.append(UInt8(ascii: "0")) }
    bytes.append(digitsOf: rest)
    bytes.append(UInt8(ascii: "\n"))
  }

  mutating func histogram(_ histogram: Histogram, _ bounds: Bounds, _ labels: Labels) {
    guard isShown else { return }
    let counts = histogram.counts
    var total: UInt64 = 0
    for index in counts.indices {
      total += counts[index]
      bytes += name
      bytes.append("_bucket{")
      bytes += labels.bytes
      if !labels.bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
      bytes.append("le=\"")
      if index < bounds.texts.count { bytes += bounds.texts[index].utf8 } else { bytes.append("+Inf") }
      bytes.append("\"}")
      end(total)
    }
    begin("_sum", labels)
    end(Double(histogram.sum) / Double(bounds.unit))
    begin("_count", labels)
    end(total)
  }

  private mutating func begin(_ suffix: StaticString, _ labels: Labels) {
    bytes += name
    bytes.append(suffix)
    guard !labels.bytes.isEmpty else { return }
    bytes.append(UInt8(ascii: "{"))
    bytes += labels.bytes
    bytes.append(UInt8(ascii: "}"))
  }

  private mutating func begin(_ labels: Labels, _ label: StaticString, _ number: UInt64) {
    bytes += name
    bytes.append(UInt8(ascii: "{"))
    bytes += labels.bytes
    if !labels.bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
    bytes.append(label)
    bytes.append("=\"")
    bytes.append(digitsOf: number)
    bytes.append("\"}")
  }

  private mutating func end(_ value: UInt64) {
    bytes.append(UInt8(ascii: " "))
    bytes.append(digitsOf: value)
    bytes.append(UInt8(ascii: "\n"))
  }

  private mutating func end(_ value: Double) { line(" \(value)") }

  private mutating func line(_ text: String) {
    bytes += text.utf8
    bytes.append(UInt8(ascii: "\n"))
  }
}

extension [UInt8] {
  fileprivate mutating func append(_ text: StaticString) { text.withUTF8Buffer { self += $0 } }

  fileprivate mutating func append(digitsOf value: UInt64) {
    let start = count
    var rest = value
    repeat {
      append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    } while rest > 0
    self[start...].reverse()
  }
}
