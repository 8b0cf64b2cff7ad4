// Header lines of a request as they are sent: written once, into one buffer, from which they are signed as well.
//
// Invariant: each line is a name in lower case, a colon, a space, a value and CRLF, and has no other control character: one inside
// a name or value would end the header, or the request. It becomes a space.
internal import CLinux
internal import Glibc
internal import PipelineCore

public struct HeaderLines: Sendable {
  /// Room for those of an ordinary request, small enough for the allocator's quick lists.
  private static let bytesUsual = 960
  /// `: ` and CRLF.
  private static let separatorBytes = 4
  private(set) var bytes: [UInt8] = []
  private(set) var count = 0

  public init(_ headers: [HTTPHeader] = []) {
    for header in headers { append(named: header.name, header.value) }
  }

  /// - Parameter name: in lower case.
  mutating func append(_ name: StaticString, _ value: String) { append(name, bytesMax: value.utf8.count) { $0.append(text: value) } }

  /// - Parameters:
  ///   - name: in lower case.
  ///   - bytesMax: of the value.
  ///   - write: adds the value to the octets it is given.
  mutating func append(_ name: StaticString, bytesMax: Int, _ write: (inout OutputSpan<UInt8>) -> Void) {
    assert(name.withUTF8Buffer { $0.allSatisfy { $0 == Octet.lower($0) && $0 > Octet.space } }, "a name as it is not sent")
    line(bytesMax: name.utf8CodeUnitCount + bytesMax) { line in
      line.append(literal: name)
      line.append(literal: ": ")
      let start = line.count
      write(&line)
      line.removeControls(from: start)
    }
  }

  /// - Parameter name: in any case, whatever is in it.
  mutating func append(named name: String, _ value: String) {
    line(bytesMax: name.utf8.count + value.utf8.count) { line in
      line.append(text: name)
      line.withUnsafeMutableBufferPointer { line, count in
        for index in 0..<count { line[index] = Octet.lower(line[index]) }
      }
      line.append(literal: ": ")
      line.append(text: value)
      line.removeControls(from: 0)
    }
  }

  /// All of the others behind its own.
  mutating func append(_ others: HeaderLines) {
    if bytes.isEmpty { bytes.reserveCapacity(Self.bytesUsual) }
    bytes += others.bytes
    count += others.count
  }

  /// - Parameter bytesMax: of name and value.
  private mutating func line(bytesMax: Int, _ write: (inout OutputSpan<UInt8>) -> Void) {
    if bytes.isEmpty { bytes.reserveCapacity(Self.bytesUsual) }
    bytes.append(addingCapacity: bytesMax + Self.separatorBytes) { line in
      write(&line)
      line.append(literal: "\r\n")
    }
    count += 1
  }

  /// Takes the last one out again. - Precondition: there is one.
  mutating func removeLast() {
    let start = bytes.dropLast().lastIndex(of: Octet.newline).map { $0 + 1 } ?? 0
    bytes.removeLast(bytes.count - start)
    count -= 1
  }

  // MARK: One by one

  struct Line {
    let name: UnsafeRawBufferPointer
    let value: UnsafeRawBufferPointer

    /// By name, octet by octet.
    func precedes(_ other: Line) -> Bool {
      guard let own = name.baseAddress, let others = other.name.baseAddress else { return name.isEmpty && !other.name.isEmpty }
      let order = memcmp(own, others, min(name.count, other.name.count))
      return order < 0 || order == 0 && name.count < other.name.count
    }
  }

  /// All lines in the order of their names, which is that of a signature.
  func withSorted<Result>(_ body: (UnsafeMutableBufferPointer<Line>) -> Result) -> Result {
    bytes.withUnsafeBytes { bytes in
      withUnsafeTemporaryAllocation(of: Line.self, capacity: count) { lines in
        var (lines, filled) = (lines, 0)
        Self.forEach(bytes) { line in
          lines.initializeElement(at: filled, to: line)
          filled += 1
        }
        lines.sort { $0.precedes($1) }
        return body(lines)
      }
    }
  }

  /// As they were given.
  var list: [HTTPHeader] {
    bytes.withUnsafeBytes { bytes in
      var list: [HTTPHeader] = []
      Self.forEach(bytes) { list.append(HTTPHeader(String(decoding: $0.name, as: UTF8.self), String(decoding: $0.value, as: UTF8.self))) }
      return list
    }
  }

  private static func forEach(_ bytes: UnsafeRawBufferPointer, _ body: (Line) -> Void) {
    var at = 0
    while let end = Octet.firstNewline(bytes, from: at), let colon = Octet.firstColon(bytes, from: at) {
      // A colon inside a name ends it, for who reads the line too, and no space follows.
      let start = bytes[colon + 1] == Octet.space ? colon + 2 : colon + 1
      body(Line(name: UnsafeRawBufferPointer(rebasing: bytes[at..<colon]), value: UnsafeRawBufferPointer(rebasing: bytes[start..<(end - 1)])))
      at = end + 1
    }
  }
}
