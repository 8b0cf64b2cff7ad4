// The system calls of a listening socket, and nothing else.
internal import CLinux
internal import Glibc
internal import Reactor

enum ListeningSocket {
  /// Connections the kernel completes while we are busy; it cuts this to net.core.somaxconn.
  private static let backlog: Int32 = 1_024

  static func open(_ wanted: SocketAddress) throws(Errno) -> OwnedFD {
    let family = wanted.address.family == .v4 ? AF_INET : AF_INET6
    let fd = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard fd >= 0 else { throw Errno.last("socket \(wanted)") }
    let owned = OwnedFD(adopting: fd)
    // A restart must not wait for the old connections' TIME_WAIT.
    try set(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    // `::` serves both families whatever net.ipv6.bindv6only says; a particular address only its own.
    if family == AF_INET6 { try set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, wanted.address.isUnspecified ? 0 : 1) }
    guard wanted.withSockAddr({ bind(fd, $0, $1) }) == 0 else { throw Errno.last("bind \(wanted)") }
    guard listen(fd, backlog) == 0 else { throw Errno.last("listen \(wanted)") }
    return owned
  }

  static func localAddress(of fd: Int32) throws(Errno) -> SocketAddress {
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let code = withUnsafeMutableBytes(of: &storage) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { getsockname(fd, $0.baseAddress!, &size) }
    }
    guard code == 0, let address = SocketAddress(storage) else { throw Errno.last("getsockname") }
    return address
  }

  enum Accepted {
    case connection(Int32, SocketAddress)
    /// Nobody is waiting.
    case none
    /// That one went away before we got to it.
    case tryAgain
    /// Out of descriptors or memory: it will not go better right now.
    case exhausted
  }

  static func accept(_ listener: Int32) -> Accepted {
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let fd = withUnsafeMutableBytes(of: &storage) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { accept4(listener, $0.baseAddress!, &size, flags) }
    }
    if fd >= 0 {
      guard let peer = SocketAddress(storage) else {
        _ = close(fd)
        return .tryAgain
      }
      // Answers are whole when written; waiting for more to fill a segment would only delay them. A failure costs speed only.
      var on: Int32 = 1
      _ = setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
      return .connection(fd, peer)
    }
    switch errno {
    case EAGAIN: return .none
    // accept(2): pending network errors of the new socket are to be treated like EAGAIN by retrying.
    case EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EPERM:
      return .tryAgain
    default: return .exhausted
    }
  }

  private static func set(_ fd: Int32, _ level: Int32, _ option: Int32, _ value: Int32) throws(Errno) {
    var value = value
    guard setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
      throw Errno.last("setsockopt \(option)")
    }
  }
}
