// Text into bytes. Where the most it can become is known beforehand, it is written into room made once (`append(addingCapacity:)`):
// an octet then costs an octet, not a look at the array's owner and its room.

extension [UInt8] {
  /// Written octet by octet. - Parameter bytesMax: the most that `write` adds.
  public init(bytesMax: Int, _ write: (inout OutputSpan<UInt8>) -> Void) {
    // Not `init(capacity:)`, which looks up the array's type each time.
    self = []
    append(addingCapacity: bytesMax, initializingWith: write)
  }

  /// The text's UTF-8 in one copy: `append(contentsOf:)` and `+=` with `utf8` go through an iterator.
  public mutating func append(text: String) { append(addingCapacity: text.utf8.count) { $0.append(text: text) } }
}

extension OutputSpan<UInt8> {
  /// Octets the longest decimal integer takes, its sign included.
  public static var decimalBytesMax: Int { 20 }

  /// - Precondition: there is room, as for all of these.
  @inlinable
  public mutating func append(text: String) {
    let octets = text.utf8.span
    // Unsafe: the pointer does not outlive the call.
    unsafe octets.withUnsafeBytes { unsafe append(octets: $0) }
  }

  /// Text that was known when this was built.
  @inlinable @inline(__always)
  public mutating func append(literal text: StaticString) {
    // Unsafe: literals live for ever.
    unsafe append(octets: UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  @inlinable @inline(__always)
  public mutating func append(octets: UnsafeRawBufferPointer) {
    precondition(octets.count <= freeCapacity, "more than there was room made for")
    guard let source = octets.baseAddress else { return }
    // Unsafe: the room was looked at above, and what was initialized is counted.
    unsafe withUnsafeMutableBufferPointer { room, count in
      guard let base = room.baseAddress else { return }
      unsafe UnsafeMutableRawPointer(base + count).copyMemory(from: source, byteCount: octets.count)
      count += octets.count
    }
  }

  public mutating func append(decimal number: Int64) {
    if number < 0 { append(UInt8(ascii: "-")) }
    // From the last digit on: to divide by ten is a multiplication, to divide by a power of it is not.
    var digits = [20 of UInt8](repeating: 0)
    var rest = number.magnitude
    var start = Self.decimalBytesMax
    repeat {
      start -= 1
      digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    } while rest > 0
    for index in start..<Self.decimalBytesMax { append(digits[index]) }
  }
}

extension String {
  /// Written octet by octet. - Parameter bytesMax: the most that `write` adds.
  public init(bytesMax: Int, _ write: (inout OutputSpan<UInt8>) -> Void) {
    // Unsafe: what the span has initialized is what it says in the end.
    self = unsafe String(unsafeUninitializedCapacity: bytesMax) { room in
      var text = unsafe OutputSpan(buffer: UnsafeMutableBufferPointer(rebasing: room[..<bytesMax]), initializedCount: 0)
      write(&text)
      return unsafe text.finalize(for: UnsafeMutableBufferPointer(rebasing: room[..<bytesMax]))
    }
  }
}
