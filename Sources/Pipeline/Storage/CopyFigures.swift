// What the copies of one location came to: Backbeat's figures of its queue processor (backbeat-behaviour 1.12). Counted on the
// workers, a few times for each object, read on T0. A `noop` location copies nothing and counts nothing here.
public import PipelineCore
internal import Reactor

public final class CopyFigures: Sendable {
  /// Milliseconds (Backbeat: 1 10 30 60 120 300 600 s).
  public static let ageBounds: [Int64] = [1, 10, 30, 60, 120, 300, 600].map { $0 * 1_000 }
  /// Milliseconds.
  public static let stageBounds: [Int64] = [10, 100, 1_000, 10_000, 30_000, 60_000, 120_000, 300_000]

  /// Statuses that were reached.
  public struct Endings: Hashable, Sendable {
    public fileprivate(set) var completed: UInt64 = 0
    public fileprivate(set) var failed: UInt64 = 0

    fileprivate mutating func add(isFailure: Bool) { if isFailure { failed += 1 } else { completed += 1 } }

    public static func + (a: Self, b: Self) -> Self {
      var sum = a
      sum.completed += b.completed
      sum.failed += b.failed
      return sum
    }
  }

  /// Reads, or writes, that ended well.
  public struct Transfers: Hashable, Sendable {
    public fileprivate(set) var count: UInt64 = 0
    public fileprivate(set) var bytes: UInt64 = 0
    /// Milliseconds.
    public fileprivate(set) var times = Histogram(bounds: CopyFigures.stageBounds)

    fileprivate mutating func add(_ bytes: Int64, _ time: Duration) {
      count += 1
      self.bytes += UInt64(max(0, bytes))
      times.add(Int64(time / .milliseconds(1)))
    }
  }

  public struct Figures: Sendable {
    /// Of entries with data.
    public fileprivate(set) var data = Endings()
    /// Of all entries: each has metadata.
    public fileprivate(set) var metadata = Endings()
    /// From a version's last change to the beginning of its copy, milliseconds.
    public fileprivate(set) var ages = Histogram(bounds: CopyFigures.ageBounds)
    /// Of the source; a part that is read by itself is a read.
    public fileprivate(set) var reads = Transfers()
    /// To the target, an object each, its parts together.
    public fileprivate(set) var dataWrites = Transfers()
    /// Metadata or tags alone, or a removal.
    public fileprivate(set) var metadataWrites = Transfers()
  }

  private let state = Lock(Figures())

  public init() {}

  public var figures: Figures { state.withLock { $0 } }

  /// A copy begins.
  /// - Parameter lastModified: ISO 8601; what is none is not counted.
  func begins(lastModified: String) {
    guard let changedMs = ISO8601.ms(lastModified) else { return }
    let ageMs = max(0, WallClock.nowMs() - changedMs)
    state.withLock { $0.ages.add(ageMs) }
  }

  func ended(isFailure: Bool, hasData: Bool) {
    state.withLock {
      $0.metadata.add(isFailure: isFailure)
      if hasData { $0.data.add(isFailure: isFailure) }
    }
  }

  func read(_ bytes: Int64, in time: Duration) { state.withLock { $0.reads.add(bytes, time) } }
  func wroteData(_ bytes: Int64, in time: Duration) { state.withLock { $0.dataWrites.add(bytes, time) } }
  func wroteMetadata(_ bytes: Int64, in time: Duration) { state.withLock { $0.metadataWrites.add(bytes, time) } }
}
