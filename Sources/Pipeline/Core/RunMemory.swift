// What stood between the values that are wanted of an object, in entries before: whole members, and the name of the next one wanted.
// Where the same bytes stand again they are compared instead of read (see EntryMemory).
//
// Of these members the values may differ, as ETags and sizes do: a text that holds nothing special instead of another one, whole
// numbers. Names may not, and nothing else.

struct RunMemory<Member: KnownMember>: Sendable {
  static var bytesMax: Int { 1_024 }
  /// More than an object has of members wanted.
  static var runsMax: Int { 16 }
  /// Of one run: values that may differ.
  static var gapsMax: Int { 16 }

  private struct Run: Sendable {
    /// 0: nothing is remembered.
    var count: Int32 = 0
    /// Its value comes behind the run; nil: a value has just ended there.
    var member: Member?
    /// The run stands at the object's beginning, without a comma.
    var isFirst = false
    var gapCount: UInt8 = 0
    var turns = TurnTaking()
  }

  /// A value's place in the run: a text without its quotes, or a whole number.
  private struct Gap: Sendable {
    var start: Int16 = 0
    var end: Int16 = 0
    var isNumber = false
  }

  private var runs = InlineArray<16, Run>(repeating: Run())
  private let isKept: Bool
  /// `gapsMax` for each run, in order. As the bytes, empty until there is something to remember.
  private var gaps: [Gap] = []
  /// `bytesMax` for each run.
  private var bytes: [UInt8] = []
  /// The run of this object that comes next.
  private var next = 0

  /// - Parameter isKept: false: of a single object nothing is remembered.
  init(isKept: Bool) { self.isKept = isKept }

  /// Another object begins.
  mutating func begin() { next = 0 }

  /// Passes what is remembered of this place, if it stands here.
  /// - Parameter isAtFirst: no member was passed yet.
  /// - Returns: nil if nothing was passed; else the member at whose value `at` is left, nil behind a value.
  @inline(__always)
  mutating func pass(_ text: Span<UInt8>, _ at: inout Int, isAtFirst: Bool) -> Member?? {
    guard next < Self.runsMax else { return nil }
    let run = runs[next]
    guard run.count > 0, isAtFirst == run.isFirst, let end = end(of: run, text, at) else { return nil }
    if run.member == nil {
      // A number that goes on behind them would be another number.
      guard end < text.count, text[end] == UInt8(ascii: ",") || text[end] == UInt8(ascii: "}") else { return nil }
    }
    at = end
    next &+= 1
    return .some(run.member)
  }

  /// Where the next run ends if it begins here; nil if it does not.
  @inline(__always)
  private func end(of run: Run, _ text: Span<UInt8>, _ start: Int) -> Int? {
    let count = Int(run.count)
    let base = next &* Self.bytesMax
    var here = start
    var done = 0
    var gap = 0
    while true {
      let same = ByteScan.sameCount(text, here, bytes.span, base &+ done, count &- done)
      done &+= same
      here &+= same
      guard done < count else { return here }
      // What is different must be one of the values.
      while gap < run.gapCount, gaps[next &* Self.gapsMax &+ gap].end < done { gap &+= 1 }
      guard gap < run.gapCount else { return nil }
      let value = gaps[next &* Self.gapsMax &+ gap]
      guard value.start <= done else { return nil }
      if value.isNumber {
        guard ByteScan.passDigits(text, &here, from: here &- (done &- Int(value.start))) else { return nil }
      } else {
        here = ByteScan.special(text, here)
      }
      done = Int(value.end)
      gap &+= 1
    }
  }

  /// What was not passed above, but read and found right.
  /// - Parameter member: at whose value the range ends.
  mutating func keep(_ text: Span<UInt8>, _ range: Range<Int>, isAtFirst: Bool, _ member: Member?) {
    guard next < Self.runsMax, isKept else { return }
    let slot = next
    next += 1
    guard (1...Self.bytesMax).contains(range.count) else { return }
    guard runs[slot].count == 0 || runs[slot].turns.differs() else { return }
    if bytes.isEmpty {
      bytes = [UInt8](repeating: 0, count: Self.runsMax * Self.bytesMax)
      gaps = [Gap](repeating: Gap(), count: Self.runsMax * Self.gapsMax)
    }
    runs[slot].count = Int32(range.count)
    runs[slot].member = member
    runs[slot].isFirst = isAtFirst
    runs[slot].gapCount = 0
    for index in 0..<range.count { bytes[slot * Self.bytesMax + index] = text[range.lowerBound + index] }
    findGaps(text, range, slot)
  }

