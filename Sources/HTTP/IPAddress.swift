// Addresses of peers and listeners. IPv4-mapped IPv6 (`::ffff:10.0.0.1`, what a dual-stack socket reports for an IPv4
// peer) is the IPv4 address: there is one value per machine, so a rule for one spelling holds for the other.
internal import CLinux
internal import Glibc

public struct IPAddress: Sendable, Hashable, CustomStringConvertible {
  public enum Family: UInt8, Sendable { case v4, v6 }

  public let family: Family
  /// The address as a number in host order; an IPv4 address in the low 32 bits.
  public let bits: UInt128

  public init(v4 bits: UInt32) { (family, self.bits) = (.v4, UInt128(bits)) }

  /// A mapped address becomes the IPv4 one.
  public init(v6 bits: UInt128) {
    let isMapped = bits >> 32 == 0xFFFF
    family = isMapped ? .v4 : .v6
    self.bits = isMapped ? bits & 0xFFFF_FFFF : bits
  }

  /// A literal: dotted quad or RFC 4291 text, without brackets, port or zone.
  public init?(_ text: String) {
    var v4 = in_addr()
    var v6 = in6_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self.init(v4: UInt32(bigEndian: v4.s_addr))
    } else if inet_pton(AF_INET6, text, &v6) == 1 {
      self.init(v6: withUnsafeBytes(of: v6) { UInt128(bigEndian: $0.loadUnaligned(as: UInt128.self)) })
    } else {
      return nil
    }
  }

  public var isLoopback: Bool {
    switch family {
    case .v4: return bits >> 24 == 127
    case .v6: return bits == 1
    }
  }

  public var isUnspecified: Bool { bits == 0 }

  /// Octets of the address times eight: how long a CIDR prefix can be.
  public var bitWidth: Int { family == .v4 ? 32 : 128 }

  public var description: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
      let isWritten: Bool
      switch family {
      case .v4:
        var address = in_addr(s_addr: UInt32(truncatingIfNeeded: bits).bigEndian)
        isWritten = inet_ntop(AF_INET, &address, text.baseAddress!, socklen_t(INET6_ADDRSTRLEN)) != nil
      case .v6:
        var address = bits.bigEndian
        isWritten = inet_ntop(AF_INET6, &address, text.baseAddress!, socklen_t(INET6_ADDRSTRLEN)) != nil
      }
      precondition(isWritten, "the buffer holds any address")
      return String(cString: text.baseAddress!)
    }
  }
}

/// Address and port of a TCP socket.
public struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
  public let address: IPAddress
  public let port: UInt16

  public init(_ address: IPAddress, port: UInt16) { (self.address, self.port) = (address, port) }

  public var description: String { address.family == .v6 ? "[\(address)]:\(port)" : "\(address):\(port)" }

  /// From what the kernel filled in; nil for a family other than IPv4 and IPv6.
  init?(_ storage: sockaddr_storage) {
    switch Int32(storage.ss_family) {
    case AF_INET:
      let v4 = withUnsafeBytes(of: storage) { $0.load(as: sockaddr_in.self) }
      self.init(IPAddress(v4: UInt32(bigEndian: v4.sin_addr.s_addr)), port: UInt16(bigEndian: v4.sin_port))
    case AF_INET6:
      let v6 = withUnsafeBytes(of: storage) { $0.load(as: sockaddr_in6.self) }
      let bits = withUnsafeBytes(of: v6.sin6_addr) { UInt128(bigEndian: $0.loadUnaligned(as: UInt128.self)) }
      self.init(IPAddress(v6: bits), port: UInt16(bigEndian: v6.sin6_port))
    default: return nil
    }
  }

  /// For `bind` and `connect`: the storage and how much of it counts.
  func withSockAddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    var storage = sockaddr_storage()
    let size: Int
    switch address.family {
    case .v4:
      let octets = in_addr(s_addr: UInt32(truncatingIfNeeded: address.bits).bigEndian)
      let v4 = sockaddr_in(sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian, sin_addr: octets, sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
      size = MemoryLayout<sockaddr_in>.size
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: v4, as: sockaddr_in.self) }
    case .v6:
      var v6 = sockaddr_in6()
      v6.sin6_family = sa_family_t(AF_INET6)
      v6.sin6_port = port.bigEndian
      withUnsafeMutableBytes(of: &v6.sin6_addr) { $0.storeBytes(of: address.bits.bigEndian, as: UInt128.self) }
      size = MemoryLayout<sockaddr_in6>.size
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: v6, as: sockaddr_in6.self) }
    }
    return withUnsafeBytes(of: &storage) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { body($0.baseAddress!, socklen_t(size)) }
    }
  }
}
