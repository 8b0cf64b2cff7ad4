// Carries out the entries of a location that has stores: the copy itself is `Replicator`'s; here are the retries with
// back-off, what is written down about a failure, and the translation from an entry.
//
// - Thread: one instance per worker and location, on that worker's executor.
public import PipelineCore
internal import Reactor

public final class StoreReplicator: EntryReplicator {
  private let site: String
  private let replicator: Replicator
  private let policy: RetryPolicy
  private let force: Bool
  private let failedList: FailedList?
  private let status: FileSourceStatus?
  private let allSites: [String]?
  private let breaker: LocationBreaker?
  private let transfers: (any TransferWatcher)?
  /// Attempts the target's breaker let through and that failed as the target as a whole did do not count against an entry
  /// for so long; then they do, so that an entry that only looks like an outage ends too.
  static let outageMax: Duration = .seconds(3_600)

  /// - Parameters:
  ///   - force: overwrite what at the target is not ours or was changed.
  ///   - failedList: where final failures are kept; nil when a status topic does that.
  ///   - status: the status attributes of a `file` source; nil where nothing is ever written to the source (quickstart).
  ///   - allSites: of every object, where an entry names only the one it is for (embedded mode); else the entry says.
  ///   - breaker: of the location, where its target is a service that may be away.
  ///   - transfers: is told how far each copy is; nil: nobody is.
  public init(
    site: String, replicator: Replicator, policy: RetryPolicy, force: Bool = false, failedList: FailedList? = nil,
    status: FileSourceStatus? = nil, allSites: [String]? = nil, breaker: LocationBreaker? = nil,
    transfers: (any TransferWatcher)? = nil
  ) {
    self.site = site
    self.replicator = replicator
    self.policy = policy
    self.force = force
    self.failedList = failedList
    self.status = status
    self.allSites = allSites
    self.breaker = breaker
    self.transfers = transfers
  }

  public func count(into figures: CopyFigures) { replicator.figures = figures }

  public func replicate(_ entry: ReplicationEntry) async -> WorkResult {
    let request = ObjectRequest(entry, site: site, force: force)
    let transfer = request.isDeleteMarker ? nil : transfers?.begin(request)
    var isCopied = false
    defer { transfer?.ended(isCopied: isCopied) }
    var course = Course()
    while !Task.isCancelled, await admitted() {
      let began = Instant.nowUncached()
      let outcome = await replicator.replicate(request, progress: transfer)
      course.worked += Instant.nowUncached() - began
      course.attempts += 1
      let isHeld = breaker?.leave(LocationBreaker.Verdict(outcome)) ?? false
      guard case .failed(let error) = outcome else {
        let receipt = outcome.receipt
        isCopied = outcome.isOurDoing
        return WorkResult(
          await succeeded(outcome, request, entry), targetVersionId: receipt?.targetVersionId,
          source: receipt?.source)
      }
      if error.reason == .sourceNotFound { return WorkResult(await gone(request, entry)) }
      if isHeld, error.isOutage, error.side == .target, error.isRetryable, Instant.nowUncached() - course.start < Self.outageMax { continue }
      guard let rest = course.rest(after: error, policy) else {
        return WorkResult(await failed(error, request, entry, attempts: course.attempts))
      }
      await Reactor.current?.pause(for: rest)
      course.worked += rest
    }
    return WorkResult(.abandoned)
  }

  /// What was done about one entry.
  private struct Course {
    let start = Instant.nowUncached()
    var attempts = 0
    private var retries = 0
    /// In attempts and rests between them; waiting for a target that is away does not count.
    var worked: Duration = .zero

    init() {}

    /// - Returns: how long to rest before the next attempt; nil to give up.
    mutating func rest(after error: StoreError, _ policy: RetryPolicy) -> Duration? {
      guard error.isRetryable, let delay = policy.delay(retries: retries, elapsed: worked, random: Double.random(in: 0..<1)) else { return nil }
      retries += 1
      return max(delay, error.retryAfter ?? .zero)
    }
  }

  /// Waits until the location's target may be asked. - Returns: false if the task was cancelled meanwhile.
  private func admitted() async -> Bool {
    guard let breaker else { return true }
    while !Task.isCancelled {
      if breaker.enter() { return true }
      await Reactor.current?.pause(for: breaker.rest())
    }
    return false
  }

