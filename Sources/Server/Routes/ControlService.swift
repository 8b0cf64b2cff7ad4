// What the routes need of the control plane, and nothing of how it is done. The wiring implements it over the state store,
// the bus and the location controllers; the route tests implement it in memory. Everything here happens on the reactor's
// thread; answers may come at once or later, exactly once.
internal import Pipeline
internal import PipelineCore

/// The desired state of one location, as `status` and `resume` show it.
struct DesiredState: Equatable, Sendable {
  var isPaused: Bool
  /// Unix ms; nil without a schedule.
  var scheduledResumeMs: Int64?
}

/// How well a desired state is known on this node.
enum StateKnowledge: Equatable, Sendable {
  /// As stored: may be shown.
  case current
  /// The watch has not been confirmed since the last reconnect: read before showing.
  case unconfirmed
  /// The store is away; last known this many seconds ago. Shown, and said so.
  case stale(seconds: Int)
  /// Never read since the start and not known from before: there is nothing to show.
  case unknown
}

/// What a POST or DELETE asks for.
enum ControlCommand: Equatable, Sendable {
  /// - waitS: answer when every live node has drained, at most after this many seconds; nil: answer once the state is durable
  ///   and the live nodes have seen it.
  case pause(waitS: Int?)
  case resume
  /// Whole hours from now, 1 to 87,600. Only for paused locations; the others are left as they are.
  case schedule(hours: Int)
  case unschedule
}

/// Who asked, for logs.
struct ControlOrigin: Equatable, Sendable {
  var requestID: String
  var peer: String
}

enum ControlOutcome: Equatable, Sendable {
  /// Durable, published, seen by the live nodes (or a second has passed): 200 `{}`.
  case done
  /// Answer to a `waitS`, one report a location in the order asked: 200 if all are drained, else 202.
  case drained([DrainReport])
  /// The store did not confirm in time: 503, nothing was published.
  case unavailable(reason: String, outcomeUnknown: Bool)
  /// Something of ours is broken: 500.
  case failed(reason: String)
}

/// One node's ephemeral report on a location.
struct NodeView: Equatable, Sendable {
  var id: String
  var state: EffectiveState
  var inFlight: Int
  var lastSeenMs: Int64
}

struct DrainReport: Equatable, Sendable {
  var location: String
  /// Every live node reports `disabled` with nothing in flight, and there is at least one.
  var isDrained: Bool
  /// The worst of the live nodes.
  var state: EffectiveState
  var inFlight: Int
  var nodes: [NodeView]
}

/// Entries the broker dropped before this node read them.
struct GapView: Equatable, Sendable {
  var topic: String
  var partition: Int32
  /// First lost offset, and the first one that was still there.
  var from: Int64
  var to: Int64
}

/// A task that runs too long.
struct StuckView: Equatable, Sendable {
  var bucket: String
  var key: String
  /// In its encoded form; nil: none.
  var versionId: String?
  var topic: String
  var partition: Int32
  var offset: Int64
  var sinceMs: Int64
}

struct PartitionView: Equatable, Sendable {
  var topic: String
  var partition: Int32
  /// Next offset to read; nil: nothing committed.
  var committed: Int64?
  /// One past the last offset; nil: not known now.
  var end: Int64?
  /// The node it is assigned to; nil: none.
  var node: String?
}

/// Everything about one location, for `locations`.
struct LocationView: Equatable, Sendable {
  var location: String
  var state: EffectiveState
  var sinceMs: Int64?
  var inFlight: Int = 0
  var queued: Int = 0
  /// Entries behind; nil: not known now.
  var lag: Int64?
  var scheduledResumeMs: Int64?
  var gaps: [GapView] = []
  /// On this node; nil where the target is no service that may be away.
  var breaker: LocationBreaker.View?
  /// On this node.
  var stuck: [StuckView] = []
  var nodes: [NodeView] = []
  var partitions: [PartitionView] = []
  /// Anything an operator should know, for example that the ring is refused here; constant sentences.
  var notes: [String] = []
}

protocol ControlService: AnyObject {
  /// The locations of a service, in the order of the configuration; may change at a reload.
  func locations(of service: ControlledService) -> [String]

  /// Another number whenever anything answered by `locations(of:)`, `knowledge(of:)` or `desiredState(of:)` may have changed:
  /// rendered answers are kept until it does. Must not change while nothing did, or every GET renders anew.
  var revision: UInt64 { get }

  func knowledge(of location: LocationKey) -> StateKnowledge

  /// - Precondition: its knowledge is `current` or `stale`.
  func desiredState(of location: LocationKey) -> DesiredState

  /// Reads what is `unconfirmed` among these anew (sync, then get); replies when it is known or cannot be, within about 2 s.
  func confirm(_ locations: [LocationKey], _ reply: @escaping () -> Void)

  /// - Parameter locations: at least one, all of one service.
  func carryOut(
    _ command: ControlCommand, on locations: [LocationKey], for origin: ControlOrigin,
    _ reply: @escaping (ControlOutcome) -> Void)

  /// One view a location, in the order asked.
  func views(of locations: [LocationKey], _ reply: @escaping ([LocationView]) -> Void)
}
