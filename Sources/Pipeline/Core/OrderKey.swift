// The 64-bit order key of an entry: a hash of `<bucket>/<base key>` as the object is called, however it was escaped.
// The base key is the envelope's key up to NUL (behind it stands the version), without the prefixes of the v1 bucket
// format (DEL M, DEL V). Equal keys give equal hashes on this node; nothing else is promised, and it is never stored.

public enum OrderKey {
  private static let seed: UInt64 = 0xA076_1D64_78BD_642F
  private static let factor: UInt64 = 0xE703_7ED1_A0B4_28DB

  /// The hash for names that are already plain text (tests, resync, action entries).
  /// - Parameter key: base key, without version.
  public static func hash(bucket: String, key: String) -> UInt64 {
    var hasher = Hasher(seed)
    for byte in bucket.utf8 { hasher.add(byte) }
    hasher = Hasher(hasher.finish())
    for byte in key.utf8 { hasher.add(byte) }
    return hasher.finish()
  }

  /// `bucket` and `key` as found in the envelope; the key with version and prefix.
  @inline(__always)
  static func hash(bucket: TextSlice, base: BaseKey, in text: Span<UInt8>) -> UInt64 {
    part(base.slice, base, in: text, seed: part(bucket, nil, in: text, seed: seed))
  }

  /// Continues `seed` with the bytes a slice means.
  @inline(__always)
  static func part(_ slice: TextSlice, _ base: BaseKey?, in text: Span<UInt8>, seed: UInt64) -> UInt64 {
    if slice.isEscaped { return slowPart(slice, base, in: text, seed: seed) }
    var state = seed
    var at = Int(slice.start)
    let end = Int(slice.end)
    while at + 8 <= end {
      state = fold(state ^ ByteScan.word(text, at))
      at += 8
    }
    var rest: UInt64 = 0
    if at < end, at + 8 <= text.count {
      rest = ByteScan.word(text, at) & ((1 << UInt64((end - at) * 8)) - 1)
    } else {
      var shift: UInt64 = 0
      while at < end {
        rest |= UInt64(text[at]) << shift
        shift += 8
        at += 1
      }
    }
    return fold(fold(state ^ rest) ^ UInt64(end - Int(slice.start)))
  }

  private static func slowPart(_ slice: TextSlice, _ base: BaseKey?, in text: Span<UInt8>, seed: UInt64) -> UInt64 {
    var hasher = Hasher(seed)
    if let base {
      base.forEachByte(in: text) { hasher.add($0) }
    } else {
      var reader = TextReader(slice)
      while let byte = reader.next(text) { hasher.add(byte) }
    }
    return hasher.finish()
  }

  /// Full product, both halves: every input bit reaches every output bit.
  @inline(__always)
  static func fold(_ word: UInt64) -> UInt64 {
    let product = (word ^ seed).multipliedFullWidth(by: factor)
    return product.high ^ product.low
  }

  /// Byte by byte, with the result of the word-wise loop above.
  struct Hasher {
    private var state: UInt64
    private var word: UInt64 = 0
    private var count: UInt64 = 0

    init(_ seed: UInt64) { state = seed }

    mutating func add(_ byte: UInt8) {
      word |= UInt64(byte) << (count & 7 * 8)
      count += 1
      if count & 7 == 0 {
        state = OrderKey.fold(state ^ word)
        word = 0
      }
    }

    func finish() -> UInt64 { OrderKey.fold(OrderKey.fold(state ^ word) ^ count) }
  }
}

/// The part of an envelope's key that names the object.
struct BaseKey: Hashable, Sendable {
  /// Where it stands. When `slice.isEscaped`, the prefix and the version are still to be taken off while reading.
  var slice: TextSlice
  private static let prefix: UInt8 = 0x7F

  @inline(__always)
  init(_ key: TextSlice, in text: Span<UInt8>) {
    slice = key
    let start = Int(key.start)
    // The usual case: the first escape is the NUL in front of the version.
    if key.isEscaped, Self.isNul(text, Int(key.firstEscape)) { slice.end = key.firstEscape }
    if !slice.isEscaped, slice.end - slice.start >= 2, text[start] == Self.prefix, Self.isVersionLetter(text[start + 1]) {
      slice.start += 2
    }
  }

  /// `\u0000`.
  @inline(__always)
  static func isNul(_ text: Span<UInt8>, _ at: Int) -> Bool {
    guard at + 8 <= text.count else { return at + 6 <= text.count && ByteScan.hex4(text, at + 2) == 0 && text[at + 1] == 0x75 }
    return ByteScan.word(text, at) & 0xFFFF_FFFF_FFFF == 0x3030_3030_755C
  }

  private static func isVersionLetter(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "M") || byte == UInt8(ascii: "V") }

  func forEachByte(in text: Span<UInt8>, _ body: (UInt8) -> Void) {
    guard slice.isEscaped else {
      for index in slice.range { body(text[index]) }
      return
    }
    var reader = TextReader(slice)
    guard let first = reader.next(text), first != 0 else { return }
    guard first == Self.prefix else {
      body(first)
      while let byte = reader.next(text), byte != 0 { body(byte) }
      return
    }
    guard let second = reader.next(text), second != 0 else { return body(first) }
    if !Self.isVersionLetter(second) {
      body(first)
      body(second)
    }
    while let byte = reader.next(text), byte != 0 { body(byte) }
  }

  func string(in text: Span<UInt8>) -> String {
    guard slice.isEscaped else {
      // Unsafe: the pointer does not outlive the call.
      return unsafe text.extracting(slice.range).withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(slice.range.count)
    forEachByte(in: text) { bytes.append($0) }
    return String(decoding: bytes, as: UTF8.self)
  }

  func isEmpty(in text: Span<UInt8>) -> Bool {
    guard slice.isEscaped else { return slice.start == slice.end }
    var isEmpty = true
    forEachByte(in: text) { _ in isEmpty = false }
    return isEmpty
  }
}
