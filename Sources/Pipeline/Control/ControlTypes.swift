// What the coordinator says to those above it: routes, location controllers, the wiring.
internal import CLinux
internal import Glibc
public import PipelineCore
internal import Reactor

/// The one location's controller, as the coordinator sees it.
public protocol LocationSink: AnyObject {
  /// The stored desired state as the store itself told it: at first (before that the location must not consume), and at every
  /// change. On return the controller has acted: no entry is taken any more, or taking has been allowed.
  /// - Thread: reactor. - Blocking: must not.
  func desiredChanged(paused: Bool, version: StateVersion)

  /// A pause is being stored, or has been stored and is being read: nothing should be taken until `desiredChanged`, or for a moment
  /// if that does not come.
  /// - Thread: reactor. - Blocking: must not.
  func pauseAnnounced()

  /// Paused, and every live node that runs the location reports that nothing is left to do. May be told more than once.
  /// - Thread: reactor. - Blocking: must not.
  func allNodesDrained()
}

/// How a command ended.
public enum ChangeOutcome: Hashable, Sendable {
  /// Stored, and every live node acts on it (or one second has passed).
  case done
  /// Every live node has nothing left to do (`?wait=`).
  case drained([LocationOverview])
  /// Stored, but not drained in the time given.
  case draining([LocationOverview])
  /// Not confirmed. `outcomeUnknown`: a write may have been sent.
  case unavailable(description: String, outcomeUnknown: Bool)
}

/// Desired states for `status` and `resume` reads.
public enum PauseStatesAnswer: Hashable, Sendable {
  /// `staleSeconds`: nil when proven current, else the age of the oldest part of the answer.
  case states([LocationKey: PauseState], staleSeconds: Int64?)
  /// Not reachable, and nothing was ever read.
  case unavailable(String)
}

/// How well a desired state is known on this node.
public enum StateFreshness: Hashable, Sendable {
  /// As stored.
  case current
  /// Not proven since the store was last connected: `confirm` first.
  case unconfirmed
  /// The store is away, or did not answer; known from that long ago.
  case stale(seconds: Int64)
  /// Never read, and nothing kept from an earlier run.
  case unknown
}

/// One location in the whole deployment, as this node sees it.
public struct LocationOverview: Hashable, Sendable {
  public var key: LocationKey
  public var state: EffectiveState
  public var desired: PauseState
  public var inFlight: Int
  /// Unix ms; nil if no node runs the location.
  public var sinceMs: Int64?
  /// The live nodes that run it, by id.
  public var nodes: [NodeReport]

  public init(
    key: LocationKey, state: EffectiveState, desired: PauseState, inFlight: Int, sinceMs: Int64?, nodes: [NodeReport]
  ) {
    self.key = key
    self.state = state
    self.desired = desired
    self.inFlight = inFlight
    self.sinceMs = sinceMs
    self.nodes = nodes
  }
}

/// The two clocks of schedules. Tests put their own in.
public struct ControlClock {
  /// Unix ms; may step.
  public var wallMs: () -> Int64
  /// Milliseconds that never step and count suspended time, from any origin.
  public var bootMs: () -> Int64

  public init(wallMs: @escaping () -> Int64, bootMs: @escaping () -> Int64) {
    self.wallMs = wallMs
    self.bootMs = bootMs
  }

  public static var system: ControlClock {
    ControlClock(wallMs: WallClock.nowMs) {
      var time = timespec()
      clock_gettime(CLOCK_BOOTTIME, &time)
      return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
  }
}

/// The coordinator's times. Each is a bound of the contract (sections 4 and 5) unless it says otherwise.
public struct ControlLimits: Sendable {
  /// A command that is not confirmed by then is answered as unavailable.
  public var confirmMax = Duration.seconds(2)
  /// How long an answer waits for the other nodes.
  public var propagateMax = Duration.seconds(1)
  /// How long a foreign command is tried: nobody waits for its answer (ours).
  public var foreignMax = Duration.seconds(30)
  /// How much later each further node tries to carry out a foreign command that had no visible effect (ours).
  public var foreignTurn = Duration.milliseconds(1_500)
  /// How long a node that does not know a location lets the others make its missing entry. Zero where there are none.
  public var graceForOthers = Duration.seconds(2)
  /// How often every location is read without a reason, in case a watch was lost (ours; convergence is promised in 5 s).
  public var auditPeriod = Duration.seconds(4)
  /// How often an unchanged report is written again, which is what `lastSeen` shows (ours).
  public var heartbeatPeriod = Duration.seconds(30)
  /// How long a report waits of which only the count has changed: while draining, and otherwise (ours).
  public var countDelayDraining = Duration.milliseconds(100)
  public var countDelay = Duration.seconds(5)

  public init() {}
}
