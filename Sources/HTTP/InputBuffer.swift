// Bytes as they came from the socket: read at the end, consumed from the front, parsed where they lie. Starts small and
// grows only for a head that needs it; a connection that is idle again goes back to the small one.
internal import CLinux
internal import Glibc

struct InputBuffer: ~Copyable {
  private static let smallBytes = 4_096

  private var storage: [UInt8]
  private var start = 0
  private var end = 0
  private let capacityMax: Int

  init(limits: HTTPLimits) {
    capacityMax = max(limits.headBytesMax, Self.smallBytes) + 1
    storage = [UInt8](repeating: 0, count: Self.smallBytes)
  }

  var isEmpty: Bool { start == end }
  var count: Int { end - start }
  /// Nothing can be received before something is consumed.
  var isFull: Bool { count >= capacityMax }

  /// The unconsumed bytes, in place. (A property answering the span needs an experimental feature.)
  @inline(__always)
  borrowing func withSpan<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
    try body(storage.span.extracting(start..<end))
  }

  /// Copies unconsumed bytes; `range` counts from the first of them.
  func append(_ range: Range<Int>, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: storage[(start + range.lowerBound)..<(start + range.upperBound)])
  }

  mutating func consume(_ count: Int) {
    start += count
    precondition(start <= end, "consumed more than was received")
    if start == end { (start, end) = (0, 0) }
  }

  mutating func clear() { (start, end) = (0, 0) }

  /// Gives back what a large head needed.
  mutating func shrink() {
    if isEmpty, storage.count > Self.smallBytes { storage = [UInt8](repeating: 0, count: Self.smallBytes) }
  }

  enum ReceiveOutcome {
    case received(Int)
    case wouldBlock
    case endOfInput
    case failed(Int32)
  }

  /// One read(2) into what is free.
  mutating func receive(from fd: Int32) -> ReceiveOutcome {
    precondition(!isFull, "no room to receive into")
    makeRoom()
    while true {
      let room = storage.count - end
      let count = storage.withUnsafeMutableBytes { recv(fd, $0.baseAddress! + end, room, 0) }
      if count > 0 {
        end += count
        return .received(count)
      }
      if count == 0 { return .endOfInput }
      if errno == EINTR { continue }
      return errno == EAGAIN ? .wouldBlock : .failed(errno)
    }
  }

  /// The unconsumed bytes go to the front when the end is reached, and the buffer grows when they fill it.
  private mutating func makeRoom() {
    guard end == storage.count else { return }
    if start > 0 {
      let kept = count
      storage.withUnsafeMutableBytes { _ = memmove($0.baseAddress!, $0.baseAddress! + start, kept) }
      (start, end) = (0, kept)
    } else {
      let grown = min(2 * storage.count, capacityMax)
      storage.append(contentsOf: repeatElement(0, count: grown - storage.count))
    }
  }
}
