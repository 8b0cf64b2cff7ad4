// The directories a node copies from and to, opened once and shared by all workers, and the recipes made from them.
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

struct FileLocations {
  /// A quickstart is watched by a person, and what failed is tried again by the next run: give up soon.
  static let quickstartRetry = RetryPolicy(retriesMax: 2, timeout: .seconds(10), delayMin: .milliseconds(200), delayMax: .seconds(2))

  private let plan: NodePlan
  private let source: FileLocation?
  /// Where the source shows each site's status; nil for a quickstart, which never writes to its source.
  private let status: FileSourceStatus?
  private let log: Logger

  /// - Errors: a source that cannot be opened, naming it.
  init(plan: NodePlan, log: Logger) throws(NodeFailure) {
    self.plan = plan
    self.log = log
    guard case .file(let path)? = plan.configuration.replication.source else {
      source = nil
      status = nil
      return
    }
    let root = plan.tree?.sourcePath ?? path
    let layout: FileLocation.Layout = plan.tree == nil ? .source : .sameTree
    do throws(StoreError) {
      let location = try FileLocation.openSource(root, layout: layout, note: Self.note(log, root))
      source = location
      // With a status topic the status processor writes them.
      status = plan.tree != nil || plan.statusTopic != nil ? nil
        : FileSourceStatus(location: location, fallbackDirectory: "\(plan.stateDirectory)/source-status", note: Self.note(log, root))
    } catch {
      throw NodeFailure("source: \(error.message)")
    }
  }

  /// The recipe of a `file` location, and what the populator asks about its copies.
  /// - Errors: a target that cannot be used, naming it.
  func open(
    _ target: Configuration.Target.FileTarget, site: String, failedList: FailedList?
  ) throws(NodeFailure) -> (work: WorkerLocation, probe: @Sendable () throws -> any CopyProbe) {
    guard let source else { throw NodeFailure("location \(site): no source is configured (extensions.replication.source)") }
    let destination: FileLocation
    let layout: FileLocation.Layout = plan.tree != nil ? .sameTree : target.bucketMatch ? .keyOnly : .bucketThenKey
    do throws(StoreError) {
      destination = try FileLocation.openTarget(target.path, layout: layout, note: Self.note(log, target.path))
    } catch {
      throw NodeFailure("location \(site): \(error.message)")
    }
    let overwrites = plan.tree?.overwrites ?? false
    let policy = plan.tree != nil ? Self.quickstartRetry : RetryPolicy(plan.configuration.replication.queueProcessor.retry.scality)
    let allSites = plan.usesEmbeddedBroker ? plan.configuration.replication.locations.filter { !$0.isDisabled }.map(\.site) : nil
    let work = WorkerLocation(
      site: Site(site),
      kind: .replicator { [status] context in
        let from = FileSource(location: source, files: context.files, pool: context.blocks)
        let to = FileDestination(location: destination, files: context.files, pool: context.blocks)
        return StoreReplicator(
          site: site, replicator: Replicator(source: from, destination: to), policy: policy, force: overwrites,
          failedList: failedList, status: status, allSites: allSites)
      }, statusTopic: plan.statusTopic)
    return (work, { [bucket = plan.tree?.bucket ?? ""] in FileCopyProbe(location: destination, bucket: bucket) })
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
