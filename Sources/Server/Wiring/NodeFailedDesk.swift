// The failed list and the counters in Redis as the API shows them.
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

final class NodeFailedDesk: FailedListProvider, LocationMetricsProvider {
  private let desk: FailedDesk
  private let reactor: ReactorHandle
  private let log: Logger

  init(_ desk: FailedDesk, reactor: ReactorHandle, log: Logger) {
    self.desk = desk
    self.reactor = reactor
    self.log = log
  }

  func page(of location: String, marker: Int64?, _ reply: @escaping (FailedPage?) -> Void) {
    answer(reply) { desk in
      let page = try await desk.page(of: location, markerMs: marker)
      return FailedPage(items: page.records.map { FailedItem($0, location: location) }, nextMarker: page.nextMarkerMs)
    }
  }

  func failures(of object: ObjectVersionName, _ reply: @escaping ([FailedItem]?) -> Void) {
    let version = FailedVersion(object)
    answer(reply) { desk in try await desk.failures(of: version).map { FailedItem($0.record, location: $0.site) } }
  }

  func retry(_ requests: [RetryRequest], _ reply: @escaping ([FailedItem]?) -> Void) {
    let wanted = requests.map {
      FailedDesk.Retry(version: FailedVersion($0.object), site: $0.location, isForced: $0.isForced)
    }
    answer(reply) { desk in
      try await desk.retry(wanted).map {
        FailedItem(
          object: ObjectVersionName($0.version), location: $0.site, size: $0.size, lastModified: $0.lastModified)
      }
    }
  }

  func metrics(of locations: [LocationKey], _ reply: @escaping (LocationMetrics?) -> Void) {
    let (crr, ingestion) = (locations.filter { $0.service == .crr }, locations.filter { $0.service == .ingestion })
    answer(reply) { desk in
      let replicated = try await desk.figures(of: crr.map(\.location))
      let ingested = try await desk.figures(of: ingestion.map(\.location), service: .ingestion)
      return LocationMetrics(replicated + ingested)
    }
  }

  func metrics(of object: ObjectVersionName, at location: LocationKey, _ reply: @escaping (ObjectMetrics?) -> Void) {
    let version = FailedVersion(object)
    let site = location.location
    answer(reply) { desk in ObjectMetrics(try await desk.figures(of: version, at: site)) }
  }

  private func answer<Value: Sendable>(
    _ reply: @escaping (Value?) -> Void, _ question: @escaping @Sendable (FailedDesk) async throws -> Value
  ) {
    let box = ReplyBox(reply)
    Task.detached(executorPreference: reactor.executor) { [desk, log] in
      do {
        let value = try await question(desk)
        box.reply(value)
      } catch {
        log.warning("failed list", metadata: ["error": "\(error)"])
        box.reply(nil)
      }
    }
  }
}

extension FailedVersion {
  init(_ object: ObjectVersionName) {
    self.init(bucket: object.bucket, key: object.key, versionId: object.versionId ?? "")
  }
}

extension ObjectVersionName {
  init(_ version: FailedVersion) {
    self.init(bucket: version.bucket, key: version.key, versionId: version.versionId.isEmpty ? nil : version.versionId)
  }
}

extension ObjectMetrics {
  init(_ figures: ObjectFigures) {
    self.init(bytesTotal: figures.bytesTotal, bytesDone: figures.bytesDone, bytesPerSecond: figures.bytesRate)
  }
}

extension LocationMetrics {
  init(_ figures: SiteFigures) {
    self.init(
      pending: Amount(count: figures.pendingOps, bytes: figures.pendingBytes),
      completions: Amount(count: figures.doneOps, bytes: figures.doneBytes), failures: figures.failures,
      operationsPerSecond: figures.opsRate, bytesPerSecond: figures.bytesRate)
  }
}
