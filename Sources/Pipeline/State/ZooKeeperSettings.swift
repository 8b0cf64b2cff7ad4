// Where ZooKeeper is and how we show who we are. Names are Backbeat's `zookeeper` section, plus `auth`.

public struct ZooKeeperSettings: Hashable, Sendable {
  /// `host:port[,host:port…]`, the chroot taken off.
  public let servers: String
  /// "" or `/a/b`: prefixed to every path. Ours, not the library's, so that it can be made when it is missing.
  public let chroot: String
  /// Whether a missing chroot is made. Otherwise it is an error: a mistyped one would be a deployment of its own.
  public var createsChroot: Bool
  /// What the server is asked for. A node that died is noticed after it; the server allows 2 to 20 of its ticks.
  public var sessionTimeout: Duration
  /// `user:password` of the scheme `digest`. nil: nodes are world-open, as Backbeat's; else creator-only plus world-read.
  public var digest: String?
  /// Where this session's id is kept, so that the next life of this process takes over its reports at once instead of waiting for
  /// the old session to expire. nil: it waits.
  public var sessionDirectory: String?

  public static let sessionTimeoutDefault = Duration.seconds(8)

  /// - Parameter connectionString: `host:port[,host:port…][/chroot]`.
  public init(
    connectionString: String, createsChroot: Bool = false, sessionTimeout: Duration = sessionTimeoutDefault,
    digest: String? = nil,
    sessionDirectory: String? = nil
  ) {
    let slash = connectionString.firstIndex(of: "/") ?? connectionString.endIndex
    servers = String(connectionString[..<slash])
    var root = String(connectionString[slash...])
    while root.hasSuffix("/") { root.removeLast() }
    chroot = root
    self.createsChroot = createsChroot
    self.sessionTimeout = sessionTimeout
    self.digest = digest
    self.sessionDirectory = sessionDirectory
  }
}
