// `extensions.replication`: topics, source, bootstrap list, processors.
//
// What a location or the source must hold depends on its type; what must exist at all depends on the roles. An item that
// this build cannot serve is an error unless it is disabled, and a disabled item is not examined further.

internal import Pipeline

struct ReplicationReader {
  let context: LoadContext
  let purpose: ConfigurationPurpose
  let topicPrefix: String
  /// Entries come from brokers that the file names.
  let hasBrokers: Bool
  /// What fails is listed in Redis, not in directories.
  let listsInRedis: Bool

  func read(_ section: Section) -> Configuration.Replication {
    var result = Configuration.Replication()
    let destination = section.section("destination")
    let entries = locations(destination)
    result.locations = entries.map(\.location)
    destination.finish(unused: ["transport", "auth"])
    let sourceSection = section.section("source")
    result.source = source(sourceSection, isNeeded: needsSource(result.locations))
    if case .s3? = result.source, purpose.embedded, !hasBrokers, needsSource(result.locations) {
      sourceSection.error("type", "the daemon lists and follows directories only: name kafka.hosts, from which entries of an S3 source come")
    }
    checkOverlaps(source: result.source, entries)
    result.topic = section.topic("topic", default: result.topic, prefix: topicPrefix)
    result.statusTopic = section.topic("replicationStatusTopic", default: result.statusTopic, prefix: topicPrefix)
    result.failedTopic = section.topic("replicationFailedTopic", default: result.failedTopic, prefix: topicPrefix)
    result.deadLetterTopic = section.topic("deadLetterTopic", default: result.deadLetterTopic, prefix: topicPrefix)
    result.replayTopics = replayTopics(section)
    result.monitorsFailures = section.bool("monitorReplicationFailures", default: result.monitorsFailures)
    result.failureExpiryS = section.int(
      "monitorReplicationFailureExpiryTimeS", in: 1...31_536_000, default: result.failureExpiryS)
    if listsInRedis, Duration.seconds(result.failureExpiryS) > FailedDesk.expiryMax {
      section.note(
        "monitorReplicationFailureExpiryTimeS", "in Redis a failure is listed for \(FailedDesk.expiryMax.components.seconds / 86_400) days at most")
    }
    result.objectSizeBounds = objectSizeBounds(section, default: result.objectSizeBounds)
    let processor = section.section("queueProcessor")
    result.queueProcessor = queueProcessor(processor)
    checkSlots(result, in: processor)
    result.statusProcessor = statusProcessor(section.section("replicationStatusProcessor"))
    section.finish(unused: ["dataMoverTopic"])
    return result
  }

  private func needsSource(_ locations: [Configuration.Location]) -> Bool {
    let isReader = !purpose.roles.isDisjoint(with: [.queueProcessor, .statusProcessor, .populator])
    return isReader && locations.contains { !$0.isDisabled && $0.type != .noop }
  }

  // MARK: Topics and lists

  private func replayTopics(_ section: Section) -> [Configuration.Replication.ReplayTopic] {
    section.sections("replayTopics").compactMap { item in
      defer { item.finish() }
      if !item.has("topicName") { item.missing("topicName") }
      if !item.has("retries") { item.missing("retries") }
      let name = item.topic("topicName", default: "", prefix: topicPrefix)
      guard let retries = item.int("retries", in: 0...1000), !name.isEmpty else { return nil }
      return .init(name: name, retries: retries)
    }
  }

  private func objectSizeBounds(_ section: Section, default standard: [Int]) -> [Int] {
    guard section.has("objectSizeMetrics") else { return standard }
    let bounds = section.items("objectSizeMetrics", wanted: "a number of bytes") { Int($0).flatMap { $0 > 0 ? $0 : nil } }
    if zip(bounds, bounds.dropFirst()).contains(where: { $0 >= $1 }) { section.error("objectSizeMetrics", "must rise") }
    return bounds
  }

  // MARK: Processors

