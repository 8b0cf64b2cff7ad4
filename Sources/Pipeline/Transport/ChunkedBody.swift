// The chunked coding of an answer's body: tells which bytes of the input are data. Extensions and trailers are skipped, within
// bounds. A value without I/O; it copies nothing.

struct ChunkedBody {
  /// Bytes of the line before a chunk, extensions included.
  static let sizeLineMax = 1_024
  /// Bytes of the trailers.
  static let trailerBytesMax = 16_384

  private enum State: Hashable {
    case size(digits: Int)
    case extensions
    case sizeEnd
    case data
    case dataEnd
    case dataNewline
    /// At the beginning of a line, or within one.
    case trailer(isAtStart: Bool)
    case trailerEnd
    case done
  }

  private var state = State.size(digits: 0)
  private var left: UInt64 = 0
  private var lineBytes = 0

  var isDone: Bool { state == .done }

  /// Goes to the next run of data.
  /// - Returns: bytes of the input that are none, and bytes of data behind them, not counted as taken yet.
  mutating func next(_ input: UnsafeRawBufferPointer) throws(MalformedResponse) -> (skipped: Int, data: Int) {
    var at = 0
    while at < input.count, state != .done {
      if state == .data { return (at, Int(min(left, UInt64(input.count - at)))) }
      try step(input[at])
      at += 1
    }
    return (at, 0)
  }

  /// So many bytes of a run of data were used.
  mutating func took(_ count: Int) {
    left -= UInt64(count)
    if left == 0, state == .data { state = .dataEnd }
  }

  private mutating func step(_ byte: UInt8) throws(MalformedResponse) {
    switch state {
    case .size(let digits):
      if let value = Hex.value(byte) {
        // Fifteen digits are more than any object has bytes.
        guard digits < 15 else { throw Self.malformed }
        left = left << 4 | UInt64(value)
        state = .size(digits: digits + 1)
      } else {
        guard digits > 0 else { throw Self.malformed }
        state = .extensions
        try step(byte)
      }
    case .extensions:
      lineBytes += 1
      guard lineBytes <= Self.sizeLineMax else { throw Self.malformed }
      if byte == Octet.newline { endSize() } else if byte == Octet.carriageReturn { state = .sizeEnd }
    case .sizeEnd:
      guard byte == Octet.newline else { throw Self.malformed }
      endSize()
    case .dataEnd:
      guard byte == Octet.carriageReturn || byte == Octet.newline else { throw Self.malformed }
      state = byte == Octet.newline ? .size(digits: 0) : .dataNewline
    case .dataNewline:
      guard byte == Octet.newline else { throw Self.malformed }
      state = .size(digits: 0)
    case .trailer(let isAtStart):
      lineBytes += 1
      guard lineBytes <= Self.trailerBytesMax else { throw Self.malformed }
      if byte == Octet.newline {
        state = isAtStart ? .done : .trailer(isAtStart: true)
      } else {
        state = isAtStart && byte == Octet.carriageReturn ? .trailerEnd : .trailer(isAtStart: false)
      }
    case .trailerEnd:
      guard byte == Octet.newline else { throw Self.malformed }
      state = .done
    case .data, .done: break
    }
  }

  private mutating func endSize() {
    lineBytes = 0
    state = left == 0 ? .trailer(isAtStart: true) : .data
  }

  private static let malformed = MalformedResponse("an answer with a malformed chunk")
}
