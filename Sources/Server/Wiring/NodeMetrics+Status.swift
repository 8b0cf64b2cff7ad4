// What became of results: Backbeat's names of the status processor (backbeat-behaviour 1.12), and how long tasks took.
internal import Pipeline
internal import PipelineCore

extension NodeMetrics {
  func taskTimes(_ page: inout MetricsPage) {
    page.family("s3_backbeat_queue_task_processing_time_seconds", .histogram, "From a task's start to its end.")
    for location in node.locations {
      for (error, times) in [("false", location.taskTimes.ended), ("true", location.taskTimes.failed)] {
        page.histogram(
          times.counts, bounds: TaskTimes.boundsS.map { "\($0)" }, sum: Double(times.sumNs) / 1e9,
          queue(location) + [("error", error)])
      }
    }
  }

  func statusProcessor(_ page: inout MetricsPage) {
    guard let status = node.status, let processor = status.processor else { return }
    let figures = status.counters.figures
    let origin = ("origin", "replication")
    page.family("s3_replication_status_changed_total", .counter, "Statuses written to the source.")
    for (name, count) in figures.written.sorted(by: { $0.key < $1.key }) {
      page.sample(count, [origin, ("replicationStatus", name)])
    }
    page.family("s3_replication_latency_seconds", .histogram, "From a version's last change to its final status.")
    for (site, statuses) in figures.latency.sorted(by: { $0.key < $1.key }) {
      for (name, times) in statuses.sorted(by: { $0.key < $1.key }) {
        page.histogram(
          times.counts, bounds: StatusCounters.latencyBoundsS.map(String.init), sum: Double(times.sumMs) / 1e3,
          [origin, ("location", site), ("replicationStatus", name)])
      }
    }
    let replayed = figures.replayed.sorted { $0.key < $1.key }
    page.family("s3_replication_replay_objects_queued_total", .counter, "Objects sent to replay topics.")
    for (site, amount) in replayed { page.sample(amount.objects, [origin, ("location", site)]) }
    page.family("s3_replication_replay_bytes_queued_total", .counter, "Their bytes.")
    for (site, amount) in replayed { page.sample(amount.bytes, [origin, ("location", site)]) }
    page.family("downbeat_status_entries_total", .counter, "Status entries that changed nothing, by why.")
    let kinds: [(StatusCounters.Kind, String)] = [
      (.gone, "gone"), (.unchanged, "unchanged"), (.replayed, "replayed"), (.refused, "refused"),
    ]
    for (kind, name) in kinds { page.sample(figures.kinds[kind] ?? 0, [("outcome", name)]) }
    page.family("downbeat_status_in_flight", .gauge, "Status entries taken and not finished.")
    page.sample(UInt64(processor.inFlightCount), [])
  }
}
