// The failed list beside external servers, for the rest of the process: an actor on a thread of its own, with its own connection
// to Redis, its own producer and its own view of the source. Ten thousand retries asked for at once keep this thread busy, not
// the one that answers a pause.
//
// A retry (backbeat-behaviour 1.8): lock the object, look at it in the source as it is now, tell PENDING, enqueue it for its one
// site, take it off the list, unlock. A lock is atomic and ends by itself; one that could not be given back blocks nobody for
// longer than `FailedStore.lockLifeS`. What the source no longer has leaves the list and is not in the answer.
public import Logging
internal import PipelineCore
public import Reactor

public actor FailedDesk {
  public struct Settings: Sendable {
    public var redis: RedisSettings
    /// How long a failure is listed.
    public var expiry: Duration
    public var properties: KafkaProperties
    /// Where retries go: as named on the broker.
    public var statusTopic: String
    public var replicationTopic: String
    /// Topics to bring into Redis, with their groups; nil where another node does that.
    public var failedTopic: Feed?
    public var metricsTopic: Feed?
    /// The same topic, read by a group of its own for ingestion, as Backbeat does: each message is added up by one node of either.
    public var ingestionMetricsTopic: Feed?
    /// All sites of the source: their statuses are kept when one of them is retried.
    public var sites: [String]
    /// What retries are made from; nil: this node knows no source, and retries nothing.
    public var makeCatalog: (@Sendable (WorkerContext) throws(StoreError) -> any SourceCatalog)?

    public struct Feed: Sendable {
      public var topic: String
      public var group: String
      public init(topic: String, group: String) {
        self.topic = topic
        self.group = group
      }
    }

    public init(
      redis: RedisSettings, expiry: Duration, properties: KafkaProperties, statusTopic: String, replicationTopic: String,
      sites: [String]
    ) {
      self.redis = redis
      self.expiry = expiry
      self.properties = properties
      self.statusTopic = statusTopic
      self.replicationTopic = replicationTopic
      self.sites = sites
    }
  }

  /// Redis, the source or the broker cannot be asked now.
  public struct Unavailable: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
  }

  public struct Retry: Hashable, Sendable {
    public var version: FailedVersion
    public var site: String
    /// Also what is not on the list.
    public var isForced: Bool

    public init(version: FailedVersion, site: String, isForced: Bool) {
      self.version = version
      self.site = site
      self.isForced = isForced
    }
  }

  /// What was enqueued, as the source has it.
  public struct Retried: Hashable, Sendable {
    public var version: FailedVersion
    public var site: String
    public var size: Int64
    public var lastModified: String
  }

  /// `Settings.expiry` is no longer.
  public static let expiryMax = FailedStore.expiryMax
  /// Objects looked at, enqueued and settled together.
  static let batchMax = 200
  /// For one batch to be acknowledged by the broker.
  static let sendTimeMax = Duration.seconds(20)

  public nonisolated let handle: ReactorHandle
  public nonisolated var unownedExecutor: UnownedSerialExecutor { handle.executor.asUnownedSerialExecutor() }

  private var settings: Settings
  let log: Logger
  private let thread = Lock<ReactorThread?>(nil)
  private var redis: RedisCaller?
  private var failed: FailedStore?
  private var metrics: MetricStore?
  private var outbox: Outbox?
  private var drains: [TopicDrain] = []
  private(set) var catalog: (any SourceCatalog)?

  private init(handle: ReactorHandle, settings: Settings, log: Logger) {
    self.handle = handle
    self.settings = settings
    self.log = log
  }

  /// Starts the thread, and the connections on it.
  /// - Blocking: until the thread runs. - Errors: what could not be made.
  public static func start(_ settings: Settings, log: Logger) throws(Unavailable) -> FailedDesk {
    let made = Lock<Result<FailedDesk, Unavailable>?>(nil)
    let thread: ReactorThread
    do throws(Errno) {
      thread = try ReactorThread.start(name: "failed-desk") { own in
        let desk = FailedDesk(handle: own.handle, settings: settings, log: log)
        let failure = desk.assumeIsolated { $0.open() }
        made.withLock { $0 = failure.map { .failure($0) } ?? .success(desk) }
      }
    } catch {
      throw Unavailable(description: "\(error)")
    }
    switch made.withLock({ $0 }) {
    case .success(let desk)?:
      desk.thread.withLock { $0 = thread }
      return desk
    case .failure(let failure)?:
      thread.handle.stop()
      thread.join()
      throw failure
    case nil: preconditionFailure("the thread's body has run")
    }
  }

  private func open() -> Unavailable? {
    guard let reactor = Reactor.current else { preconditionFailure("opened on its own thread") }
    let redis = RedisCaller(reactor: reactor, settings: settings.redis)
    var random = SystemRandomNumberGenerator()
    let failed = FailedStore(redis: redis, expiry: settings.expiry, token: String(random.next(), radix: 16))
    let metrics = MetricStore(redis: redis)
    (self.redis, self.failed, self.metrics) = (redis, failed, metrics)
    redis.onChange = { [log] failure in
      if let failure { log.warning("failed list: Redis", metadata: ["error": "\(failure)"]) }
    }
    redis.start()
    do {
      outbox = try Outbox(reactor: reactor, configuration: ProducerConfiguration(properties: settings.properties), log: log)
      catalog = try settings.makeCatalog?(WorkerContext(reactor: reactor, mode: .automatic))
      if let feed = settings.failedTopic {
        drains.append(
          try drain(feed, reactor, redis) { failed.recordCommands($0.compactMap { FailedMessage($0) }, nowMs: WallClock.nowMs()) })
      }
      if let feed = settings.metricsTopic { drains.append(try drain(feed, of: .crr, reactor, redis, metrics)) }
      if let feed = settings.ingestionMetricsTopic { drains.append(try drain(feed, of: .ingestion, reactor, redis, metrics)) }
      return nil
    } catch {
      return Unavailable(description: "\(error)")
    }
  }

  private func drain(
    _ feed: Settings.Feed, of service: MetricsService, _ reactor: Reactor, _ redis: RedisCaller, _ metrics: MetricStore
  ) throws(KafkaError) -> TopicDrain {
    try drain(feed, reactor, redis) { payloads in
      metrics.addCommand(payloads.compactMap { MetricsMessage($0, of: service) }).map { [$0] } ?? []
    }
  }

  private func drain(
    _ feed: Settings.Feed, _ reactor: Reactor, _ redis: RedisCaller, _ commands: @escaping ([[UInt8]]) -> [[[UInt8]]]
  ) throws(KafkaError) -> TopicDrain {
    var log = log
    log[metadataKey: "topic"] = "\(feed.topic)"
    let configuration = ConsumerConfiguration(properties: settings.properties, groupId: feed.group, topic: feed.topic)
    return try TopicDrain(configuration, reactor: reactor, redis: redis, log: log, commands: commands)
  }

  /// Leaves the groups and closes the producer; what was asked and not answered is answered with an error.
  /// - Blocking: never; `stop` ends the thread.
  public func close() async {
    for drain in drains { await withCheckedContinuation { done in drain.close { done.resume() } } }
    if let outbox { await withCheckedContinuation { done in outbox.close { done.resume() } } }
    redis?.stop()
    (drains, outbox, redis, failed, metrics, catalog) = ([], nil, nil, nil, nil, nil)
  }

  /// Ends the thread. - Blocking: until its present turn is over. Not from the desk's own thread.
  public nonisolated func stop() {
    guard let running = thread.withLock({ $0.take() }) else { return }
    running.handle.stop()
    running.join()
  }

  // MARK: Asking

  private static let isClosed = Unavailable(description: "is being closed")

  public func page(of site: String, markerMs: Int64?) async throws(Unavailable) -> FailedListPage {
    guard let failed else { throw Self.isClosed }
    var page: FailedListPage
    do throws(ControlBusError) {
      page = try await failed.page(of: site, markerMs: markerMs, nowMs: WallClock.nowMs())
    } catch { throw Unavailable(error) }
    page.records = await completed(page.records).compactMap { $0 }
    return page
  }

  /// Failures of one version at any configured site.
  public func failures(of version: FailedVersion) async throws(Unavailable) -> [(site: String, record: FailedRecord)] {
    guard let failed else { throw Self.isClosed }
    var found: [(site: String, record: FailedRecord)] = []
    do throws(ControlBusError) {
      for site in settings.sites {
        if let record = try await failed.record(of: version, site: site, nowMs: WallClock.nowMs()) { found.append((site, record)) }
      }
    } catch { throw Unavailable(error) }
    return zip(found, await completed(found.map(\.record))).compactMap { item, record in record.map { (item.site, $0) } }
  }

  /// The source has other sites from now on.
  /// - Parameter ingestionMetrics: something may be ingested from now on; once that was so, it stays so.
  public func serve(_ sites: [String], ingestionMetrics: Settings.Feed?) {
    settings.sites = sites
    guard let feed = ingestionMetrics, settings.ingestionMetricsTopic == nil, let reactor = Reactor.current, let redis, let metrics else {
      return
    }
    settings.ingestionMetricsTopic = feed
    do throws(KafkaError) {
      drains.append(try drain(feed, of: .ingestion, reactor, redis, metrics))
    } catch {
      log.error("ingestion is not counted", metadata: ["topic": "\(feed.topic)", "error": "\(error)"])
    }
  }

  /// Figures of these sites together.
  public func figures(of sites: [String], service: MetricsService = .crr) async throws(Unavailable) -> SiteFigures {
    guard let failed, let metrics else { throw Self.isClosed }
    var sum = SiteFigures()
    do throws(ControlBusError) {
      for site in sites {
        var figures = try await metrics.figures(of: site, service, nowMs: WallClock.nowMs())
        if service == .crr { figures.failures = try await failed.count(of: site, nowMs: WallClock.nowMs()) }
        sum = sum + figures
      }
    } catch { throw Unavailable(error) }
    return sum
  }

  /// How far an object version is on its way to a site: what Redis was told in the last day, else all or nothing, as the source
  /// shows it; zeros where neither knows.
  public func figures(of version: FailedVersion, at site: String) async throws(Unavailable) -> ObjectFigures {
    guard let metrics else { throw Self.isClosed }
    let told: ObjectFigures
    do throws(ControlBusError) {
      told = try await metrics.figures(of: version, at: site, nowMs: WallClock.nowMs())
    } catch { throw Unavailable(error) }
    guard told.bytesTotal == 0, told.bytesDone == 0 else { return told }
    guard case .found(let object)? = await look(at: [version], sites: [site], within: Self.listLookTimeMax).first else { return told }
    let size = object.record.contentLength
    return ObjectFigures(bytesTotal: size, bytesDone: object.statuses[site] == .completed ? size : 0)
  }

  // MARK: Retrying

  /// Enqueues what can be retried and answers exactly that. What could not be told to the broker in time stays on the list.
  public func retry(_ requests: [Retry]) async throws(Unavailable) -> [Retried] {
    guard catalog != nil else { throw Unavailable(description: "no source is configured on this node") }
    var bySite: [String: [Retry]] = [:]
    for request in requests where settings.sites.contains(request.site) { bySite[request.site, default: []].append(request) }
    var retried: [Retried] = []
    for (site, wanted) in bySite.sorted(by: { $0.key < $1.key }) {
      for start in stride(from: 0, to: wanted.count, by: Self.batchMax) {
        retried += try await retry(Array(wanted[start..<min(start + Self.batchMax, wanted.count)]), at: site)
      }
    }
    return retried
  }

  private struct Candidate {
    var version: FailedVersion
    /// nil: the source does not have it any more.
    var object: SourceObject?
  }

  private func retry(_ wanted: [Retry], at site: String) async throws(Unavailable) -> [Retried] {
    guard let failed else { throw Self.isClosed }
    let claims = wanted.map { FailedStore.Claim(version: $0.version, isForced: $0.isForced) }
    let answers: [Bool]
    do throws(ControlBusError) {
      answers = try await failed.claim(claims, site: site, nowMs: WallClock.nowMs())
    } catch { throw Unavailable(error) }
    let claimed = zip(wanted, answers).filter(\.1).map(\.0.version)
    guard !claimed.isEmpty else { return [] }
    var unreadable: [FailedVersion] = []
    let candidates = await candidates(claimed, site, &unreadable)
    let present = candidates.compactMap(\.object)
    let isSent = await send(present, site)
    let bytes = present.reduce(0) { $0 + $1.record.contentLength }
    let settlements =
      candidates.map { FailedStore.Settlement(version: $0.version, leavesList: $0.object == nil || isSent) }
      + unreadable.map { FailedStore.Settlement(version: $0, leavesList: false) }
    do throws(ControlBusError) {
      try await failed.settle(
        settlements, site: site, ops: isSent ? Int64(present.count) : 0, bytes: isSent ? bytes : 0, nowMs: WallClock.nowMs())
    } catch {
      // Enqueued all the same: they stay listed until the next retry finds them there, and the locks end by themselves.
      log.warning("retried objects are still on the failed list", metadata: ["location": "\(site)", "error": "\(error)"])
    }
    guard isSent else { throw Unavailable(description: "the broker did not take the retries in time") }
    return candidates.compactMap { candidate in
      candidate.object.map {
        Retried(version: candidate.version, site: site, size: $0.record.contentLength, lastModified: $0.record.lastModified)
      }
    }
  }

  private func candidates(_ versions: [FailedVersion], _ site: String, _ unreadable: inout [FailedVersion]) async -> [Candidate] {
    var candidates: [Candidate] = []
    for (version, found) in zip(versions, await look(at: versions, sites: settings.sites, within: Self.retryLookTimeMax)) {
      switch found {
      case .found(let object): candidates.append(Candidate(version: version, object: object))
      case .gone: candidates.append(Candidate(version: version, object: nil))
      case .unknown:
        log.warning("cannot be retried, the source did not answer", metadata: ["location": "\(site)", "key": "\(version.key)"])
        unreadable.append(version)
      }
    }
    return candidates
  }

  /// PENDING first, acknowledged, then the entries: whoever copies is not to be faster than what it answers.
  private func send(_ objects: [SourceObject], _ site: String) async -> Bool {
    let entries = objects.compactMap { object -> ReplicationEntry? in
      var record = object.record
      record.sites = object.statuses.keys.filter { $0 != site }.sorted() + [site]
      guard case .replicate(let entry) = EntryDecoder.decode(EntryEncoder.populated(record).span, site: nil) else { return nil }
      return entry
    }
    let statuses = entries.map { message($0, settings.statusTopic, .status(site: site, .pending, versionId: nil)) }
    guard await acknowledged(statuses) else { return false }
    return await acknowledged(entries.map { message($0, settings.replicationTopic, .retry(site: site)) })
  }

  private func message(_ entry: ReplicationEntry, _ topic: String, _ form: EntryEncoder.Republication) -> OutgoingMessage {
    OutgoingMessage(
      topic: topic, key: EntryEncoder.messageKey(bucket: entry.bucket, key: entry.key), value: EntryEncoder.republished(entry, as: form))
  }

  private func acknowledged(_ messages: [OutgoingMessage]) async -> Bool {
    guard let outbox, let reactor = Reactor.current, outbox.hasRoom else { return false }
    guard !messages.isEmpty else { return true }
    return await withCheckedContinuation { done in
      var missing = messages.count
      var isOver = false
      var areDelivered = true
      let timer = reactor.schedule(after: Self.sendTimeMax) { _ in
        if !isOver { done.resume(returning: false) }
        isOver = true
      }
      for message in messages {
        outbox.send(message) { isDelivered in
          missing -= 1
          if !isDelivered { areDelivered = false }
          guard missing == 0, !isOver else { return }
          isOver = true
          reactor.cancel(timer)
          done.resume(returning: areDelivered)
        }
      }
    }
  }
}

extension FailedDesk.Unavailable {
  init(_ error: ControlBusError) { self.init(description: "Redis: \(error)") }
}
