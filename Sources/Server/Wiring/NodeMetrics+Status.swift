// What became of results: Backbeat's names of the status processor (backbeat-behaviour 1.12).
internal import Pipeline
internal import PipelineCore

extension NodeMetrics {
  func statusProcessor(_ page: inout MetricsPage) {
    guard let status = node.status, let processor = status.processor else { return }
    let figures = status.counters.figures
    page.family("s3_replication_status_changed_total", .counter, "Statuses written to the source.")
    for (name, count) in figures.written.sorted(by: { $0.key < $1.key }) {
      page.sample(count, [Self.origin, ("replicationStatus", name)])
    }
    times(figures, &page)
    let sizes = MetricsPage.Bounds(status.counters.sizeBounds)
    let queued = figures.replayed.sorted { $0.key < $1.key }
    page.family("s3_replication_replay_attempts_total", .counter, "Replays begun.")
    for (entries, objects) in queued { page.sample(objects.count, Self.labels(entries)) }
    replays("queued", "sent to replay topics", queued, sizes, &page)
    let completed = figures.replaysCompleted.sorted { $0.key < $1.key }
    page.family("s3_replication_replay_success_total", .counter, "Replayed objects that were COMPLETED.")
    for (entries, objects) in completed where entries.status == ReplicationStatus.completed.rawValue {
      var withoutStatus = entries
      withoutStatus.status = nil
      page.sample(objects.count, Self.labels(withoutStatus))
    }
    replays("completed", "that came to their end after a replay", completed, sizes, &page)
    page.family("s3_replication_replay_count", .histogram, "Replays it took until an object was COMPLETED.")
    let counts = MetricsPage.Bounds(status.counters.replayBounds)
    for (site, histogram) in figures.replayCounts.sorted(by: { $0.key < $1.key }) {
      page.histogram(histogram, counts, MetricsPage.Labels([Self.origin, ("location", site)]))
    }
    own(figures, processor, &page)
  }

  private func times(_ figures: StatusCounters.Figures, _ page: inout MetricsPage) {
    page.family("s3_replication_status_process_duration_seconds", .histogram, "From taking a status entry to its end.")
    let durations = MetricsPage.Bounds(StatusCounters.durationBounds, unit: 1_000)
    for (kind, times) in figures.durations.sorted(by: { $0.key < $1.key }) {
      page.histogram(
        times, durations, MetricsPage.Labels([Self.origin, ("result", kind.result), ("replicationStatus", kind.status)]))
    }
    page.family("s3_replication_latency_seconds", .histogram, "From a version's last change to its final status.")
    let latencies = MetricsPage.Bounds(StatusCounters.latencyBounds, unit: 1_000)
    for (entries, times) in figures.latency.sorted(by: { $0.key < $1.key }) { page.histogram(times, latencies, Self.labels(entries)) }
  }

  private func replays(
    _ word: String, _ help: String, _ rows: [(key: StatusCounters.Entries, value: StatusCounters.Objects)], _ sizes: MetricsPage.Bounds,
    _ page: inout MetricsPage
  ) {
    page.family("s3_replication_replay_objects_\(word)_total", .counter, "Objects \(help).")
    for (entries, objects) in rows { page.sample(objects.count, Self.labels(entries)) }
    page.family("s3_replication_replay_bytes_\(word)_total", .counter, "Their bytes.")
    for (entries, objects) in rows { page.sample(objects.bytes, Self.labels(entries)) }
    page.family("s3_replication_replay_file_sizes_\(word)", .histogram, "Their sizes, bytes.")
    for (entries, objects) in rows { page.histogram(objects.sizes, sizes, Self.labels(entries)) }
  }

  /// Without a status for what has none; an empty `replayCount` is that of an object that was never replayed.
  private static func labels(_ entries: StatusCounters.Entries) -> MetricsPage.Labels {
    let labels = MetricsPage.Labels([
      origin, ("location", entries.site), ("replayCount", entries.replayCount.map(String.init) ?? ""),
    ])
    return entries.status.map { labels.with("replicationStatus", $0) } ?? labels
  }

  private func own(_ figures: StatusCounters.Figures, _ processor: LocationController, _ page: inout MetricsPage) {
    page.family("downbeat_status_entries_total", .counter, "Status entries that changed nothing, by why.")
    let kinds: [(StatusCounters.Kind, String)] = [
      (.gone, "gone"), (.unchanged, "unchanged"), (.replayed, "replayed"), (.refused, "refused"),
    ]
    for (kind, name) in kinds { page.sample(figures.kinds[kind] ?? 0, [("outcome", name)]) }
    page.family("downbeat_status_in_flight", .gauge, "Status entries taken and not finished.")
    page.sample(UInt64(processor.inFlightCount), [])
  }
}
