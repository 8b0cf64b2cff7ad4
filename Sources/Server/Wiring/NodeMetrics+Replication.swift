// What became of copies: Backbeat's names of the queue processor and of the queue populator (backbeat-behaviour 1.12). Its replay
// processor is a service of its own there, so what is copied from replay topics is counted apart.
//
// Deliberately not here: what a raft log or a MongoDB oplog would be asked for (`s3_replication_read_offset` and its like); the
// populator of this build lists a directory.
internal import Pipeline
internal import PipelineCore

extension NodeMetrics {
  static let origin = ("origin", "replication")

  private struct Service {
    let site: String
    let figures: CopyFigures.Figures
    let labels: MetricsPage.Labels

    init(_ name: String, _ site: String, _ figures: CopyFigures.Figures) {
      self.site = site
      self.figures = figures
      labels = MetricsPage.Labels([NodeMetrics.origin, ("serviceName", name), ("location", site)])
    }
  }

  /// By location.
  private var services: [[Service]] {
    node.locations.map { location in
      var services = [Service("ReplicationQueueProcessor", location.site, location.options.work.figures.figures)]
      // Its replay consumers share one.
      if let replay = node.status.replays[location.site]?.first {
        services.append(Service("ReplicationReplayProcessor", location.site, replay.options.work.figures.figures))
      }
      return services
    }
  }

  func replication(_ page: inout MetricsPage) {
    let byLocation = services
    statuses("s3_replication_data_status_changed_total", "Entries with data that ended, by status.", byLocation, \.data, &page)
    statuses("s3_replication_metadata_status_changed_total", "Entries that ended, by status.", byLocation, \.metadata, &page)
    let all = byLocation.flatMap { $0 }
    let counters: [(name: String, help: String, (CopyFigures.Figures) -> UInt64)] = [
      ("s3_replication_data_bytes_total", "Bytes of content written to targets.", \.dataWrites.bytes),
      ("s3_replication_metadata_bytes_total", "Names and values of metadata and tags written without content.", \.metadataWrites.bytes),
      ("s3_replication_source_data_bytes_total", "Bytes of content read from the source.", \.reads.bytes),
      ("s3_replication_data_read_total", "Reads of the source that reached their end: of an object, or of a part of it.", \.reads.count),
    ]
    for (name, help, value) in counters {
      page.family(name, .counter, help)
      for service in all { page.sample(value(service.figures), service.labels) }
    }
    page.family("s3_replication_data_write_total", .counter, "Writes to targets: of an object, or of what belongs to it alone.")
    for service in all {
      page.sample(service.figures.dataWrites.count, service.labels.with("replicationContent", "data"))
      page.sample(service.figures.metadataWrites.count, service.labels.with("replicationContent", "metadata"))
    }
    page.family("s3_replication_stage_time_elapsed", .histogram, "Time of reads and writes, milliseconds.")
    let stageBounds = MetricsPage.Bounds(CopyFigures.stageBounds)
    for service in all {
      let stages = [
        ("ReplicationSourceDataRead", service.figures.reads), ("ReplicationDestinationDataWrite", service.figures.dataWrites),
        ("ReplicationDestinationMetadataWrite", service.figures.metadataWrites),
      ]
      for (stage, transfers) in stages where transfers.count > 0 {
        page.histogram(transfers.times, stageBounds, service.labels.with("replicationStage", stage))
      }
    }
    page.family("s3_replication_rpo_seconds", .histogram, "From a version's last change to the beginning of its copy.")
    let ageBounds = MetricsPage.Bounds(CopyFigures.ageBounds, unit: 1_000)
    for service in all where !service.figures.ages.isEmpty { page.histogram(service.figures.ages, ageBounds, service.labels) }
  }

  private func statuses(
    _ name: String, _ help: String, _ byLocation: [[Service]], _ part: (CopyFigures.Figures) -> CopyFigures.Endings,
    _ page: inout MetricsPage
  ) {
    page.family(name, .counter, help)
    for services in byLocation {
      let endings = services.dropFirst().reduce(part(services[0].figures)) { $0 + part($1.figures) }
      let labels = MetricsPage.Labels([Self.origin, ("location", services[0].site)])
      page.sample(endings.completed, labels.with("replicationStatus", "COMPLETED"))
      page.sample(endings.failed, labels.with("replicationStatus", "FAILED"))
    }
  }

  /// The embedded populator: it lists a directory for each location, so that is its log.
  func populator(_ page: inout MetricsPage) {
    let feeds = node.served.feeds
    let rows = node.locations.compactMap { location in
      feeds.status(of: location.site).map { status in
        (
          status: status, published: feeds.published(for: location.site) ?? PublishCounters(),
          labels: MetricsPage.Labels([Self.origin, ("logName", "directory"), ("logId", location.site)])
        )
      }
    }
    page.family("s3_replication_populator_messages_total", .counter, "Entries the broker took of the populator, or did not.")
    for row in rows {
      page.sample(row.published.succeeded, row.labels.with("publishStatus", "SUCCESS"))
      page.sample(row.published.failed, row.labels.with("publishStatus", "FAILURE"))
    }
    page.family("s3_replication_populator_objects_total", .counter, "Objects enqueued.")
    for row in rows { page.sample(UInt64(max(0, row.status.enqueuedObjects + row.status.enqueuedDeletes)), row.labels) }
    page.family("s3_replication_populator_bytes_total", .counter, "Their bytes.")
    for row in rows { page.sample(UInt64(max(0, row.status.enqueuedBytes)), row.labels) }
  }
}
