// The status processor's work on one entry: what a site reports is compared with what the source shows, and the source
// is updated, or the entry goes round once more through a replay topic, or it is over and a failed message says so
// (backbeat-behaviour 6; its defects B28, B32, B33, B34 of section 12 not repeated).
//
// Invariant: the offset of a report is committed only when the source shows it and every message it caused is on the
// broker. A report delivered twice changes nothing: COMPLETED is final, the rest is written again as it stands.
// Deliberately not here: garbage collection of transient locations, which no source of this build has.
//
// - Thread: one instance per worker, on its executor.
public import PipelineCore
internal import Reactor

public final class StatusUpdater: EntryProcessor {
  public struct Topics: Sendable {
    /// Where what has failed for good is told; nil: nowhere (`monitorReplicationFailures: false`).
    public var failed: String?
    /// Where counts of a site go; nil: nowhere.
    public var metrics: String?

    public init(failed: String?, metrics: String?) {
      self.failed = failed
      self.metrics = metrics
    }
  }

  private let store: any SourceStatusStore
  private let plan: ReplayPlan
  private let topics: Topics
  private let policy: RetryPolicy
  private let counters: StatusCounters

  /// - Parameter plan: topic names as they are on the broker.
  /// - Parameter policy: its delays; how often it would try does not matter, a source that is away is waited for.
  public init(
    store: any SourceStatusStore, plan: ReplayPlan, topics: Topics, policy: RetryPolicy, counters: StatusCounters
  ) {
    self.store = store
    self.plan = plan
    self.topics = topics
    self.policy = policy
    self.counters = counters
  }

  public func process(_ entry: ReplicationEntry, _ report: StatusReport) async -> WorkResult {
    let since = Instant.nowUncached()
    let (outcome, result) = await settled(entry, report)
    if let outcome { counters.time(outcome, of: report.status, ms: (Instant.nowUncached().ns - since.ns) / 1_000_000) }
    return result
  }

  /// - Returns: how it ended, nil if it was cancelled.
  private func settled(_ entry: ReplicationEntry, _ report: StatusReport) async -> (StatusCounters.Ending?, WorkResult) {
    var retries = 0
    while !Task.isCancelled {
      do throws(StoreError) {
        return try await attempt(entry, report)
      } catch {
        guard error.isRetryable else { return (.error, refused(entry, report, error)) }
        let delay = policy.delay(
          retries: min(retries, policy.retriesMax.map { max(0, $0 - 1) } ?? retries), elapsed: .zero, random: Double.random(in: 0..<1))
        retries += 1
        await Reactor.current?.pause(for: delay ?? policy.delayMax)
      }
    }
    return (nil, WorkResult(.abandoned))
  }

  private func attempt(
    _ entry: ReplicationEntry, _ report: StatusReport
  ) async throws(StoreError) -> (StatusCounters.Ending?, WorkResult) {
    let version = SourceVersion(entry, report)
    // No source keeps a status with a delete marker.
    let current: SourceSiteStatus =
      entry.isDeleteMarker ? .unknown : try await store.status(of: version, site: report.site)
    var recorded: ReplicationStatus?
    switch current {
    case .gone:
      counters.count(.gone)
      return (.error, WorkResult(.alreadyThere))
    case .unknown: break
    case .known(let status): recorded = status
    }
    switch StatusDecision.decide(report.status, current: recorded, replayCount: entry.replayCount, plan: plan) {
    case .ignore?, nil:
      counters.count(.unchanged)
      return (.nochange, WorkResult(.alreadyThere))
    case .write(let status)?:
      try await write(status, entry, report, version)
      count(status, entry, report)
      return (.success, result(.done(bytes: 0), status == .completed ? [metric("completed", entry, report)] : []))
    case .replay(let topic, let count)?:
      counters.countReplay(site: report.site, replayCount: count, bytes: entry.hasData ? entry.contentLength : 0)
      let message = OutgoingMessage(
        topic: topic, key: EntryEncoder.messageKey(bucket: entry.bucket, key: entry.key),
        value: EntryEncoder.republished(entry, as: .replay(site: report.site, replayCount: count)))
      return (.success, result(.done(bytes: 0), [message]))
    case .fail?:
      try await write(.failed, entry, report, version)
      count(.failed, entry, report)
      return (.success, result(.done(bytes: 0), failureMessages(entry, report)))
    }
  }

  private func count(_ status: ReplicationStatus, _ entry: ReplicationEntry, _ report: StatusReport) {
    counters.count(
      status, site: report.site, replaysLeft: entry.replayCount, bytes: entry.hasData ? entry.contentLength : 0,
      latencyMs: Self.latencyMs(entry))
  }

  private func write(
    _ status: ReplicationStatus, _ entry: ReplicationEntry, _ report: StatusReport, _ version: SourceVersion
  ) async throws(StoreError) {
    guard !entry.isDeleteMarker else { return }
    // Gone meanwhile: there is nothing to keep it with.
    _ = try await store.set(
      status, of: version, site: report.site, sites: entry.sites, targetVersionId: report.targetVersionId)
  }

  /// The source will never take it: said here, and a failure still reaches its list.
  private func refused(_ entry: ReplicationEntry, _ report: StatusReport, _ error: StoreError) -> WorkResult {
    counters.count(.refused)
    let failure = ReplicationFailure(
      bucket: entry.bucket, key: entry.key, versionId: entry.versionId, code: error.code,
      message: "status \(report.status.rawValue) of \(report.site) not recorded: \(error.message)", attempts: 1)
    return result(.failed(failure), report.status == .failed ? failureMessages(entry, report) : [])
  }

  private func failureMessages(_ entry: ReplicationEntry, _ report: StatusReport) -> [OutgoingMessage?] {
    let message = topics.failed.map {
      OutgoingMessage(topic: $0, key: [], value: FailedMessage(entry, report, failedAtMs: WallClock.nowMs()).json)
    }
    return [message, metric("failed", entry, report)]
  }

  private func metric(_ type: String, _ entry: ReplicationEntry, _ report: StatusReport) -> OutgoingMessage? {
    topics.metrics.map {
      let message = MetricsMessage(
        type: type, site: report.site, ops: 1, bytes: entry.hasData ? entry.contentLength : 0, timestampMs: WallClock.nowMs())
      return OutgoingMessage(topic: $0, key: [], value: message.json)
    }
  }

  private func result(_ outcome: WorkOutcome, _ messages: [OutgoingMessage?]) -> WorkResult {
    var result = WorkResult(outcome)
    result.messages = messages.compactMap { $0 }
    return result
  }

  /// From the version's last change until now; nil where the entry does not say.
  private static func latencyMs(_ entry: ReplicationEntry) -> Int64? {
    ISO8601.ms(entry.lastModified).map { max(0, WallClock.nowMs() - $0) }
  }
}

extension SourceVersion {
  init(_ entry: ReplicationEntry, _ report: StatusReport) {
    self.init(bucket: entry.bucket, key: entry.key, versionId: entry.versionId)
    isDeleteMarker = entry.isDeleteMarker
    size = report.notes.sourceSize ?? entry.contentLength
    modifiedNs = report.notes.sourceModifiedNs
  }
}
