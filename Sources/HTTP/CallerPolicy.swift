// Who may call, judged before anything else of a request is looked at: pages of other sites may not act through a browser
// (cross-site requests, DNS rebinding), and peers outside the allow-list may not call at all. No header can widen it.

public struct CallerPolicy: Sendable, Equatable {
  public let allowList: AllowList
  /// Lower case, without ports.
  private let allowedHosts: [String]

  /// - Parameter allowedHosts: names under which a peer on this machine may call, besides the loopback names.
  public init(allowList: AllowList = AllowList([]), allowedHosts: [String] = []) {
    self.allowList = allowList
    self.allowedHosts = allowedHosts.map { $0.lowercased() }
  }

  /// - Returns: the refusal, or nil. First the origin, then the allow-list.
  public func refusal(_ head: RequestHead, _ bytes: Span<UInt8>, peer: IPAddress) -> HTTPError? {
    if head.method == .post || head.method == .delete {
      if let site = head.secFetchSite, !isOwnSite(bytes, site) { return Self.crossSite }
      if let origin = head.origin, !isSameOrigin(bytes, origin, authority: head.authority) { return Self.crossSite }
    }
    if peer.isLoopback {
      // A browser always sends Host; HTTP/1.0 probes without one are no browsers.
      if let authority = head.authority, !isOwnName(bytes, authority) { return Self.foreignName }
      return nil
    }
    return allowList.allows(peer) ? nil : Self.notAllowed
  }

  static let crossSite = HTTPError(.forbidden, "AccessDenied", "A page of another site must not call this API.")
  static let foreignName = HTTPError(
    .forbidden, "AccessDenied", "The Host header is no name of this machine; add it to server.allowedHosts if it is.")
  static let notAllowed = HTTPError(.forbidden, "AccessDenied", "The origin IP is not in server.healthChecks.allowFrom.")

  /// Fetch Metadata: the browser itself says where the request comes from; `none` is the user's own doing.
  private func isOwnSite(_ bytes: Span<UInt8>, _ site: Range<Int>) -> Bool {
    bytes.equals("same-origin", in: site) || bytes.equals("none", in: site)
  }

  /// Host and port of the origin are those the request was sent to. Where the authority has no port, the origin's scheme
  /// gives it: behind a TLS proxy the request arrives without.
  private func isSameOrigin(_ bytes: Span<UInt8>, _ origin: Range<Int>, authority: Range<Int>?) -> Bool {
    guard let authority else { return false }
    var schemeEnd = origin.lowerBound
    while schemeEnd < origin.upperBound, bytes[schemeEnd] != ASCII.colon { schemeEnd += 1 }
    guard schemeEnd + 3 < origin.upperBound, bytes.equals("://", in: schemeEnd..<(schemeEnd + 3)) else { return false }
    let scheme = origin.lowerBound..<schemeEnd
    let defaultPort = bytes.equalsIgnoringCase("https", in: scheme) ? 443 : bytes.equalsIgnoringCase("http", in: scheme) ? 80 : nil
    let theirs = HostPort((schemeEnd + 3)..<origin.upperBound, in: bytes)
    let ours = HostPort(authority, in: bytes)
    guard let theirs, let ours, theirs.host.count == ours.host.count else { return false }
    for offset in 0..<theirs.host.count {
      let left = bytes[theirs.host.lowerBound + offset]
      let right = bytes[ours.host.lowerBound + offset]
      guard ASCII.lowercased(left) == ASCII.lowercased(right) else { return false }
    }
    guard let port = theirs.port ?? defaultPort else { return false }
    return port == ours.port ?? defaultPort
  }

  /// A name that reaches this machine only through its loopback, whoever resolves it, or an allowed one.
  private func isOwnName(_ bytes: Span<UInt8>, _ authority: Range<Int>) -> Bool {
    guard let host = HostPort(authority, in: bytes)?.host else { return false }
    if bytes.equals("127.0.0.1", in: host) || bytes.equalsIgnoringCase("localhost", in: host) { return true }
    var name = bytes.text(in: host).lowercased()
    if name.hasPrefix("["), name.hasSuffix("]") { name = String(name.dropFirst().dropLast()) }
    if let address = IPAddress(name) { return address.isLoopback || allowedHosts.contains(name) }
    if allowedHosts.contains(name) { return true }
    if name.hasSuffix(".") { name.removeLast() }
    // RFC 6761 6.3: `localhost` and everything below it is loopback.
    return name == "localhost" || name.hasSuffix(".localhost") || allowedHosts.contains(name)
  }
}

/// `host[:port]`, the host with its brackets.
struct HostPort {
  let host: Range<Int>
  let port: Int?

  init?(_ range: Range<Int>, in bytes: Span<UInt8>) {
    guard !range.isEmpty, bytes.isAuthority(range) else { return nil }
    var hostEnd = range.upperBound
    while hostEnd > range.lowerBound, ASCII.isDigit(bytes[hostEnd - 1]) { hostEnd -= 1 }
    guard hostEnd > range.lowerBound, bytes[hostEnd - 1] == ASCII.colon else {
      host = range
      port = nil
      return
    }
    host = range.lowerBound..<(hostEnd - 1)
    var number = 0
    for index in hostEnd..<range.upperBound { number = number * 10 + Int(bytes[index] - ASCII.zero) }
    port = hostEnd == range.upperBound ? nil : number
  }
}
