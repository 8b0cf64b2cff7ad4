// Reads a chunked body (RFC 9112 7.1) as it arrives, one octet after the other, whatever the splits. Yields ranges of the
// input, copies nothing. Extensions and trailers are checked against the grammar, bounded and dropped: nobody here would
// act on them, and a lenient reader of either is a way to smuggle requests.

public struct ChunkedDecoder: Sendable {
  public enum Step: Sendable, Equatable {
    /// Octets of the body; everything before their end is consumed.
    case data(Range<Int>)
    /// All of the input is consumed and the body goes on.
    case needMore
    /// The body is complete; the next request begins at `consumed`.
    case end(consumed: Int)
  }

  private enum State: Sendable {
    case size
    case blankBeforeExtension
    case extensionStart, extensionName, afterExtensionName, extensionValueStart, extensionValue
    case extensionQuoted, extensionEscaped, afterExtensionValue
    case sizeLineFeed
    /// Octets of this chunk still to come.
    case data(Int)
    case dataCarriageReturn, dataLineFeed
    case trailerStart, trailerName, trailerValue, trailerLineFeed
    case lastLineFeed
    case done
  }

  private let bodyBytesMax: Int
  private let extensionBytesMax: Int
  private let trailerBytesMax: Int
  private var state = State.size
  private var size = 0
  private var sizeDigits = 0
  private var extensionBytes = 0
  private var trailerBytes = 0
  /// Octets of the body promised so far by the sizes read.
  private var bodyBytes = 0

  public init(limits: HTTPLimits) {
    bodyBytesMax = limits.bodyBytesMax
    extensionBytesMax = limits.chunkExtensionBytesMax
    trailerBytesMax = limits.trailerBytesMax
  }

  /// Reads on until there is something to tell.
  /// - Parameter start: the first byte not yet consumed.
  /// - Throws: the first rule broken; `bodyTooLarge` as soon as a size says so. The decoder must not be used again then.
  public mutating func next(_ bytes: Span<UInt8>, from start: Int) throws(HTTPParseError) -> Step {
    var index = start
    while index < bytes.count {
      if case .data(let remaining) = state {
        let end = min(bytes.count, index + remaining)
        state = end - index == remaining ? .dataCarriageReturn : .data(remaining - (end - index))
        return .data(index..<end)
      }
      if case .done = state { return .end(consumed: index) }
      try read(bytes[index])
      index += 1
    }
    if case .done = state { return .end(consumed: index) }
    return .needMore
  }

  private mutating func read(_ byte: UInt8) throws(HTTPParseError) {
    switch state {
    case .size: try readSize(byte)
    case .blankBeforeExtension, .extensionStart, .extensionName, .afterExtensionName, .extensionValueStart, .extensionValue,
      .extensionQuoted, .extensionEscaped, .afterExtensionValue:
      try readExtension(byte)
    case .sizeLineFeed:
      guard byte == ASCII.lineFeed else { throw .bareCarriageReturn }
      try beginChunk()
    case .dataCarriageReturn:
      guard byte == ASCII.carriageReturn else { throw .chunkEnd }
      state = .dataLineFeed
    case .dataLineFeed:
      guard byte == ASCII.lineFeed else { throw .chunkEnd }
      state = .size
    case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed: try readTrailer(byte)
    case .lastLineFeed:
      guard byte == ASCII.lineFeed else { throw .bareCarriageReturn }
      state = .done
    case .data, .done: preconditionFailure("no octet is read in state \(state)")
    }
  }

  private mutating func readSize(_ byte: UInt8) throws(HTTPParseError) {
    if let digit = ASCII.hexValue(byte) {
      sizeDigits += 1
      // 16 digits hold any size; the value itself is bounded long before it could overflow.
      guard sizeDigits <= 16 else { throw .chunkSize }
      size = size << 4 | Int(digit)
      guard size < 1 << 40 else { throw .bodyTooLarge }
      return
    }
    guard sizeDigits > 0 else { throw .chunkSize }
    switch byte {
    case ASCII.carriageReturn: state = .sizeLineFeed
    case ASCII.semicolon: state = .extensionStart
    case ASCII.space, ASCII.horizontalTab: state = .blankBeforeExtension
    case ASCII.lineFeed: throw .bareLineFeed
    default: throw .chunkSize
    }
  }