  private func queueProcessor(_ section: Section) -> Configuration.QueueProcessor {
    var result = Configuration.QueueProcessor()
    result.groupID = section.string("groupId", default: result.groupID)
    result.concurrency = section.int("concurrency", in: 1...10_000, default: result.concurrency)
    result.waitingMax = section.int("waitingMax", in: 0...100_000, default: result.concurrency)
    result.waitingPerKeyMax = section.int("waitingPerKeyMax", in: 1...100_000, default: max(1, result.waitingMax))
    result.workerThreads = section.int("workerThreads", in: 1...WorkerPool.workersMax, default: result.workerThreads)
    result.stuckTaskS = section.int("stuckTaskS", in: 1...86_400, default: result.stuckTaskS)
    result.pauseMode = section.choice("pauseMode", Configuration.QueueProcessor.PauseMode.self) ?? result.pauseMode
    result.mpuPartsConcurrency = section.int("mpuPartsConcurrency", in: 1...1000, default: result.mpuPartsConcurrency)
    result.minMPUSizeMB = section.int("minMPUSizeMB", in: 1...5120, default: result.minMPUSizeMB)
    result.retry = retryTable(section.section("retry"))
    result.probe = section.probeServer()
    section.finish(unused: ["circuitBreaker", "sourceCheckIfSizeGreaterThanMB"])
    return result
  }

  /// Every location has its own slots, and the pool has a bound for all of them together.
  private func checkSlots(_ settings: Configuration.Replication, in section: Section) {
    let served = settings.locations.count { !$0.isDisabled }
    let each = settings.queueProcessor.concurrency + settings.queueProcessor.waitingMax
    if served * each > WorkerPool.slotsMax {
      section.error(
        "concurrency",
        "and waitingMax make \(each) entries for each of \(served) locations; all together may have \(WorkerPool.slotsMax)")
    }
  }

  private func statusProcessor(_ section: Section) -> Configuration.StatusProcessor {
    var result = Configuration.StatusProcessor()
    result.groupID = section.string("groupId", default: result.groupID)
    result.concurrency = section.int("concurrency", in: 1...10_000, default: result.concurrency)
    // Backbeat has one policy here, not one by type.
    result.retry.scality = retrySettings(section.section("retry"), default: Configuration.Retry())
    result.probe = section.probeServer()
    section.finish(unused: ["circuitBreaker"])
    return result
  }

  private func retryTable(_ section: Section) -> Configuration.RetryTable {
    var result = Configuration.RetryTable()
    result.awsS3 = retrySettings(section.section("aws_s3"), default: result.awsS3)
    result.azure = retrySettings(section.section("azure"), default: result.azure)
    result.gcp = retrySettings(section.section("gcp"), default: result.gcp)
    result.scality = retrySettings(section.section("scality"), default: result.scality)
    section.finish()
    return result
  }

  private func retrySettings(_ section: Section, default standard: Configuration.Retry) -> Configuration.Retry {
    guard section.isPresent else { return standard }
    // A section that is there has the validator's defaults, not those of the shipped cloud sections.
    var result = Configuration.Retry()
    result.maxRetries = section.int("maxRetries", in: 0...1_000_000, default: result.maxRetries)
    result.timeoutS = section.int("timeoutS", in: 0...604_800, default: result.timeoutS)
    let backoff = section.section("backoff")
    result.backoffMinMs = backoff.int("min", in: 1...86_400_000, default: result.backoffMinMs)
    result.backoffMaxMs = backoff.int("max", in: 1...86_400_000, default: result.backoffMaxMs)
    result.jitter = backoff.number("jitter", in: 0...1, default: result.jitter)
    result.factor = backoff.number("factor", in: 1...100, default: result.factor)
    if result.backoffMaxMs < result.backoffMinMs { backoff.error("max", "must not be less than min (\(result.backoffMinMs))") }
    backoff.finish()
    section.finish()
    return result
  }
}
