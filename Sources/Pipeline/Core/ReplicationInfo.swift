// `replicationInfo` of an object's metadata, as it changes: one site's status, and what follows for the whole.
//
// Invariant: after a site changed, the status of the whole is `ReplicationStatus.overall` of the new lines. Members this
// build does not know are kept as they stand. Rules: backbeat-behaviour 5.8, with the product contract's nuance that
// an object of which no site is done is PENDING (the original says PROCESSING after a retry).

extension ReplicationStatus {
  /// Over all sites: one failed makes it FAILED; none done is PENDING, some done PROCESSING, all done COMPLETED.
  public static func overall(_ sites: some Collection<ReplicationStatus>) -> ReplicationStatus {
    if sites.contains(.failed) { return .failed }
    let waiting = sites.count { $0 == .pending || $0 == .processing }
    if waiting == 0 { return .completed }
    return waiting == sites.count ? .pending : .processing
  }

  /// `originOp` of a metadata update that sets a site to this.
  public var originOp: String? {
    switch self {
    case .pending: "s3:Replication:OperationPendingReplication"
    case .completed: "s3:Replication:OperationCompletedReplication"
    case .failed: "s3:Replication:OperationFailedReplication"
    case .processing, .replica: nil
    }
  }
}

public struct ReplicationInfo: Hashable, Sendable {
  /// The JSON object, unknown members included.
  public private(set) var json: JSONValue

  /// - Parameter json: an object; anything else counts as an empty one.
  public init(_ json: JSONValue?) { self.json = json?.members == nil ? .object([]) : json ?? .object([]) }

  public var status: ReplicationStatus? { json["status"]?.string.flatMap(ReplicationStatus.init(rawValue:)) }

  public var sites: [String] { lines.compactMap { $0["site"]?.string } }

  public func siteStatus(_ site: String) -> ReplicationStatus? {
    line(site)?["status"]?.string.flatMap(ReplicationStatus.init(rawValue:))
  }

  public func siteVersionId(_ site: String) -> String? { line(site)?["dataStoreVersionId"]?.string }

  /// Sets one site and what follows for the whole. A site that has no line gets one.
  /// - Parameter versionId: of the copy at the target; nil keeps the one known.
  public mutating func set(_ site: String, to status: ReplicationStatus, versionId: String? = nil) {
    var lines = lines
    let index = lines.firstIndex { $0["site"]?.string == site } ?? lines.endIndex
    if index == lines.endIndex {
      lines.append(.object([.init("site", .string(site)), .init("status", .null), .init("dataStoreVersionId", .string(""))]))
    }
    lines[index].set("status", .string(status.rawValue))
    if let versionId { lines[index].set("dataStoreVersionId", .string(versionId)) }
    json.set("backends", .array(lines))
    if status == .failed {
      json.set("status", .string(ReplicationStatus.failed.rawValue))
    } else {
      let all = lines.map { $0["status"]?.string.flatMap(ReplicationStatus.init(rawValue:)) ?? .pending }
      json.set("status", .string(ReplicationStatus.overall(all).rawValue))
    }
  }

  /// The copy's own metadata: the object is a replica, and so is this site's line.
  public mutating func setReplica(_ site: String) {
    set(site, to: .replica)
    json.set("status", .string(ReplicationStatus.replica.rawValue))
  }

  /// Cut down to one site that is to be tried again (retry and replay entries).
  public mutating func setRetry(_ site: String) {
    set(site, to: .pending)
    json.set("backends", .array(lines.filter { $0["site"]?.string == site }))
    json.set("storageClass", .string(site))
    json.set("status", .string(ReplicationStatus.pending.rawValue))
  }

  private var lines: [JSONValue] { json["backends"]?.array?.filter { $0.members != nil } ?? [] }
  private func line(_ site: String) -> JSONValue? { lines.first { $0["site"]?.string == site } }
}

// MARK: - The status processor's decisions

/// Replay topics in configured order, as a countdown (backbeat-behaviour 6.2).
public struct ReplayPlan: Hashable, Sendable {
  /// Index = attempts left after the push; the topic to push to.
  public let countdown: [String]

  /// - Parameter topics: names with the tries each gives. Empty: replay is off.
  public init(_ topics: [(name: String, retries: Int)]) {
    countdown = topics.reversed().flatMap { Array(repeating: $0.name, count: max(0, $0.retries)) }
  }

  public var isOff: Bool { countdown.isEmpty }

  /// Each topic once, in configured order.
  public var topicNames: [String] {
    countdown.reversed().reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  /// Where a failed entry goes next, nil when no try is left.
  /// - Parameter replayCount: of the entry; nil if it was never replayed.
  public func next(after replayCount: Int64?) -> (topic: String, replayCount: Int64)? {
    let left = min(replayCount ?? Int64(countdown.count), Int64(countdown.count))
    guard left > 0 else { return nil }
    return (countdown[Int(left) - 1], left - 1)
  }
}

/// What to do with a status message, given the object's metadata as they are now (backbeat-behaviour 6.1, 6.2).
public enum StatusDecision: Hashable, Sendable {
  /// The site is COMPLETED already: that is final.
  case ignore
  case write(ReplicationStatus)
  /// Written nowhere; tried once more through a replay topic.
  case replay(topic: String, replayCount: Int64)
  /// The last try failed: write FAILED and keep a failed record.
  case fail

  /// - Parameter current: the site's status in the metadata now; nil where there is no line.
  /// - Parameter isChangedNFS: an object written through NFS, which has no versions, whose MD5 or tags differ by now.
  /// - Returns: nil for a status no message may carry.
  public static func decide(
    _ reported: ReplicationStatus, current: ReplicationStatus?, replayCount: Int64?, plan: ReplayPlan,
    isChangedNFS: Bool = false
  ) -> StatusDecision? {
    switch reported {
    case .processing, .replica: return nil
    case .pending: return current == .completed ? .ignore : .write(.pending)
    case .completed:
      if current == .completed { return .ignore }
      return .write(isChangedNFS ? .pending : .completed)
    case .failed:
      if current == .completed { return .ignore }
      guard let next = plan.next(after: replayCount) else { return .fail }
      return .replay(topic: next.topic, replayCount: next.replayCount)
    }
  }
}
