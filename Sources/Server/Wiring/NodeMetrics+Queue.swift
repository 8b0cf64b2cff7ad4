// Backbeat's names for what a process does with Kafka (backbeat-behaviour 1.12), of every consumer of this node and of its
// producers: locations, their replays, the status processor, the populator. What librdkafka says itself is in +Kafka.
internal import Pipeline
internal import PipelineCore
internal import Reactor

extension NodeMetrics {
  /// Every consumer of this node.
  var consumers: [LocationController] {
    let replays = node.locations.flatMap { node.status.replays[$0.site] ?? [] }
    return node.locations + replays + (node.status.processor.map { [$0] } ?? [])
  }

  private static func queue(_ consumer: LocationController) -> MetricsPage.Labels {
    MetricsPage.Labels([("topic", consumer.options.consumer.topic), ("group", consumer.options.consumer.groupId)])
  }

  func queues(_ page: inout MetricsPage) {
    let consumers = consumers.map { (consumer: $0, labels: Self.queue($0)) }
    // What is kept is monotonic, what is shown is not.
    let offsetMs = WallClock.nowMs() - Instant.nowUncached().ns / 1_000_000
    published(offsetMs, &page)
    page.family("s3_backbeat_queue_latest_consumed_message_timestamp", .gauge, "When the newest message taken was produced, Unix seconds.")
    for (consumer, labels) in consumers {
      consumer.partitionFigures.visit { partition, figures in
        guard let ms = figures.messageTimestampMs else { return }
        page.seconds(ms: ms, labels, "partition", UInt64(partition))
      }
    }
    page.family("s3_backbeat_queue_latest_consume_event_timestamp", .gauge, "When a message was last taken, Unix seconds.")
    for (consumer, labels) in consumers {
      consumer.partitionFigures.visit { partition, figures in
        page.seconds(ms: offsetMs + figures.takenAt.ns / 1_000_000, labels, "partition", UInt64(partition))
      }
    }
    page.family("s3_backbeat_queue_rebalance_total", .counter, "Revocations, by how they ended.")
    for (consumer, labels) in consumers {
      let revokes = consumer.revokes
      let rows = [("idle", revokes.idle), ("drained", revokes.drained), ("timeout", revokes.timedOut), ("lost", revokes.lost)]
      for (status, count) in rows { page.sample(count, labels.with("status", status)) }
    }
    page.family("s3_backbeat_queue_slowTasks_count", .gauge, "Tasks that run longer than stuckTaskS.")
    for (consumer, labels) in consumers {
      let stuck = Dictionary(grouping: consumer.stuckTasks, by: \.partition)
      for partition in consumer.partitions {
        let count = stuck.isEmpty ? 0 : stuck[partition]?.count ?? 0
        page.sample(UInt64(count), labels, "partition", UInt64(partition.value))
      }
    }
    page.family("s3_backbeat_queue_task_processing_time_seconds", .histogram, "From a task's start to its end.")
    let bounds = MetricsPage.Bounds(TaskTimes.bounds, unit: 1_000_000_000)
    for (consumer, labels) in consumers {
      consumer.partitionFigures.visit { partition, figures in
        for (error, times) in [("false", figures.times.ended), ("true", figures.times.failed)] where !times.isEmpty {
          page.histogram(times, bounds, labels.with("partition", UInt64(partition)).with("error", error))
        }
      }
    }
  }

  private func published(_ offsetMs: Int64, _ page: inout MetricsPage) {
    let all = [node.outbox.deliveries] + node.served.feeds.feeds.map(\.deliveries)
    page.family("s3_backbeat_queue_latest_published_message_timestamp", .gauge, "When a partition last took a message of this node, Unix seconds.")
    for topic in all.flatMap(\.topics) {
      let labels = MetricsPage.Labels([("topic", topic.name)])
      for (partition, latest) in topic.latest.enumerated() {
        guard let latest else { continue }
        page.seconds(ms: offsetMs + latest.ns / 1_000_000, labels, "partition", UInt64(partition))
      }
    }
    page.family("s3_backbeat_queue_delivery_reports_total", .counter, "Answers of the brokers to messages of this node.")
    page.sample(all.reduce(0) { $0 + $1.succeeded }, [("status", "success")])
    page.sample(all.reduce(0) { $0 + $1.failed }, [("status", "error")])
  }

  func breakers(_ page: inout MetricsPage) {
    page.family("s3_circuit_breaker", .gauge, "A location's breaker (type): 0 closed, 1 half open, 2 open.")
    for location in node.locations {
      guard let view = node.served.breakers[location.site]?.view else { continue }
      let state: UInt64 =
        switch view.state {
        case .closed: 0
        case .halfOpen: 1
        case .open: 2
        }
      page.sample(state, [("type", location.site)])
    }
    page.family("s3_circuit_breaker_errors_count", .counter, "Attempts that failed as a target as a whole did.")
    page.sample(node.served.breakerErrors, [])
  }

  /// Entries lost before they could be read: how many in all, and which.
  func gaps(_ page: inout MetricsPage) {
    page.family("downbeat_gap_entries", .gauge, "Entries gone from the log before they were read, since the start.")
    for consumer in consumers {
      page.sample(consumer.counters.gapEntries, [("location", consumer.site), ("topic", consumer.options.consumer.topic)])
    }
    page.family("downbeat_gap_range_entries", .gauge, "The newest ranges of offsets that could not be read, and the entries of each.")
    for consumer in consumers {
      let labels = MetricsPage.Labels([("location", consumer.site), ("topic", consumer.options.consumer.topic)])
      var seen: Set<OffsetGap> = []
      for gap in consumer.gaps where seen.insert(gap).inserted {
        let entries = UInt64(max(0, gap.end.value - gap.start.value))
        page.sample(
          entries,
          labels.with("partition", UInt64(gap.partition.value)).with("start", "\(gap.start)").with("end", "\(gap.end)")
            .with("cause", "\(gap.cause)"))
      }
    }
  }
}
