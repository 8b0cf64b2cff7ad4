// Where a daemon's API is: `http://host:port`, with a path in front when a proxy adds one.

struct ControlURL: Equatable, Sendable, CustomStringConvertible {
  /// What the daemon listens on unless it is told otherwise.
  static let standard = "http://127.0.0.1:8900"

  var host: String
  var port: Int
  /// Empty, or `/prefix` without a trailing slash.
  var prefix: String

  var description: String { "http://\(authority)\(prefix)" }

  /// `host:port` as it stands in a URL and in the `Host` field.
  var authority: String { HostPort(host: host, port: port).description }

  /// - Errors: a usage failure that says what is wrong with the text.
  init(_ text: String) throws(CommandFailure) {
    func fail(_ why: String) -> CommandFailure { .usage("“\(text)” is no usable URL: \(why)") }
    if text.hasPrefix("https://") { throw fail("the control client speaks plain http only; use a local port or a tunnel") }
    let scheme = "http://"
    guard text.hasPrefix(scheme) else { throw fail("it must begin with http://") }
    let rest = text.dropFirst(scheme.count)
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    guard let endpoint = HostPort(String(rest[..<slash]), defaultPort: 80) else {
      throw fail("“\(rest[..<slash])” is no host and port")
    }
    var path = String(rest[slash...])
    while path.hasSuffix("/") { path.removeLast() }
    let isPlain = path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    guard isPlain else { throw fail("“\(path)” is no path") }
    host = endpoint.host
    port = endpoint.port
    prefix = path
  }

  /// `text` as one segment of a path (RFC 3986 unreserved characters stay).
  static func segment(_ text: String) -> String {
    let hex = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
        bytes.append(byte)
      default: bytes += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
