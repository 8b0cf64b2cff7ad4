// The places a node copies from and to, opened once and shared by all workers, and the recipes made from them: any kind of
// source with any kind of target.
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

struct StoreLocations {
  /// A quickstart is watched by a person, and what failed is tried again by the next run: give up soon.
  static let quickstartRetry = RetryPolicy(retriesMax: 2, timeout: .seconds(10), delayMin: .milliseconds(200), delayMax: .seconds(2))

  /// May change, except for the source.
  var plan: NodePlan
  private let source: SourcePlace?
  /// Where the source shows each site's status; nil for a quickstart, which never writes to its source.
  private let status: FileSourceStatus?
  private let transfers: any TransferWatcher
  private let log: Logger

  private enum SourcePlace: Sendable {
    case file(FileLocation)
    case s3(S3Settings)
  }

  /// A location ready to be consumed for.
  struct Opened {
    let work: WorkerLocation
    /// What the populator asks about its copies; nil where nothing is enqueued here.
    let probe: (@Sendable () throws -> any CopyProbe)?
    /// Nil where the target is no service that may be away.
    var breaker: LocationBreaker?
  }

  /// - Parameter transfers: is told how far each copy is.
  /// - Errors: a source that cannot be opened, naming it.
  init(plan: NodePlan, transfers: any TransferWatcher, log: Logger) throws(NodeFailure) {
    self.plan = plan
    self.transfers = transfers
    self.log = log
    switch plan.configuration.replication.source {
    case .s3(let endpoint)?:
      source = .s3(S3Settings(endpoint))
      status = nil
    case .file(let path)?:
      let root = plan.tree?.sourcePath ?? path
      let layout: FileLocation.Layout = plan.tree == nil ? .source : .sameTree
      do throws(StoreError) {
        let location = try FileLocation.openSource(root, layout: layout, note: Self.note(log, root))
        source = .file(location)
        // With a status topic the status processor writes them.
        status =
          plan.tree != nil || plan.statusTopic != nil
          ? nil
          : FileSourceStatus(location: location, fallbackDirectory: "\(plan.stateDirectory)/source-status", note: Self.note(log, root))
      } catch {
        throw NodeFailure("source: \(error.message)", isConfiguration: true)
      }
    case .cloudserver?, nil:
      source = nil
      status = nil
    }
  }

  /// - Errors: a target that cannot be used, naming it.
  func open(
    _ target: Configuration.Target.FileTarget, site: String, failedList: FailedList?
  ) throws(NodeFailure) -> Opened {
    let destination: FileLocation
    let layout: FileLocation.Layout = plan.tree != nil ? .sameTree : target.bucketMatch ? .keyOnly : .bucketThenKey
    do throws(StoreError) {
      destination = try FileLocation.openTarget(target.path, layout: layout, note: Self.note(log, target.path))
    } catch {
      throw NodeFailure("location \(site): \(error.message)", isConfiguration: true)
    }
    let policy = plan.tree != nil ? Self.quickstartRetry : retry(.file)
    let work = try work(site, failedList, policy, breaker: nil) { context in
      FileDestination(location: destination, files: context.files, pool: context.blocks)
    }
    let probe = probe(site) { [bucket = plan.tree?.bucket ?? ""] in FileCopyProbe(location: destination, bucket: bucket) }
    return Opened(work: work, probe: probe)
  }

  func open(_ target: Configuration.Target.S3Target, site: String, failedList: FailedList?) throws(NodeFailure) -> Opened {
    let settings = S3Settings(target.endpoint)
    let queue = plan.configuration.replication.queueProcessor
    var placement = S3Placement(bucket: target.bucket, bucketMatch: target.bucketMatch, storageClass: target.storageClass)
    placement.multipartBytesMin = Int64(queue.minMPUSizeMB) * 1_000_000
    placement.partsConcurrency = queue.mpuPartsConcurrency
    let breaker = LocationBreaker(CircuitBreaker.Settings(concurrency: queue.concurrency))
    let work = try work(site, failedList, retry(.s3), breaker: breaker) { [placement] context in
      S3Destination(client: S3Client(settings: settings, side: .target, transport: context.transport), placement: placement)
    }
    return Opened(work: work, probe: probe(site, nil), breaker: breaker)
  }

  /// - Parameter copies: nil for a target that cannot be looked at cheaply.
  private func probe(_ site: String, _ copies: (@Sendable () -> FileCopyProbe)?) -> (@Sendable () throws -> any CopyProbe)? {
    guard let status else { return copies }
    return { RecordedCopies(site: site, statuses: status, copies: copies?()) }
  }

  private func retry(_ type: LocationType) -> RetryPolicy {
    RetryPolicy(plan.configuration.replication.queueProcessor.retry.settings(for: type))
  }

  private func work(
    _ site: String, _ failedList: FailedList?, _ policy: RetryPolicy, breaker: LocationBreaker?,
    _ makeDestination: @escaping @Sendable (WorkerContext) -> any ObjectDestination
  ) throws(NodeFailure) -> WorkerLocation {
    guard let source else { throw NodeFailure("location \(site): no source is configured (extensions.replication.source)") }
    let overwrites = plan.tree?.overwrites ?? false
    let allSites = plan.usesEmbeddedBroker ? plan.configuration.replication.locations.filter { !$0.isDisabled }.map(\.site) : nil
    return WorkerLocation(
      site: Site(site),
      kind: .replicator { [status, transfers] context in
        let from: any ObjectSource =
          switch source {
          case .file(let location): FileSource(location: location, files: context.files, pool: context.blocks)
          case .s3(let settings): S3Source(client: S3Client(settings: settings, side: .source, transport: context.transport))
          }
        return StoreReplicator(
          site: site, replicator: Replicator(source: from, destination: makeDestination(context)), policy: policy, force: overwrites,
          failedList: failedList, status: status, allSites: allSites, breaker: breaker, transfers: transfers)
      }, statusTopic: plan.statusTopic)
  }

  private static func note(_ log: Logger, _ path: String) -> @Sendable (String) -> Void {
    { log.warning("directory", metadata: ["path": "\(path)", "note": "\($0)"]) }
  }
}

extension RetryPolicy {
  init(_ settings: Configuration.Retry) {
    self.init(
      retriesMax: settings.maxRetries, timeout: .seconds(settings.timeoutS), delayMin: .milliseconds(settings.backoffMinMs),
      delayMax: .milliseconds(settings.backoffMaxMs), jitter: settings.jitter, factor: settings.factor)
  }
}

extension S3Settings {
  init(_ endpoint: Configuration.S3Endpoint) {
    self.init(
      endpoints: [endpoint.url] + endpoint.furtherURLs, region: endpoint.region, pathStyle: endpoint.pathStyle,
      credentials: S3Credentials(
        accessKey: endpoint.credentials.accessKey, secretKey: endpoint.credentials.secretKey.reveal(),
        sessionToken: endpoint.credentials.sessionToken?.reveal()),
      caFile: endpoint.caFile)
  }
}
