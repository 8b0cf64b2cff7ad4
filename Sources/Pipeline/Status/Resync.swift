// Enqueues what is already in a source for one location: the objects of a bucket or a prefix, those left out whose status for the
// location is COMPLETED. Entries are those of the populator, for this one location only, so the others do not copy again.
//
// Invariant: an object is counted as enqueued when the broker has acknowledged it; at most `windowMax` are on their way, so
// memory does not depend on the size of the source. Repeating a resync is harmless: what was copied meanwhile is left out, and
// what is copied twice is found at the target and not written.
//
// - Thread: made and run on one reactor, whose thread may wait for the source's disk.
public import Logging
internal import PipelineCore
public import Reactor

public final class Resync {
  /// Sent and not acknowledged.
  static let windowMax = 2_000
  /// Between two looks whether there is room again.
  static let restDuration = Duration.milliseconds(5)

  public struct Settings: Sendable {
    public var site: String
    /// nil: all buckets.
    public var bucket: String?
    /// Of keys.
    public var prefix = ""
    /// Only counts what would be enqueued.
    public var isDryRun = false
    /// Objects a second; nil: as fast as the broker takes them.
    public var rateMax: Int?
    /// As named on the broker.
    public var replicationTopic: String
    /// Where the location's pending objects are counted; nil: nowhere.
    public var metricsTopic: String?

    public init(site: String, replicationTopic: String) {
      self.site = site
      self.replicationTopic = replicationTopic
    }
  }

  public struct Counts: Hashable, Sendable {
    public var listed: Int64 = 0
    public var completed: Int64 = 0
    public var enqueued: Int64 = 0
    public var bytes: Int64 = 0
    public var failures: Int64 = 0
    /// The first of them, for a person.
    public var firstFailures: [String] = []
    public var isFinished = false

    static let failuresKeptMax = 20

    mutating func fail(_ message: String) {
      failures += 1
      if firstFailures.count < Self.failuresKeptMax { firstFailures.append(message) }
    }
  }

  private let reactor: Reactor
  private let settings: Settings
  private let outbox: Outbox
  private var unacknowledged = 0
  private let began: Instant
  public private(set) var counts = Counts()

  /// - Errors: properties librdkafka refuses.
  public init(_ settings: Settings, properties: KafkaProperties, reactor: Reactor, log: Logger) throws(KafkaError) {
    self.settings = settings
    self.reactor = reactor
    began = Instant.nowUncached()
    outbox = try Outbox(reactor: reactor, configuration: ProducerConfiguration(properties: properties), log: log)
  }

  /// Lists to the end, or until `shouldStop`. - Parameter progress: called after each page.
  /// - Errors: a source that cannot be listed at all.
  public func run(
    _ catalog: any SourceCatalog, shouldStop: () -> Bool, progress: (Counts) -> Void
  ) async throws(StoreError) -> Counts {
    let listing = try catalog.list(bucket: settings.bucket, prefix: settings.prefix, sites: [settings.site])
    while !shouldStop() {
      let page = try await listing.nextPage()
      for failure in page.failures { counts.fail(failure) }
      var queued: (ops: Int64, bytes: Int64) = (0, 0)
      for object in page.objects {
        counts.listed += 1
        if object.statuses[settings.site] == .completed {
          counts.completed += 1
          continue
        }
        if settings.isDryRun {
          counts.enqueued += 1
          counts.bytes += object.record.contentLength
          continue
        }
        await room(shouldStop)
        if shouldStop() { break }
        enqueue(object.record)
        queued.ops += 1
        queued.bytes += object.record.contentLength
      }
      count(queued)
      progress(counts)
      if page.isLast { break }
    }
    let wasStopped = shouldStop()
    // What was handed over is waited for, whoever wants to stop.
    while unacknowledged > 0 { await reactor.pause(for: Self.restDuration) }
    counts.isFinished = !wasStopped
    progress(counts)
    await withCheckedContinuation { done in outbox.close { done.resume() } }
    return counts
  }

  private func room(_ shouldStop: () -> Bool) async {
    while unacknowledged >= Self.windowMax || !outbox.hasRoom || isAheadOfRate, !shouldStop() {
      await reactor.pause(for: Self.restDuration)
    }
  }

  private var isAheadOfRate: Bool {
    guard let rateMax = settings.rateMax else { return false }
    let elapsed = Double((Instant.nowUncached() - began).nanoseconds) / 1e9
    return Double(counts.enqueued + Int64(unacknowledged)) > elapsed * Double(rateMax)
  }

  private func enqueue(_ object: ObjectRecord) {
    var record = object
    record.sites = [settings.site]
    record.commitTimestamp = ISO8601.string(ms: WallClock.nowMs())
    unacknowledged += 1
    outbox.send(
      topic: settings.replicationTopic, key: EntryEncoder.messageKey(bucket: record.bucket, key: record.key),
      value: EntryEncoder.populated(record)
    ) { [self] in
      unacknowledged -= 1
      counts.enqueued += 1
      counts.bytes += object.contentLength
    }
  }

  private func count(_ queued: (ops: Int64, bytes: Int64)) {
    guard queued.ops > 0, let topic = settings.metricsTopic else { return }
    let message = MetricsMessage(
      type: "queued", site: settings.site, ops: queued.ops, bytes: queued.bytes, timestampMs: WallClock.nowMs())
    unacknowledged += 1
    outbox.send(topic: topic, key: [], value: message.json) { [self] in unacknowledged -= 1 }
  }
}
