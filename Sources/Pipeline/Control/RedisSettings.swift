// Where Redis is. Names are Backbeat's `redis` section: either host and port, or Sentinels and the master's name.

/// One address of a server.
public struct RedisEndpoint: Hashable, Sendable, CustomStringConvertible {
  public var host: String
  public var port: Int

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

public struct RedisSettings: Hashable, Sendable {
  public enum Place: Hashable, Sendable {
    case server(RedisEndpoint)
    /// Asked in turn for the address of the master called `name`.
    case sentinels([RedisEndpoint], name: String)
  }

  public var place: Place
  /// Empty: no AUTH is sent.
  public var password: String
  public var sentinelPassword: String

  public init(place: Place, password: String = "", sentinelPassword: String = "") {
    self.place = place
    self.password = password
    self.sentinelPassword = sentinelPassword
  }
}
