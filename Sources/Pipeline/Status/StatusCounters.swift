// What the status processor has done, for metrics (names and bounds: backbeat-behaviour 1.12): counted on the workers, read on T0.
public import PipelineCore
internal import Reactor

public final class StatusCounters: Sendable {
  /// From a version's last change to its final status, milliseconds (Backbeat: seconds).
  public static let latencyBounds: [Int64] = [1, 10, 30, 60, 120, 300, 600].map { $0 * 1_000 }
  /// From taking an entry to its end, milliseconds.
  public static let durationBounds: [Int64] = [50, 100, 200, 300, 400, 500, 1_000]

  public enum Kind: Hashable, Sendable {
    /// The source has no such version any more.
    case gone
    /// Nothing to change: COMPLETED is final.
    case unchanged
    /// Sent to a replay topic.
    case replayed
    /// The source will not take the status.
    case refused
  }

  /// How an entry ended, in Backbeat's words.
  public enum Ending: String, Hashable, Sendable { case success, error, nochange }

  public struct Timing: Hashable, Comparable, Sendable {
    public var result: String
    public var status: String
    public static func < (a: Self, b: Self) -> Bool { (a.result, a.status) < (b.result, b.status) }
  }

  /// Entries that are alike for the metrics.
  public struct Entries: Hashable, Comparable, Sendable {
    public var site: String
    /// Replays that were left; nil: it was never replayed.
    public var replayCount: Int64?
    /// nil: not final.
    public var status: String?

    public static func < (a: Self, b: Self) -> Bool {
      (a.site, a.status ?? "", a.replayCount ?? -1) < (b.site, b.status ?? "", b.replayCount ?? -1)
    }
  }

  /// Objects, their bytes, and how large they were.
  public struct Objects: Hashable, Sendable {
    public private(set) var count: UInt64 = 0
    public private(set) var bytes: UInt64 = 0
    public private(set) var sizes: Histogram

    init(bounds: [Int64]) { sizes = Histogram(bounds: bounds) }

    mutating func add(_ size: Int64) {
      count += 1
      bytes += UInt64(max(0, size))
      sizes.add(max(0, size))
    }
  }

  public struct Figures: Sendable {
    public fileprivate(set) var kinds: [Kind: UInt64] = [:]
    /// Written, by status.
    public fileprivate(set) var written: [String: UInt64] = [:]
    /// Milliseconds.
    public fileprivate(set) var latency: [Entries: Histogram] = [:]
    /// Milliseconds.
    public fileprivate(set) var durations: [Timing: Histogram] = [:]
    /// Sent to replay topics; `replayCount` is what they were sent with.
    public fileprivate(set) var replayed: [Entries: Objects] = [:]
    /// Came to their end after a replay.
    public fileprivate(set) var replaysCompleted: [Entries: Objects] = [:]
    /// Replays it took to be COMPLETED, by site.
    public fileprivate(set) var replayCounts: [String: Histogram] = [:]
  }

  /// Upper bounds of object sizes, bytes (`objectSizeMetrics`).
  public let sizeBounds: [Int64]
  /// Replays an object has in all.
  private let replaysMax: Int64
  /// Of the replays it took.
  public let replayBounds: [Int64]
  private let state = Lock(Figures())

  public init(sizeBounds: [Int64] = [], replaysMax: Int = 0) {
    self.sizeBounds = sizeBounds
    self.replaysMax = Int64(replaysMax)
    replayBounds = (0..<Int64(replaysMax)).map { $0 }
  }

  public var figures: Figures { state.withLock { $0 } }

  func count(_ kind: Kind) { state.withLock { $0.kinds[kind, default: 0] += 1 } }

  func countReplay(site: String, replayCount: Int64, bytes: Int64) {
    state.withLock { figures in
      figures.kinds[.replayed, default: 0] += 1
      figures.replayed[Entries(site: site, replayCount: replayCount), default: Objects(bounds: sizeBounds)].add(bytes)
    }
  }

  /// A status was written.
  /// - Parameter replaysLeft: as the entry says; nil: it was never replayed.
  func count(_ status: ReplicationStatus, site: String, replaysLeft: Int64?, bytes: Int64, latencyMs: Int64?) {
    // The entry may be of another configuration.
    let left = replaysLeft.map { max(0, min($0, replaysMax)) }
    let entries = Entries(site: site, replayCount: left, status: status.rawValue)
    state.withLock { figures in
      figures.written[status.rawValue, default: 0] += 1
      guard status != .pending else { return }
      if let latencyMs { figures.latency[entries, default: Histogram(bounds: Self.latencyBounds)].add(latencyMs) }
      guard let left else { return }
      figures.replaysCompleted[entries, default: Objects(bounds: sizeBounds)].add(bytes)
      guard status == .completed else { return }
      figures.replayCounts[site, default: Histogram(bounds: replayBounds)].add(replaysMax - left)
    }
  }

  func time(_ ending: Ending, of status: ReplicationStatus, ms: Int64) {
    let kind = Timing(result: ending.rawValue, status: status.rawValue)
    state.withLock { $0.durations[kind, default: Histogram(bounds: Self.durationBounds)].add(ms) }
  }
}
