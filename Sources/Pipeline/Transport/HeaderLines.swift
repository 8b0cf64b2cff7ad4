// Header lines of a request as they are sent: written once, into one buffer.

public struct HeaderLines: Hashable, Sendable {
  /// Room for those of an ordinary request, small enough for the allocator's quick lists.
  private static let bytesUsual = 768
  /// Each ends with CRLF.
  private(set) var bytes: [UInt8] = []

  public init(_ headers: [HTTPHeader] = []) {
    guard !headers.isEmpty else { return }
    bytes.reserveCapacity(Self.bytesUsual)
    for header in headers { append(header.name, header.value) }
  }

  mutating func reserve() { bytes.reserveCapacity(Self.bytesUsual) }

  /// A line end inside a name or value would end the header, or the request: it becomes a space.
  mutating func append(_ name: String, _ value: String) {
    let start = bytes.count
    bytes.append(text: name)
    bytes.append(UInt8(ascii: ":"))
    bytes.append(Octet.space)
    bytes.append(text: value)
    bytes.removeLineEnds(from: start)
    bytes.append(Octet.carriageReturn)
    bytes.append(Octet.newline)
  }

  /// One by one, as they were given.
  var list: [HTTPHeader] {
    bytes.split(separator: Octet.newline).compactMap { line in
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
      return HTTPHeader(String(decoding: line[..<colon], as: UTF8.self), String(decoding: line[(colon + 2)...].dropLast(), as: UTF8.self))
    }
  }
}

extension [UInt8] {
  /// What would end a line of a head becomes a space.
  mutating func removeLineEnds(from start: Int) {
    withUnsafeMutableBytes { bytes in
      // Nearly always there is nothing to do.
      guard start < bytes.count, Octet.containControls(UnsafeRawBufferPointer(rebasing: bytes[start...])) else { return }
      for index in start..<bytes.count where bytes[index] == Octet.newline || bytes[index] == Octet.carriageReturn || bytes[index] == 0 {
        bytes[index] = Octet.space
      }
    }
  }
}
