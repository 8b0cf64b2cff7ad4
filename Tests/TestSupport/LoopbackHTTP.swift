// A blocking HTTP/1.1 client for tests: one request a connection, everything as bytes.
internal import CLinux
internal import Glibc
internal import Reactor

public struct LoopbackResponse: Sendable {
  public var status: Int
  public var headers: [String: String]
  public var body: String
}

/// Sends one request to 127.0.0.1 and reads the whole answer.
/// - Blocking: at most `deadline` for each read or write. Errors: `Errno` when nobody listens or the answer stops short.
public func request(
  _ method: String, _ path: String, port: UInt16, headers: [String: String] = [:], body: String = "",
  deadline: Duration = .seconds(30)
) throws -> LoopbackResponse {
  let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  guard fd >= 0 else { throw Errno.last("socket") }
  defer { close(fd) }
  var limit = timeval(tv_sec: Int(deadline.nanoseconds / 1_000_000_000), tv_usec: 0)
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
  address.sin_port = port.bigEndian
  let code = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
  }
  guard code == 0 else { throw Errno.last("connect 127.0.0.1:\(port)") }
  var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n"
  if !body.isEmpty || method == "POST" { head += "Content-Length: \(body.utf8.count)\r\n" }
  for (name, value) in headers { head += "\(name): \(value)\r\n" }
  let bytes = Array((head + "\r\n" + body).utf8)
  guard write(fd, bytes, bytes.count) == bytes.count else { throw Errno.last("write 127.0.0.1:\(port)") }
  var answer: [UInt8] = []
  var block = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = read(fd, &block, block.count)
    if count < 0 { throw Errno.last("read 127.0.0.1:\(port) \(path)") }
    if count == 0 { break }
    answer += block[..<count]
  }
  return try parse(answer, port: port)
}

private func parse(_ bytes: [UInt8], port: UInt16) throws -> LoopbackResponse {
  let text = String(decoding: bytes, as: UTF8.self)
  // "\r\n" is a single Character in Swift: split on that.
  guard let range = text.firstRange(of: "\r\n\r\n") else { throw Errno(EPROTO, "answer of 127.0.0.1:\(port): \(text)") }
  let lines = text[..<range.lowerBound].split(separator: "\r\n")
  guard let first = lines.first, let status = Int(first.split(separator: " ").dropFirst().first ?? "") else {
    throw Errno(EPROTO, "status line of 127.0.0.1:\(port)")
  }
  var headers: [String: String] = [:]
  for line in lines.dropFirst() {
    guard let colon = line.firstIndex(of: ":") else { continue }
    headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
  }
  return LoopbackResponse(status: status, headers: headers, body: String(text[range.upperBound...]))
}
