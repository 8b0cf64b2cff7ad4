// The head of a request as bytes.

enum RequestHead {
  /// The head, and the body behind it where it was given with the request.
  static func bytes(_ request: OutgoingRequest) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(1_024)
    bytes += request.method.utf8
    bytes.append(Octet.space)
    append(request.target, to: &bytes)
    bytes += " HTTP/1.1\r\nhost: ".utf8
    append(request.origin.hostHeader, to: &bytes)
    bytes += "\r\n".utf8
    for header in request.headers {
      append(header.name, to: &bytes)
      bytes += ": ".utf8
      append(header.value, to: &bytes)
      bytes += "\r\n".utf8
    }
    switch request.body {
    case .none: bytes += "\r\n".utf8
    case .bytes(let body):
      appendLength(Int64(body.count), to: &bytes)
      bytes += body
    case .streamed(let length): appendLength(length, to: &bytes)
    }
    return bytes
  }

  private static func appendLength(_ length: Int64, to bytes: inout [UInt8]) {
    bytes += "content-length: \(length)\r\n\r\n".utf8
  }

  /// A line end inside a value would end the header, or the request.
  private static func append(_ text: String, to bytes: inout [UInt8]) {
    let start = bytes.count
    bytes += text.utf8
    for index in start..<bytes.count where bytes[index] == Octet.newline || bytes[index] == Octet.carriageReturn || bytes[index] == 0 {
      bytes[index] = Octet.space
    }
  }
}
