// Where requests go: scheme, host and port, taken apart once for all requests to them.
//
// Deliberately not here: looking up names. An origin whose host is a literal address, or `localhost`, knows its addresses; any
// other is left to a transport that resolves names.
internal import CLinux
internal import Glibc
internal import Reactor

public final class HTTPOrigin: Sendable, CustomStringConvertible {
  /// As it was given, `http://127.0.0.1:8000`.
  public let url: String
  public let isSecure: Bool
  /// Without brackets.
  public let host: String
  /// The Host header: without the scheme's own port.
  public let hostHeader: String
  /// To be tried in turn; empty for a name, and for what is no plain `http://host:port`.
  let addresses: [SocketAddress]

  public var description: String { url }

  /// - Parameter url: `http://…` or `https://…` without path. What is wrong with it shows when it is used.
  public init(_ url: String) {
    self.url = url
    let end = url.firstRange(of: "://")
    let scheme = end.map { url[..<$0.lowerBound].lowercased() } ?? ""
    isSecure = scheme == "https"
    let authority = String(url[(end?.upperBound ?? url.startIndex)...])
    let ownPort = isSecure ? ":443" : ":80"
    hostHeader = authority.hasSuffix(ownPort) ? String(authority.dropLast(ownPort.count)) : authority
    let parts = Self.split(authority)
    host = parts?.host ?? ""
    addresses = scheme == "http" ? parts.map { SocketAddress.literal($0.host, port: $0.port) } ?? [] : []
  }

  /// - Returns: nil for an authority with a user, with a bad port, or without a host.
  private static func split(_ authority: String) -> (host: String, port: UInt16)? {
    guard !authority.contains("@") else { return nil }
    var (host, port) = (Substring(authority), "")
    if authority.hasPrefix("[") {
      guard let close = authority.firstIndex(of: "]") else { return nil }
      let rest = authority[authority.index(after: close)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
      (host, port) = (authority[..<close].dropFirst(), String(rest.dropFirst()))
    } else if let colon = authority.lastIndex(of: ":") {
      (host, port) = (authority[..<colon], String(authority[authority.index(after: colon)...]))
    }
    guard !host.isEmpty, let number = port.isEmpty ? 80 : UInt16(port), number > 0 else { return nil }
    return (String(host), number)
  }
}

/// An address to connect to.
struct SocketAddress: Hashable, Sendable {
  private let isIPv6: Bool
  /// In network order; an IPv4 address in the first four.
  private let octets: [UInt8]
  private let port: UInt16

  /// Addresses of a literal, or of `localhost`; none for a name.
  static func literal(_ host: String, port: UInt16) -> [SocketAddress] {
    guard host.lowercased() != "localhost" else { return literal("127.0.0.1", port: port) + literal("::1", port: port) }
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, host, &v4) == 1 {
      return [SocketAddress(isIPv6: false, octets: withUnsafeBytes(of: v4) { Array($0) }, port: port)]
    } else if inet_pton(AF_INET6, host, &v6) == 1 {
      return [SocketAddress(isIPv6: true, octets: withUnsafeBytes(of: v6) { Array($0) }, port: port)]
    }
    return []
  }

  /// Begins a connection that does not wait. - Returns: the descriptor. - Errors: `Errno`, the descriptor closed.
  func connect() throws(Errno) -> Int32 {
    let type = Int32(SOCK_STREAM.rawValue) | DB_SOCK_NONBLOCK | DB_SOCK_CLOEXEC
    let fd = socket(isIPv6 ? AF_INET6 : AF_INET, type, 0)
    guard fd >= 0 else { throw Errno.last("socket") }
    var on: Int32 = 1
    // Without it a request would be slower, not wrong.
    _ = setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    let code = withSockaddr { Glibc.connect(fd, $0, $1) }
    guard code == 0 || errno == EINPROGRESS else {
      let error = Errno.last("connect")
      close(fd)
      throw error
    }
    return fd
  }

  private func withSockaddr(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    if isIPv6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: octets) }
      return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in6>.size)) }
      }
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: octets) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
  }
}
