// What the metrics show of each partition a consumer has taken from since its start: times of its tasks, and the newest message
// taken. By partition number, so that an entry costs an index and no look-up.
public import Reactor

public struct PartitionFigures: Sendable {
  public struct Figures: Sendable {
    public fileprivate(set) var times = TaskTimes()
    /// When the newest message was produced, as the broker has it (Unix ms); nil: it carried no time.
    public fileprivate(set) var messageTimestampMs: Int64?
    /// When it was taken.
    public fileprivate(set) var takenAt: Instant
  }

  private var rows: [Figures?] = []

  public init() {}

  /// Calls back for those that something was taken from.
  public func visit(_ body: (_ partition: Int32, Figures) -> Void) {
    for index in rows.indices { if let row = rows[index] { body(Int32(index), row) } }
  }

  mutating func took(_ partition: Int32, timestampMs: Int64?, at now: Instant) {
    let index = Int(partition)
    if index >= rows.count { rows += [Figures?](repeating: nil, count: index + 1 - rows.count) }
    if rows[index] == nil { rows[index] = Figures(takenAt: now) }
    rows[index]!.messageTimestampMs = timestampMs
    rows[index]!.takenAt = now
  }

  /// - Precondition: `took` was called for it.
  mutating func ended(_ partition: Int32, ns: Int64, isFailure: Bool) { rows[Int(partition)]!.times.add(ns, isFailure: isFailure) }
}
