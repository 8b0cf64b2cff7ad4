// Reads the characters a `TextSlice` means, escapes of one or both levels undone, as UTF-8, one byte at a time.
//
// Invariant: the slice was accepted by `JSONScan`, so nothing can be wrong in it any more; a broken one would give
// question marks, never a trap. No allocation: up to three bytes of one character wait in a word.
// It deliberately is the slow way: slices without escapes are taken as they stand.

struct TextReader {
  private var at: Int
  private let end: Int
  private let isNested: Bool
  private var outer = PendingBytes()
  private var inner = PendingBytes()

  init(_ slice: TextSlice) {
    at = Int(slice.start)
    end = Int(slice.end)
    isNested = slice.isNested
  }

  mutating func next(_ text: Span<UInt8>) -> UInt8? {
    guard isNested else { return nextOuter(text) }
    if let byte = inner.pop() { return byte }
    guard let byte = nextOuter(text) else { return nil }
    guard byte == UInt8(ascii: "\\") else { return byte }
    guard let kind = nextOuter(text) else { return UInt8(ascii: "?") }
    guard kind == UInt8(ascii: "u") else { return Self.short(kind) }
    var scalar = innerUnit(text)
    if (0xD800...0xDBFF).contains(scalar) {
      _ = nextOuter(text)
      _ = nextOuter(text)
      scalar = Self.pair(scalar, innerUnit(text))
    }
    return inner.push(scalar)
  }

  private mutating func innerUnit(_ text: Span<UInt8>) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 { value = value << 4 | (nextOuter(text).flatMap(ByteScan.hexDigit) ?? 0) }
    return value
  }

  private mutating func nextOuter(_ text: Span<UInt8>) -> UInt8? {
    if let byte = outer.pop() { return byte }
    guard at < end else { return nil }
    let byte = text[at]
    at += 1
    guard byte == UInt8(ascii: "\\"), at < end else { return byte }
    let kind = text[at]
    at += 1
    guard kind == UInt8(ascii: "u") else { return Self.short(kind) }
    var scalar = ByteScan.hex4(text, at) ?? 0x3F
    at += 4
    if (0xD800...0xDBFF).contains(scalar) {
      scalar = Self.pair(scalar, ByteScan.hex4(text, at + 2) ?? 0xDC00)
      at += 6
    }
    return outer.push(scalar)
  }

  private static func short(_ kind: UInt8) -> UInt8 {
    switch kind {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: kind
    }
  }

  private static func pair(_ high: UInt32, _ low: UInt32) -> UInt32 {
    0x10000 &+ (high & 0x3FF) << 10 &+ (low & 0x3FF)
  }
}

/// The rest of one UTF-8 sequence, next byte lowest.
private struct PendingBytes {
  private var bytes: UInt32 = 0

  mutating func pop() -> UInt8? {
    guard bytes != 0 else { return nil }
    let byte = UInt8(truncatingIfNeeded: bytes)
    bytes >>= 8
    return byte
  }

  /// Keeps all but the first byte of the scalar's UTF-8, which it returns. No tail byte is 0, so 0 means empty.
  mutating func push(_ scalar: UInt32) -> UInt8 {
    func tail(_ shift: UInt32) -> UInt32 { 0x80 | (scalar >> shift) & 0x3F }
    switch scalar {
    case 0..<0x80: return UInt8(scalar)
    case 0x80..<0x800:
      bytes = tail(0)
      return UInt8(0xC0 | scalar >> 6)
    case 0x800..<0x10000:
      bytes = tail(6) | tail(0) << 8
      return UInt8(0xE0 | scalar >> 12)
    default:
      bytes = tail(12) | tail(6) << 8 | tail(0) << 16
      return UInt8(truncatingIfNeeded: 0xF0 | (scalar >> 18) & 0x07)
    }
  }
}

extension TextSlice {
  /// The text the slice means, as UTF-8.
  func bytes(in text: Span<UInt8>) -> [UInt8] {
    // One copy in one call where it can be taken as it stands.
    guard isEscaped else { return unsafe text.extracting(range).withUnsafeBufferPointer { unsafe Array($0) } }
    var result: [UInt8] = []
    result.reserveCapacity(Int(end - start))
    var reader = TextReader(self)
    while let byte = reader.next(text) { result.append(byte) }
    return result
  }

  /// The text the slice means, from the array it was found in.
  func string(in storage: [UInt8]) -> String {
    if isEscaped { return String(decoding: bytes(in: storage.span), as: UTF8.self) }
    return String(decoding: storage[range], as: UTF8.self)
  }

  func isEqual(to name: String, in text: Span<UInt8>) -> Bool {
    guard !isEscaped else { return String(decoding: bytes(in: text), as: UTF8.self) == name }
    guard range.count == name.utf8.count else { return false }
    var at = Int(start)
    for byte in name.utf8 {
      guard text[at] == byte else { return false }
      at += 1
    }
    return true
  }
}