  private mutating func beginChunk() throws(HTTPParseError) {
    guard size <= bodyBytesMax - bodyBytes else { throw .bodyTooLarge }
    bodyBytes += size
    state = size == 0 ? .trailerStart : .data(size)
    size = 0
    sizeDigits = 0
  }

  /// RFC 9112 7.1.1: `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
  private mutating func readExtension(_ byte: UInt8) throws(HTTPParseError) {
    extensionBytes += 1
    guard extensionBytes <= extensionBytesMax else { throw .chunkExtensionsTooLarge }
    if byte == ASCII.lineFeed { throw .bareLineFeed }
    guard let following = extensionState(after: byte) else { throw .chunkExtension }
    state = following
  }

  private func extensionState(after byte: UInt8) -> State? {
    switch state {
    case .blankBeforeExtension:
      return ASCII.isBlank(byte) ? .blankBeforeExtension : byte == ASCII.semicolon ? .extensionStart : nil
    case .extensionStart:
      return ASCII.isBlank(byte) ? .extensionStart : ASCII.isToken(byte) ? .extensionName : nil
    case .extensionName:
      return ASCII.isToken(byte) ? .extensionName : extensionEnd(byte, orBlank: .afterExtensionName, takesValue: true)
    case .afterExtensionName:
      if ASCII.isBlank(byte) { return .afterExtensionName }
      return byte == ASCII.carriageReturn ? nil : extensionEnd(byte, orBlank: .afterExtensionName, takesValue: true)
    case .extensionValueStart:
      if ASCII.isBlank(byte) { return .extensionValueStart }
      return byte == ASCII.quote ? .extensionQuoted : ASCII.isToken(byte) ? .extensionValue : nil
    case .extensionValue:
      return ASCII.isToken(byte) ? .extensionValue : extensionEnd(byte, orBlank: .blankBeforeExtension, takesValue: false)
    case .extensionQuoted:
      if byte == ASCII.quote { return .afterExtensionValue }
      return byte == ASCII.backslash ? .extensionEscaped : ASCII.isFieldValue(byte) ? .extensionQuoted : nil
    case .extensionEscaped: return ASCII.isFieldValue(byte) ? .extensionQuoted : nil
    case .afterExtensionValue: return extensionEnd(byte, orBlank: .blankBeforeExtension, takesValue: false)
    case .size, .sizeLineFeed, .data, .dataCarriageReturn, .dataLineFeed, .trailerStart, .trailerName, .trailerValue,
      .trailerLineFeed, .lastLineFeed, .done:
      return nil
    }
  }

  private func extensionEnd(_ byte: UInt8, orBlank blank: State, takesValue: Bool) -> State? {
    switch byte {
    case ASCII.carriageReturn: return .sizeLineFeed
    case ASCII.semicolon: return .extensionStart
    case ASCII.equals: return takesValue ? .extensionValueStart : nil
    default: return ASCII.isBlank(byte) ? blank : nil
    }
  }

  /// RFC 9112 7.1.2: field lines, checked as in a head (no folding), then dropped.
  private mutating func readTrailer(_ byte: UInt8) throws(HTTPParseError) {
    trailerBytes += 1
    guard trailerBytes <= trailerBytesMax else { throw .trailersTooLarge }
    if byte == ASCII.lineFeed, case .trailerLineFeed = state {
      state = .trailerStart
      return
    }
    if byte == ASCII.lineFeed { throw .bareLineFeed }
    switch state {
    case .trailerStart where byte == ASCII.carriageReturn: state = .lastLineFeed
    case .trailerStart where ASCII.isToken(byte), .trailerName where ASCII.isToken(byte): state = .trailerName
    case .trailerName where byte == ASCII.colon: state = .trailerValue
    case .trailerValue where byte == ASCII.carriageReturn: state = .trailerLineFeed
    case .trailerValue where ASCII.isFieldValue(byte): state = .trailerValue
    case .trailerLineFeed: throw .bareCarriageReturn
    default: throw .trailer
    }
  }
}
