// The head of an answer: its status, and its header lines as they came. A header is looked for when it is asked for; most never are.

public struct ResponseHead: Sendable {
  public let status: Int
  /// Without the status line.
  private let lines: [UInt8]

  public init(status: Int, lines: [UInt8]) {
    self.status = status
    self.lines = lines
  }

  /// The first header of that name.
  /// - Parameter name: in lower case.
  public subscript(name: StaticString) -> String? { withValue(name) { String(decoding: $0, as: UTF8.self) } }

  /// - Parameter name: in lower case.
  func has(_ name: StaticString) -> Bool { withValue(name) { _ in true } ?? false }

  /// Lends the value of the first header of that name; nil without one.
  /// - Parameter name: in lower case.
  func withValue<Result>(_ name: StaticString, _ body: (UnsafeRawBufferPointer) -> Result) -> Result? {
    let wanted = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    return lines.withUnsafeBytes { lines in
      var at = 0
      while at < lines.count {
        let end = Octet.firstNewline(lines, from: at) ?? lines.count
        if end - at > wanted.count, lines[at + wanted.count] == UInt8(ascii: ":"), Self.begins(lines, at, wanted) {
          return body(Self.trimmed(lines, (at + wanted.count + 1)..<end))
        }
        at = end + 1
      }
      return nil
    }
  }

  /// All headers whose name begins so, names in lower case.
  /// - Parameter prefix: in lower case.
  public func headers(prefix: String) -> [HTTPHeader] {
    let prefix = Array(prefix.utf8)
    return lines.withUnsafeBytes { lines in
      prefix.withUnsafeBytes { prefix in
        var found: [HTTPHeader] = []
        var at = 0
        while at < lines.count {
          let end = Octet.firstNewline(lines, from: at) ?? lines.count
          if end - at > prefix.count, Self.begins(lines, at, prefix), let colon = lines[at..<end].firstIndex(of: UInt8(ascii: ":")) {
            let name = String(decoding: lines[at..<colon].map(Octet.lower), as: UTF8.self)
            if colon - at >= prefix.count { found.append(HTTPHeader(name, String(decoding: Self.trimmed(lines, (colon + 1)..<end), as: UTF8.self))) }
          }
          at = end + 1
        }
        return found
      }
    }
  }

  private static func begins(_ lines: UnsafeRawBufferPointer, _ at: Int, _ wanted: UnsafeRawBufferPointer) -> Bool {
    for index in 0..<wanted.count where Octet.lower(lines[at + index]) != wanted[index] { return false }
    return true
  }

  private static func trimmed(_ lines: UnsafeRawBufferPointer, _ range: Range<Int>) -> UnsafeRawBufferPointer {
    var range = range
    while let last = range.last, lines[last] == Octet.space || lines[last] == Octet.tab || lines[last] == Octet.carriageReturn { range.removeLast() }
    while let first = range.first, lines[first] == Octet.space || lines[first] == Octet.tab { range.removeFirst() }
    return UnsafeRawBufferPointer(rebasing: lines[range])
  }
}
