// What is shown of a location: its numbers at one moment, and its speed over the last seconds. Pure.

internal import Reactor

/// The numbers of one location. All counts are since the start of the process.
struct LocationProgress: Hashable, Sendable {
  /// Printable.
  var name: String
  var isPaused = false
  /// The source is still being listed: the totals grow.
  var isListing = true
  /// Regular files found in the source, and their bytes.
  var foundObjects: Int64 = 0
  var foundBytes: Int64 = 0
  /// Found complete at the target: nothing to do.
  var upToDateObjects: Int64 = 0
  /// Handed to the pipeline: to be copied, or copied again.
  var enqueuedObjects: Int64 = 0
  /// Done by the pipeline, with whatever outcome but failure.
  var completedObjects: Int64 = 0
  /// Bytes written for them.
  var completedBytes: Int64 = 0
  var deletedObjects: Int64 = 0
  /// FAILED now: replication and listing.
  var failedObjects: Int64 = 0
  /// Links, sockets, devices, FIFOs.
  var skippedEntries: Int64 = 0

  init(name: String) { self.name = name }

  /// Of all there is to do as far as it is known.
  var total: Int64 { upToDateObjects + enqueuedObjects }
  /// A failed object is one that will not be waited for.
  var done: Int64 { min(total, upToDateObjects + completedObjects + failedObjects) }
  var percent: Int { Figures.percent(done: done, of: total) }
}

/// Objects and bytes per second over a sliding time: a pause shows, a single slow second does not dominate.
struct SpeedMeter {
  static let span: Duration = .seconds(8)
  static let samplesMax = 128

  private typealias Sample = (at: Instant, objects: Int64, bytes: Int64)
  private var samples: [Sample] = []

  /// - Parameter objects: counted since the start, as `bytes`.
  mutating func add(objects: Int64, bytes: Int64, at now: Instant) {
    samples.append((now, objects, bytes))
    // One sample older than the span stays, so that the span is always covered.
    while samples.count > 2, now - samples[1].at >= Self.span { samples.removeFirst() }
    if samples.count > Self.samplesMax { samples.remove(at: samples.count / 2) }
  }

  var objectsPerSecond: Double { perSecond { $0.objects } }
  var bytesPerSecond: Double { perSecond { $0.bytes } }

  private func perSecond(_ value: (Sample) -> Int64) -> Double {
    guard let first = samples.first, let last = samples.last, last.at > first.at else { return 0 }
    return Double(value(last) - value(first)) / (Double((last.at - first.at).nanoseconds) / 1e9)
  }
}
