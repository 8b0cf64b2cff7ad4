// The head of a request as bytes.
internal import PipelineCore

enum RequestHead {
  /// Besides the method, the target, the host, the header lines and the body.
  private static let otherBytesMax = 64

  /// The head, and the body behind it where it was given with the request.
  static func bytes(_ request: OutgoingRequest) -> [UInt8] {
    let (method, target, host, lines) = (request.method, request.target, request.origin.hostHeader, request.headers.bytes)
    var bytesMax = method.utf8.count + target.utf8.count + host.utf8.count + lines.count + otherBytesMax
    if case .bytes(let body) = request.body { bytesMax += body.count }
    return [UInt8](bytesMax: bytesMax) { head in
      head.append(text: method)
      head.append(Octet.space)
      append(plain: target, to: &head)
      head.append(literal: " HTTP/1.1\r\nhost: ")
      append(plain: host, to: &head)
      head.append(literal: "\r\n")
      lines.withUnsafeBytes { head.append(octets: $0) }
      switch request.body {
      case .none: head.append(literal: "\r\n")
      case .bytes(let body):
        appendLength(Int64(body.count), to: &head)
        body.withUnsafeBytes { head.append(octets: $0) }
      case .streamed(let length): appendLength(length, to: &head)
      }
    }
  }

  private static func appendLength(_ length: Int64, to head: inout OutputSpan<UInt8>) {
    head.append(literal: "content-length: ")
    head.append(decimal: length)
    head.append(literal: "\r\n\r\n")
  }

  /// What would end a line of the head becomes a space.
  private static func append(plain text: String, to head: inout OutputSpan<UInt8>) {
    let start = head.count
    head.append(text: text)
    head.removeControls(from: start)
  }
}
