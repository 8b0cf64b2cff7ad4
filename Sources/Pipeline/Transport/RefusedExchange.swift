// The answer to a request that cannot be made. Entries name keys and versions of any length; no server takes them all, and
// libcurl takes no text of more than eight million bytes, nor a head of more than a mebibyte.
//
// Invariant: such a request fails as what it is, an impossible one. It says nothing of the service.

extension OutgoingRequest {
  /// Bytes of path and query. A key has 1,024, each of which may become three.
  static let targetBytesMax = 65_536
  /// Bytes of header lines. Services take a few KiB of them.
  static let headerBytesMax = 524_288

  /// Why no transport can send it; nil if one may try.
  var impossible: TransportError? {
    let (targetBytes, headerBytes) = (target.utf8.count, headers.bytes.count)
    if targetBytes > Self.targetBytesMax {
      return TransportError(.impossible, "\(origin): a path of \(targetBytes) bytes, at most \(Self.targetBytesMax) can be asked for")
    } else if headerBytes > Self.headerBytesMax {
      return TransportError(.impossible, "\(origin): \(headerBytes) bytes of headers, at most \(Self.headerBytesMax) can be sent")
    }
    return nil
  }
}

final class RefusedExchange: HTTPExchange {
  private let error: TransportError

  init(_ error: TransportError) { self.error = error }

  func send(_ block: Block, _ range: Range<Int>) async throws(TransportError) -> Bool { throw error }
  func flush() async throws(TransportError) { throw error }
  func response() async throws(TransportError) -> ResponseHead { throw error }
  var hasBuffer: Bool { true }
  func receive() async throws(TransportError) -> Block? { throw error }
  func cancel() {}
}
