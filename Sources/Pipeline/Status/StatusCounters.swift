// What the status processor has done, for metrics: counted on the workers, read on T0.
internal import PipelineCore
internal import Reactor

public final class StatusCounters: Sendable {
  /// Upper bounds of the latency histogram, seconds (backbeat-behaviour 1.12).
  public static let latencyBoundsS: [Int64] = [1, 10, 30, 60, 120, 300, 600]

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

  public struct Histogram: Hashable, Sendable {
    /// By bound, not cumulated; the last is for everything above.
    public var counts = [UInt64](repeating: 0, count: StatusCounters.latencyBoundsS.count + 1)
    public var sumMs: Int64 = 0
  }

  public struct Figures: Sendable {
    public var kinds: [Kind: UInt64] = [:]
    /// Written, by status.
    public var written: [String: UInt64] = [:]
    /// By site, then by status.
    public var latency: [String: [String: Histogram]] = [:]
    /// Sent to replay topics, by site: objects, and their bytes.
    public var replayed: [String: (objects: UInt64, bytes: UInt64)] = [:]
  }

  private let state = Lock(Figures())

  public init() {}

  public var figures: Figures { state.withLock { $0 } }

  func countReplay(site: String, bytes: Int64) {
    state.withLock { figures in
      figures.kinds[.replayed, default: 0] += 1
      figures.replayed[site, default: (0, 0)].objects += 1
      figures.replayed[site, default: (0, 0)].bytes += UInt64(max(0, bytes))
    }
  }

  func count(_ kind: Kind) { state.withLock { $0.kinds[kind, default: 0] += 1 } }

  func count(_ status: ReplicationStatus, site: String, latencyMs: Int64?) {
    state.withLock { figures in
      figures.written[status.rawValue, default: 0] += 1
      guard let latencyMs, status != .pending else { return }
      let index = Self.latencyBoundsS.firstIndex { latencyMs <= $0 * 1_000 } ?? Self.latencyBoundsS.count
      figures.latency[site, default: [:]][status.rawValue, default: Histogram()].counts[index] += 1
      figures.latency[site]?[status.rawValue]?.sumMs += latencyMs
    }
  }
}
