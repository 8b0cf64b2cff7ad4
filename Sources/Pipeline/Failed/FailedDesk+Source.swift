// What the desk asks of the source: what an object is now, for lists, retries and progress (backbeat-behaviour 1.7, 1.8).
//
// Invariant: an answer that is about Redis never fails, and never waits long, because of the source. What it does not say in time is
// unknown; only what it says is not there counts as gone.
internal import Logging
internal import PipelineCore
internal import Reactor

extension FailedDesk {
  /// Objects asked for at a time, as by Backbeat.
  static let looksMax = 10
  /// For all that one page or one object needs to know of the source.
  static let listLookTimeMax = Duration.seconds(5)
  /// For one batch of retries: half of what its locks live.
  static let retryLookTimeMax = Duration.seconds(30)

  enum Look: Sendable {
    case found(SourceObject)
    /// Not there (any more).
    case gone
    /// No source, or no answer in time.
    case unknown
  }

  /// The same records, with size and time where nobody wrote them down: Backbeat's members say nothing of them. Nil where the source
  /// does not have the object any more, which is left out as by Backbeat; what it does not answer for stays as it is.
  func completed(_ records: [FailedRecord]) async -> [FailedRecord?] {
    var completed: [FailedRecord?] = records
    let bare = records.indices.filter { records[$0].lastModified.isEmpty }
    guard !bare.isEmpty else { return completed }
    let looks = await look(at: bare.map { records[$0].version }, sites: [], within: Self.listLookTimeMax)
    for (index, look) in zip(bare, looks) {
      switch look {
      case .found(let object):
        completed[index]?.size = object.record.contentLength
        completed[index]?.lastModified = object.record.lastModified
      case .gone: completed[index] = nil
      case .unknown: break
      }
    }
    return completed
  }

  /// What the source says of these versions, in their order.
  /// - Parameter sites: whose statuses are wanted.
  func look(at versions: [FailedVersion], sites: [String], within limit: Duration) async -> [Look] {
    guard catalog != nil, !versions.isEmpty else { return [Look](repeating: .unknown, count: versions.count) }
    let executor = handle.executor
    return await withTaskGroup(of: Answer.self) { group in
      var looks = [Look](repeating: .unknown, count: versions.count)
      var (next, open, isLate) = (0, 0, false)
      func ask() {
        let index = next
        group.addTask(executorPreference: executor) { .look(index, await self.look(at: versions[index], sites: sites)) }
        next += 1
        open += 1
      }
      group.addTask(executorPreference: executor) {
        await self.rest(limit)
        return .late
      }
      while next < min(Self.looksMax, versions.count) { ask() }
      while open > 0, let answer = await group.next() {
        switch answer {
        case .look(let index, let look):
          looks[index] = look
          open -= 1
          if !isLate, next < versions.count { ask() }
        case .late:
          isLate = true
          group.cancelAll()
        }
      }
      group.cancelAll()
      return looks
    }
  }

  private enum Answer: Sendable {
    case look(Int, Look)
    /// The time is over.
    case late
  }

  private func rest(_ duration: Duration) async { await Reactor.current?.pause(for: duration) }

  private func look(at version: FailedVersion, sites: [String]) async -> Look {
    guard let catalog else { return .unknown }
    var raw: String?
    if !version.versionId.isEmpty {
      // What no version encodes to is none.
      guard let decoded = VersionId.decode(version.versionId) else { return .gone }
      raw = decoded
    }
    do throws(StoreError) {
      let object = try await catalog.object(bucket: version.bucket, key: version.key, versionId: raw, sites: sites)
      return object.map { .found($0) } ?? .gone
    } catch {
      guard !error.isGoneAtSource else { return .gone }
      log.debug("the source does not say", metadata: ["key": "\(version.key)", "error": "\(error)"])
      return .unknown
    }
  }
}
