// Bytes on their way out: appended at the end, sent from the front, kept and reused when all are gone. It does not bound
// itself; the connection stops producing beyond `HTTPLimits.outputBytesHigh`.
internal import CLinux
internal import Glibc

struct OutputBuffer: ~Copyable {
  /// Capacity kept while idle; what a large answer needed beyond it is given back.
  private static let keptBytesMax = 65_536

  private var bytes: [UInt8] = []
  private var sent = 0

  var count: Int { bytes.count - sent }

  enum FlushOutcome {
    case empty
    /// The socket takes no more for now.
    case blocked(wroteSome: Bool)
    /// The peer is gone (errno).
    case failed(Int32)
  }

  /// Gives everything to the socket in one write, as far as it takes it.
  mutating func flush(to fd: Int32) -> FlushOutcome {
    var wroteSome = false
    while count > 0 {
      let written = bytes.withUnsafeBytes { send(fd, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL)) }
      if written < 0 {
        if errno == EINTR { continue }
        return errno == EAGAIN ? .blocked(wroteSome: wroteSome) : .failed(errno)
      }
      wroteSome = true
      sent += written
    }
    clear()
    return .empty
  }

  mutating func clear() {
    sent = 0
    if bytes.capacity > Self.keptBytesMax { bytes = [] } else { bytes.removeAll(keepingCapacity: true) }
  }

  mutating func append(_ text: StaticString) {
    bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }

  mutating func append(_ byte: UInt8) { bytes.append(byte) }

  mutating func appendDecimal(_ value: Int) {
    precondition(value >= 0, "lengths and codes are not negative")
    if value < 10 { return bytes.append(ASCII.zero + UInt8(value)) }
    var divisor = 10
    while value / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      bytes.append(ASCII.zero + UInt8(value / divisor % 10))
      divisor /= 10
    }
  }

  mutating func reserve(_ more: Int) {
    // Grown geometrically: `reserveCapacity` alone would grow to exactly what is asked, each time.
    let needed = bytes.count + more
    if needed > bytes.capacity { bytes.reserveCapacity(max(needed, 2 * bytes.capacity, 4_096)) }
  }
}
