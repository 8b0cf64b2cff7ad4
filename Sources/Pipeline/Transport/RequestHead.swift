// The head of a request as bytes.
internal import PipelineCore

enum RequestHead {
  /// Besides the header lines and what was given to be sent behind the head.
  private static let otherBytesMax = 160

  /// The head, and the body behind it where it was given with the request.
  static func bytes(_ request: OutgoingRequest) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(request.target.utf8.count + request.origin.hostHeader.utf8.count + request.headers.bytes.count + otherBytesMax)
    bytes.append(text: request.method)
    bytes.append(Octet.space)
    let start = bytes.count
    bytes.append(text: request.target)
    bytes.removeControls(from: start)
    bytes.append(text: " HTTP/1.1\r\nhost: ")
    let host = bytes.count
    bytes.append(text: request.origin.hostHeader)
    bytes.removeControls(from: host)
    bytes.append(text: "\r\n")
    bytes.append(contentsOf: request.headers.bytes)
    switch request.body {
    case .none: bytes.append(text: "\r\n")
    case .bytes(let body):
      appendLength(Int64(body.count), to: &bytes)
      bytes.append(contentsOf: body)
    case .streamed(let length): appendLength(length, to: &bytes)
    }
    return bytes
  }

  private static func appendLength(_ length: Int64, to bytes: inout [UInt8]) {
    bytes.append(text: "content-length: ")
    bytes.append(text: String(length))
    bytes.append(text: "\r\n\r\n")
  }
}

extension [UInt8] {
  /// What would end a line of the head becomes a space.
  fileprivate mutating func removeControls(from start: Int) {
    withUnsafeMutableBytes { Octet.removeControls(UnsafeMutableRawBufferPointer(rebasing: $0[start...])) }
  }
}