  /// The run's values that may differ, up to the first place that needs a closer look.
  private mutating func findGaps(_ text: Span<UInt8>, _ range: Range<Int>, _ slot: Int) {
    var at = range.lowerBound
    while at < range.upperBound, runs[slot].gapCount < Self.gapsMax {
      let value: Range<Int>
      let isNumber = ByteScan.isDigit(text[at])
      if isNumber {
        let start = at
        while ByteScan.isDigit(text[at]) { at += 1 }
        value = start..<at
        // Part of another number.
        guard endsBeforeValue(text[start - 1]) else { continue }
      } else if let slice = Member.Level.usualString(text, &at) {
        value = slice.range
      } else {
        // A text that holds something special, or escaped white space.
        guard text[at] != UInt8(ascii: "\""), text[at] != UInt8(ascii: "\\") else { return }
        at += 1
        continue
      }
      // A name is no value, and what goes on behind its digits no whole number.
      guard beginsBehindValue(text[at]) else { continue }
      gaps[slot * Self.gapsMax + Int(runs[slot].gapCount)] = Gap(
        start: Int16(value.lowerBound - range.lowerBound), end: Int16(value.upperBound - range.lowerBound), isNumber: isNumber)
      runs[slot].gapCount += 1
    }
  }

  private func endsBeforeValue(_ byte: UInt8) -> Bool { byte == UInt8(ascii: ":") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "[") }

  private func beginsBehindValue(_ byte: UInt8) -> Bool { byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") }
}

extension ByteScan {
  /// How many of `countMax` bytes are the same from there on in both, as far as the texts go.
  @inline(__always)
  static func sameCount(_ one: Span<UInt8>, _ oneStart: Int, _ other: Span<UInt8>, _ otherStart: Int, _ countMax: Int) -> Int {
    precondition(oneStart >= 0 && otherStart >= 0)
    let end = min(countMax, one.count &- oneStart, other.count &- otherStart)
    var count = 0
    // Four words at a time, which costs half of what one by one does.
    while count &+ 32 <= end {
      let first = difference(one, oneStart &+ count, other, otherStart &+ count)
      let second = difference(one, oneStart &+ count &+ 8, other, otherStart &+ count &+ 8)
      let third = difference(one, oneStart &+ count &+ 16, other, otherStart &+ count &+ 16)
      let fourth = difference(one, oneStart &+ count &+ 24, other, otherStart &+ count &+ 24)
      if first | second | third | fourth != 0 { break }
      count &+= 32
    }
    // The last word may go on behind the end.
    let readable = min(one.count &- oneStart, other.count &- otherStart) &- 8
    while count < end, count <= readable {
      let different = difference(one, oneStart &+ count, other, otherStart &+ count)
      if different != 0 { return min(end, count &+ different.trailingZeroBitCount >> 3) }
      count &+= 8
    }
    if count >= end { return end }
    while count < end, one[oneStart &+ count] == other[otherStart &+ count] { count &+= 1 }
    return count
  }

  /// Of eight bytes each; 0 if they are the same.
  /// - Precondition: both have as many.
  @inline(__always)
  private static func difference(_ one: Span<UInt8>, _ oneAt: Int, _ other: Span<UInt8>, _ otherAt: Int) -> UInt64 {
    unsafe one.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: oneAt, as: UInt64.self)
      ^ other.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: otherAt, as: UInt64.self)
  }

  /// Passes the rest of a whole number. - Returns: false if none stands there (RFC 8259, section 6: no zero at its beginning).
  @inline(__always)
  static func passDigits(_ text: Span<UInt8>, _ at: inout Int, from start: Int) -> Bool {
    while at < text.count, isDigit(text[at]) { at &+= 1 }
    return at > start && (at == start &+ 1 || text[start] != UInt8(ascii: "0"))
  }
}
