// What the metrics show of each partition a consumer has taken from since its start: times of its tasks, and the newest message
// taken. By partition number, so that an entry costs an index and no look-up.
public import Reactor

public struct PartitionFigures: Sendable {
  public struct Figures: Sendable {
    public let times: TaskTimes
    /// When the newest message was produced, as the broker has it (Unix ms); nil: it carried no time.
    public let messageTimestampMs: Int64?
    /// When it was taken.
    public let takenAt: Instant
  }

  /// What each entry writes: plain values, apart from the times, so that it counts no reference and copies nothing.
  private struct Taken {
    /// nil: nothing was taken from the partition.
    var at: Instant?
    var messageTimestampMs: Int64?
  }

  private var taken: [Taken] = []
  private var times: [TaskTimes] = []

  public init() {}

  /// Calls back for those that something was taken from.
  public func visit(_ body: (_ partition: Int32, Figures) -> Void) {
    for (index, row) in taken.enumerated() {
      guard let at = row.at else { continue }
      body(Int32(index), Figures(times: times[index], messageTimestampMs: row.messageTimestampMs, takenAt: at))
    }
  }

  mutating func took(_ partition: Int32, timestampMs: Int64?, at now: Instant) {
    let index = Int(partition)
    if index >= taken.count {
      let missing = index + 1 - taken.count
      taken += [Taken](repeating: Taken(), count: missing)
      times += [TaskTimes](repeating: TaskTimes(), count: missing)
    }
    taken[index] = Taken(at: now, messageTimestampMs: timestampMs)
  }

  /// - Precondition: `took` was called for it.
  mutating func ended(_ partition: Int32, ns: Int64, isFailure: Bool) { times[Int(partition)].add(ns, isFailure: isFailure) }
}
