// A server of one test's own that answers each connection with the next of a list of prepared texts.
//
// The test thread itself accepts and answers while the command runs as a process, so no second thread is needed. What is
// sent back is whatever the test says, well-formed or not.

internal import CLinux
import Glibc
import Reactor
import TestSupport

struct CannedServer: ~Copyable {
  private let listener: OwnedFD
  let port: UInt16

  init() throws {
    let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard raw >= 0 else { throw Errno.last("socket") }
    let fd = OwnedFD(adopting: raw)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        guard bind(raw, pointer, length) == 0, listen(raw, 16) == 0 else { return Int32(-1) }
        return getsockname(raw, pointer, &length)
      }
    }
    guard code == 0 else { throw Errno.last("listen") }
    listener = fd
    port = UInt16(bigEndian: address.sin_port)
  }

  var url: String { "http://127.0.0.1:\(port)" }

  /// Answers one connection and gives the request as text.
  borrowing func answer(_ reply: String) throws -> String {
    var entry = pollfd(fd: listener.raw, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, 20_000) == 1 else { throw Errno(ETIMEDOUT, "accept") }
    let connection = OwnedFD(adopting: accept(listener.raw, nil, nil))
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(connection.raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var request: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 4096)
    while !Self.isComplete(request) {
      let count = recv(connection.raw, &block, block.count, 0)
      guard count > 0 else { throw Errno.last("recv") }
      request += block[..<count]
    }
    let bytes = Array(reply.utf8)
    guard send(connection.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { throw Errno.last("send") }
    return String(decoding: request, as: UTF8.self)
  }

  /// A well-formed answer.
  static func reply(_ status: Int, _ body: String, fields: [String: String] = [:]) -> String {
    let extra = fields.map { "\($0.key): \($0.value)\r\n" }.joined()
    return
      "HTTP/1.1 \(status) Reason\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\(extra)\r\n\(body)"
  }

  private static func isComplete(_ request: [UInt8]) -> Bool {
    let text = String(decoding: request, as: UTF8.self)
    guard let end = text.firstRange(of: "\r\n\r\n") else { return false }
    guard let length = text.firstRange(of: "Content-Length: ") else { return true }
    let expected = Int(text[length.upperBound...].prefix { $0.isNumber }) ?? 0
    return text[end.upperBound...].utf8.count >= expected
  }
}
