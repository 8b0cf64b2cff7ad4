// Who may call: a list of addresses and CIDR ranges, judged on the TCP peer only (no header can say otherwise). Syntax and
// the always-added loopback entries are Backbeat's `server.healthChecks.allowFrom`.

public struct AllowList: Sendable, Equatable {
  private struct Entry: Sendable, Equatable {
    var family: IPAddress.Family
    var prefix: UInt128
    /// Low bits that do not count.
    var hostBits: Int

    func contains(_ address: IPAddress) -> Bool {
      address.family == family && (hostBits >= address.bitWidth || address.bits >> UInt128(hostBits) == prefix)
    }
  }

  private let entries: [Entry]
  /// Entries that mean nothing; they never match, and configuration checks report them.
  public let invalid: [String]

  /// - Parameter texts: `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32`, `::1`; `127.x.y.z` without a mask means all of `127/8`.
  public init(_ texts: [String]) {
    var entries: [Entry] = []
    var invalid: [String] = []
    for text in texts {
      if let entry = Self.parse(text) { entries.append(entry) } else { invalid.append(text) }
    }
    (self.entries, self.invalid) = (entries, invalid)
  }

  /// Loopback is always allowed.
  public func allows(_ address: IPAddress) -> Bool {
    if address.isLoopback { return true }
    for entry in entries where entry.contains(address) { return true }
    return false
  }

  private static func parse(_ text: String) -> Entry? {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = IPAddress(String(parts[0])) else { return nil }
    var length = address.bitWidth
    if parts.count == 2 {
      guard parts[1].utf8.count <= 3, parts[1].utf8.allSatisfy(ASCII.isDigit), let given = Int(parts[1]) else { return nil }
      // A mapped range (`::ffff:10.0.0.0/104`) counts its 96 leading bits.
      let isMapped = address.family == .v4 && parts[0].utf8.contains(ASCII.colon)
      length = isMapped ? given - 96 : given
      guard length >= 0, length <= address.bitWidth else { return nil }
    } else if address.family == .v4, address.bits >> 24 == 127 {
      length = 8
    }
    let hostBits = address.bitWidth - length
    return Entry(family: address.family, prefix: address.bits >> UInt128(hostBits), hostBits: hostBits)
  }
}