  private func succeeded(_ outcome: ReplicationOutcome, _ request: ObjectRequest, _ entry: ReplicationEntry) async -> WorkOutcome {
    if let failedList, let error = await failedList.clear(FailedVersion(request)) {
      return await failed(.records(error), request, entry, attempts: 1)
    }
    if let info = outcome.receipt?.source, let error = set(.completed, request, entry, info) {
      return await failed(error, request, entry, attempts: 1)
    }
    switch outcome {
    case .copied(let receipt), .adopted(let receipt): return .done(bytes: receipt.bytes)
    case .removed: return .done(bytes: 0)
    case .skippedAlreadyThere, .skippedNewerThere, .nothingToRemove, .skippedPresentAgain: return .alreadyThere
    case .failed: preconditionFailure("a failure has not succeeded")
    }
  }

  /// Deleted before it was copied (BB 5.4, outcome ObjNotFound at the source): whatever it was listed for is over as well.
  private func gone(_ request: ObjectRequest, _ entry: ReplicationEntry) async -> WorkOutcome {
    if let failedList, let error = await failedList.clear(FailedVersion(request)) {
      return await failed(.records(error), request, entry, attempts: 1)
    }
    return .skipped(.sourceGone)
  }

  private func failed(_ error: StoreError, _ request: ObjectRequest, _ entry: ReplicationEntry, attempts: Int) async -> WorkOutcome {
    var failure = ReplicationFailure(
      bucket: request.bucket, key: request.key, versionId: request.versionId, code: error.code, message: error.message,
      attempts: attempts)
    let record = FailedRecord(failure, request, failedAtMs: WallClock.nowMs())
    if let failedList, let trouble = await failedList.record(record) {
      failure.message += "; and the failed list could not be written: \(trouble)"
    }
    if let trouble = set(.failed, request, entry, ObjectInfo(size: request.size)) {
      failure.message += "; and its status could not be written: \(trouble.message)"
    }
    return .failed(failure)
  }

  /// A few system calls on the source file. - Returns: why it could not be set; a file that changed since is no trouble.
  private func set(
    _ new: ReplicationStatus, _ request: ObjectRequest, _ entry: ReplicationEntry, _ info: ObjectInfo
  ) -> StoreError? {
    guard let status, !request.isDeleteMarker else { return nil }
    do throws(StoreError) {
      _ = try status.set(
        new, site: site, bucket: request.bucket, key: request.key, sites: allSites ?? entry.sites, info: info)
      return nil
    } catch {
      // Gone, or unreadable: that is what the failure itself says.
      return new == .failed ? nil : error
    }
  }
}

extension FailedVersion {
  init(_ request: ObjectRequest) {
    self.init(bucket: request.bucket, key: request.key, versionId: request.encodedVersionId ?? "")
  }
}

extension FailedRecord {
  init(_ failure: ReplicationFailure, _ request: ObjectRequest, failedAtMs: Int64) {
    self.init(
      bucket: failure.bucket, key: failure.key, versionId: failure.versionId.map(VersionId.encode) ?? "", size: request.size,
      lastModified: request.lastModified, reason: failure.code, message: failure.message, attempts: failure.attempts,
      failedAtMs: failedAtMs)
  }
}

extension StoreError {
  static func records(_ error: Errno) -> StoreError {
    StoreError(.targetUnwritable, isRetryable: true, "the failed list cannot be written: \(error)")
  }
}

extension ReplicationOutcome {
  /// The bytes stand there because of this task.
  fileprivate var isOurDoing: Bool {
    switch self {
    case .copied, .adopted: true
    case .skippedAlreadyThere, .skippedNewerThere, .removed, .nothingToRemove, .skippedPresentAgain, .failed: false
    }
  }

  fileprivate var receipt: CopyReceipt? {
    switch self {
    case .copied(let receipt), .adopted(let receipt), .skippedAlreadyThere(let receipt): receipt
    case .skippedNewerThere, .removed, .nothingToRemove, .skippedPresentAgain, .failed: nil
    }
  }
}
