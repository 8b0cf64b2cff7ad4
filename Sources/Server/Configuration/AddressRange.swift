// One entry of `server.healthChecks.allowFrom`: an address, or a CIDR range, of IPv4 or IPv6.
//
// Backbeat's rules (its documented behaviour): a plain IPv4 address is a /32, one starting with `127.` and no mask is a
// /8, a plain IPv6 address is itself; an IPv4-mapped IPv6 peer counts as IPv4. Unlike there, an entry that cannot be
// read is an error of the configuration instead of never matching.

internal import Glibc

/// A range of IP addresses of one family.
struct AddressRange: Hashable, Sendable, CustomStringConvertible {
  /// As written in the configuration.
  let description: String
  /// The network's address: 4 bytes, or 16.
  let network: [UInt8]
  /// How many leading bits of `network` an address must share.
  let prefixBits: Int

  /// The range that `text` means, or nil when it means none.
  init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let network = Self.addressBytes(String(parts[0])) else { return nil }
    let width = network.count * 8
    if parts.count == 2 {
      guard let bits = Self.decimal(parts[1]), bits <= width else { return nil }
      prefixBits = bits
    } else {
      prefixBits = network.count == 4 && network[0] == 127 ? 8 : width
    }
    self.network = network
    description = text
  }

  /// Whether the address (4 or 16 bytes in network order; IPv4-mapped counts as IPv4) lies in the range.
  func contains(_ address: [UInt8]) -> Bool {
    let address = Self.unmapped(address)
    guard address.count == network.count else { return false }
    let whole = prefixBits / 8
    guard address[..<whole] == network[..<whole] else { return false }
    let rest = prefixBits % 8
    return rest == 0 || (address[whole] ^ network[whole]) >> (8 - rest) == 0
  }

  /// The bytes of a numeric address, 4 or 16; nil for anything else (host names included).
  static func addressBytes(_ text: String) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 16)
    if inet_pton(AF_INET, text, &bytes) == 1 { return Array(bytes[..<4]) }
    if inet_pton(AF_INET6, text, &bytes) == 1 { return unmapped(bytes) }
    return nil
  }

  private static func unmapped(_ address: [UInt8]) -> [UInt8] {
    let mappedPrefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
    return address.count == 16 && address.starts(with: mappedPrefix) ? Array(address[12...]) : address
  }

  private static func decimal(_ text: Substring) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return Int(text)
  }
}
