// Where state lives in ZooKeeper, relative to the connection string's chroot (the paths are Backbeat's: `lib/constants` and
// `extensions/*/constants` there). One place, so that no other file builds a path out of strings.
//
// Deliberately without the `/backbeattest` root that Backbeat takes when `CI` is set: that variable has no effect here.

/// The ZooKeeper paths of one location.
public enum StatePaths {
  static func root(_ service: ControlledService) -> String {
    switch service {
    case .crr: "/backbeat/replication"
    case .ingestion: "/backbeat/ingestion"
    case .lifecycle: "/backbeat/lifecycle"  // ours: Backbeat keeps the lifecycle state in MongoDB
    }
  }

  /// The persistent node with `{"paused":…,"scheduledResume":…}`, shared with Backbeat.
  public static func state(_ key: LocationKey) -> String { "\(root(key.service))/state/\(key.location)" }

  /// The persistent node of a replay topic's consumers. They follow the location's own channel, but keep their own node.
  public static func replayState(topic: String, site: String) -> String { "/backbeat/replication/replayState/\(topic)/\(site)" }

  /// The parent of the location's per-node reports (contract section 5).
  public static func nodes(_ key: LocationKey) -> String { "\(root(key.service))/nodes/\(key.location)" }

  /// One node's ephemeral report.
  public static func report(_ key: LocationKey, nodeId: String) -> String { "\(nodes(key))/\(nodeId)" }

  /// Every proper ancestor of a path, outermost first: what a recursive create has to make.
  public static func ancestors(of path: String) -> [String] {
    var found: [String] = []
    var prefix = ""
    let parts = path.split(separator: "/")
    for part in parts.dropLast() {
      prefix += "/" + part
      found.append(prefix)
    }
    return found
  }

  /// Whether a string can be one segment of a ZooKeeper path and one file name: the contract's rule for site names.
  public static func isSegment(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 }
  }
}
