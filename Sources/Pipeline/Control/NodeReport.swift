// What one node says about one location, and what all reports together mean.
//
// Invariant: a report's version is compared with another only within one incarnation of the stored node. That is why a report
// carries the incarnation beside the number (a member the contract's example does not show; readers skip what they do not know).
public import PipelineCore

/// What the location's controller on this node says.
public struct LocationReport: Hashable, Sendable {
  public var state: EffectiveState
  /// Entries taken and not finished, running and waiting.
  public var inFlight: Int
  /// Since when it has been in this state (Unix ms).
  public var sinceMs: Int64
  /// Of those in flight, the waiting ones.
  public var queued: Int
  /// What it consumes of the location's topic, ascending.
  public var partitions: [Int32]

  public init(state: EffectiveState, inFlight: Int, sinceMs: Int64, queued: Int = 0, partitions: [Int32] = []) {
    self.state = state
    self.inFlight = inFlight
    self.sinceMs = sinceMs
    self.queued = queued
    self.partitions = partitions
  }
}

/// A node's report as it stands in the store.
public struct NodeReport: Hashable, Sendable {
  public var nodeId: String
  public var state: EffectiveState
  public var inFlight: Int
  public var sinceMs: Int64
  /// The version of the desired state that the node acts on.
  public var version: StateVersion
  /// Whether the node hears foreign commands.
  public var hearsBus: Bool
  /// True for a node that only serves the API: it has nothing to drain and does not count as running the location.
  public var isObserver: Bool
  /// When the node last wrote it, by the store's clock (Unix ms).
  public var lastSeenMs: Int64
  /// Of those in flight, the waiting ones.
  public var queued: Int
  /// What the node consumes of the location's topic, ascending; empty also where they are too scattered for a report.
  public var partitions: [Int32]

  public init(
    nodeId: String, state: EffectiveState, inFlight: Int, sinceMs: Int64, version: StateVersion, hearsBus: Bool,
    isObserver: Bool = false, lastSeenMs: Int64 = 0, queued: Int = 0, partitions: [Int32] = []
  ) {
    self.nodeId = nodeId
    self.state = state
    self.inFlight = inFlight
    self.sinceMs = sinceMs
    self.version = version
    self.hearsBus = hearsBus
    self.isObserver = isObserver
    self.lastSeenMs = lastSeenMs
    self.queued = queued
    self.partitions = partitions
  }

  /// Nothing is running here and nothing will start before another command.
  var isDrained: Bool { state == .disabled && inFlight == 0 }
}

/// All live nodes' reports on one location; this node's own is the one in memory, not the one that comes back from the store.
struct NodeTable: Hashable, Sendable {
  private(set) var own: NodeReport?
  private(set) var others: [NodeReport] = []

  mutating func setOwn(_ report: NodeReport?) { own = report }
  mutating func setOthers(_ reports: [NodeReport], except nodeId: String) {
    others = reports.filter { $0.nodeId != nodeId }
  }

  /// Sorted by id.
  var all: [NodeReport] { (others + (own.map { [$0] } ?? [])).sorted { $0.nodeId < $1.nodeId } }
  /// The nodes that run the location.
  var running: [NodeReport] { all.filter { !$0.isObserver } }
  var inFlight: Int { running.reduce(0) { $0 + $1.inFlight } }

  /// Whether every live node acts on a state that includes `version`. A node of another incarnation does not.
  func allActOn(_ version: StateVersion) -> Bool { all.allSatisfy { $0.version.includes(version) } }

  /// Whether every live node that runs the location has nothing left to do. False without such a node.
  func allDrained(by version: StateVersion) -> Bool {
    let running = running
    return !running.isEmpty && running.allSatisfy { $0.isDrained && $0.version.includes(version) }
  }

  /// The state of the whole: as desired only when every node is, else on the way.
  func effectiveState(desired paused: Bool) -> EffectiveState {
    let running = running
    if paused { return running.allSatisfy(\.isDrained) ? .disabled : .pausing }
    return running.allSatisfy { $0.state == .enabled } ? .enabled : .resuming
  }

  /// Since when the whole has been in its state: the latest change of any node.
  var sinceMs: Int64? { running.map(\.sinceMs).max() }

  /// How many hearing nodes come before this one when a foreign command is to be carried out; nil if this node does not hear.
  /// The order is by node id, the same seen from every node.
  func rankAmongHearing(of nodeId: String) -> Int? {
    let hearing = all.filter(\.hearsBus).map(\.nodeId)
    return hearing.firstIndex(of: nodeId)
  }
}
