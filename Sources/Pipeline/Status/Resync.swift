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
  /// Nothing acknowledged for so long while something is on its way: the brokers are taken for unreachable.
  public static let silenceMax = Duration.seconds(30)
  /// How long whoever stops waits for what is on its way.
  static let stopWaitMax = Duration.seconds(5)
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

  public enum Ending: Hashable, Sendable {
    case finished
    case interrupted
    /// Nothing was acknowledged any more.
    case brokersSilent
  }

  public struct Counts: Hashable, Sendable {
    public var listed: Int64 = 0
    public var completed: Int64 = 0
    public var enqueued: Int64 = 0
    public var bytes: Int64 = 0
    public var failures: Int64 = 0
    /// The first of them, for a person.
    public var firstFailures: [String] = []
    /// nil while it runs.
    public var ending: Ending?
    /// Handed over and not acknowledged when it ended: the broker may have them or not.
    public var unacknowledged = 0

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
  /// Of the last acknowledgement, or of the first message after all were acknowledged.
  private var heardAt: Instant
  public private(set) var counts = Counts()

  /// - Errors: properties librdkafka refuses.
  public init(_ settings: Settings, properties: KafkaProperties, reactor: Reactor, log: Logger) throws(KafkaError) {
    self.settings = settings
    self.reactor = reactor
    began = Instant.nowUncached()
    heardAt = began
    outbox = try Outbox(reactor: reactor, configuration: ProducerConfiguration(properties: properties), log: log)
  }

  /// Lists to the end, until `shouldStop`, or until the brokers have been silent for `silenceMax`.
  /// - Parameter progress: called after each page, and every few milliseconds while waiting.
  /// - Errors: a source that cannot be listed at all.
  public func run(
    _ catalog: any SourceCatalog, shouldStop: () -> Bool, progress: (Counts) -> Void
  ) async throws(StoreError) -> Counts {
    let listing = try catalog.list(bucket: settings.bucket, prefix: settings.prefix, sites: [settings.site])
    while !shouldStop(), !isSilent {
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
        await room(shouldStop, progress)
        if shouldStop() || isSilent { break }
        enqueue(object.record)
        queued.ops += 1
        queued.bytes += object.record.contentLength
      }
      count(queued)
      progress(counts)
      if page.isLast { break }
    }
    await delivered(shouldStop, progress)
    progress(counts)
    await withCheckedContinuation { done in outbox.close { done.resume() } }
    return counts
  }

  private func room(_ shouldStop: () -> Bool, _ progress: (Counts) -> Void) async {
    while unacknowledged >= Self.windowMax || !outbox.hasRoom || isAheadOfRate, !shouldStop(), !isSilent {
      await reactor.pause(for: Self.restDuration)
      progress(counts)
    }
  }

  /// Waits for what was handed over; for whom wants to stop, within a bound.
  private func delivered(_ shouldStop: () -> Bool, _ progress: (Counts) -> Void) async {
    let wasStopped = shouldStop()
    var giveUpAt: Instant?
    while unacknowledged > 0, !isSilent {
      if shouldStop() {
        let at = giveUpAt ?? Instant.nowUncached() + Self.stopWaitMax
        giveUpAt = at
        if Instant.nowUncached() >= at { break }
      }
      await reactor.pause(for: Self.restDuration)
      progress(counts)
    }
    counts.unacknowledged = unacknowledged
    counts.ending = isSilent ? .brokersSilent : wasStopped || unacknowledged > 0 ? .interrupted : .finished
  }

  private var isSilent: Bool { unacknowledged > 0 && Instant.nowUncached() - heardAt >= Self.silenceMax }

  private func sending() {
    if unacknowledged == 0 { heardAt = Instant.nowUncached() }
    unacknowledged += 1
  }

  private func acknowledged() {
    heardAt = Instant.nowUncached()
    unacknowledged -= 1
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
    sending()
    outbox.send(
      topic: settings.replicationTopic, key: EntryEncoder.messageKey(bucket: record.bucket, key: record.key),
      value: EntryEncoder.populated(record)
    ) { [self] isDelivered in
      acknowledged()
      guard isDelivered else { return counts.fail("\(record.bucket)/\(record.key): its entry is larger than the broker takes") }
      counts.enqueued += 1
      counts.bytes += object.contentLength
    }
  }

  private func count(_ queued: (ops: Int64, bytes: Int64)) {
    guard queued.ops > 0, let topic = settings.metricsTopic else { return }
    let message = MetricsMessage(
      type: "queued", site: settings.site, ops: queued.ops, bytes: queued.bytes, timestampMs: WallClock.nowMs())
    sending()
    outbox.send(topic: topic, key: [], value: message.json) { [self] _ in acknowledged() }
  }
}
