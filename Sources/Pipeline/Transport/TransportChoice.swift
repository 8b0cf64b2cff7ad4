// Which transport a request takes: our own for plain HTTP to a known address, libcurl's for everything else (TLS, names to be
// looked up, proxies).
internal import CLinux
internal import Glibc
public import Reactor

public final class TransportChoice: Transport {
  private let reactor: Reactor
  private let pool: BlockPool
  private let limits: TransportLimits
  private let proxies: ProxyEnvironment
  private let sockets: SocketTransport
  private var curl: CurlTransport?

  /// - Thread: the reactor's. - Blocking: no.
  public convenience init(reactor: Reactor, pool: BlockPool, limits: TransportLimits = TransportLimits()) {
    self.init(reactor: reactor, pool: pool, limits: limits, proxies: ProxyEnvironment { getenv($0).map { String(cString: $0) } })
  }

  init(reactor: Reactor, pool: BlockPool, limits: TransportLimits, proxies: ProxyEnvironment) {
    self.reactor = reactor
    self.pool = pool
    self.limits = limits
    self.proxies = proxies
    sockets = SocketTransport(reactor: reactor, pool: pool, limits: limits)
  }

  public func begin(_ request: OutgoingRequest) -> any HTTPExchange {
    takesSockets(request.origin) ? sockets.begin(request) : library().begin(request)
  }

  /// Ends everything; exchanges under way fail. - Thread: the reactor's.
  public func close() {
    sockets.close()
    curl?.close()
  }

  func takesSockets(_ origin: HTTPOrigin) -> Bool {
    !origin.isSecure && !origin.addresses.isEmpty && !proxies.mayApply(to: origin.host)
  }

  private func library() -> CurlTransport {
    if let curl { return curl }
    let made = CurlTransport(reactor: reactor, pool: pool, limits: limits)
    curl = made
    return made
  }
}

/// The proxies that the environment names for plain HTTP, as libcurl reads them.
struct ProxyEnvironment {
  private let hasProxy: Bool
  /// Hosts without one, in lower case.
  private let exceptions: [String]

  /// - Parameter variable: its value, if it is set.
  init(_ variable: (String) -> String?) {
    // HTTP_PROXY in capitals is not read: a web server would set it to what a client sent.
    hasProxy = ["http_proxy", "all_proxy", "ALL_PROXY"].contains { variable($0)?.isEmpty == false }
    let list = variable("no_proxy") ?? variable("NO_PROXY") ?? ""
    exceptions = list.lowercased().split { $0 == "," || $0 == " " }.map(String.init)
  }

  /// False only if no proxy is used for certain; what a network or a domain in the list means is libcurl's to say.
  func mayApply(to host: String) -> Bool { hasProxy && !exceptions.contains { $0 == "*" || $0 == host.lowercased() } }
}
