// Prometheus text of a node: Backbeat's names where it has the figure (backbeat-behaviour 1.12), our own with the prefix
// `downbeat_`. Rendered when asked for; nothing is kept but how long it was.
internal import Pipeline
internal import PipelineCore
internal import Reactor

final class NodeMetrics: PrometheusProvider {
  unowned let node: ReplicationNode

  /// Bytes of the last page: the next is about as long.
  private var lastCount = 0

  init(node: ReplicationNode) { self.node = node }

  func render(_ families: Set<String>, into text: inout [UInt8]) {
    var page = MetricsPage(families, byteCount: families.isEmpty ? lastCount : 0)
    // Whoever asks for one family, perhaps many times a second, does not wait for what others are made of (descriptors, histograms).
    if page.shows(anyOf: "s3_replication_") {
      replication(&page)
      populator(&page)
    }
    if page.shows(anyOf: "downbeat_entries_") { entries(&page) }
    if page.shows(anyOf: "downbeat_gap_") { gaps(&page) }
    if page.shows(anyOf: "downbeat_in_flight", "downbeat_location_state", "downbeat_assigned_") { gauges(&page) }
    if page.shows(anyOf: "s3_backbeat_queue_") { queues(&page) }
    if page.shows(anyOf: "s3_circuit_breaker") { breakers(&page) }
    if page.shows(anyOf: "downbeat_fetch_", "downbeat_kafka_") { kafka(&page) }
    if page.shows(anyOf: "rdkafka_") { librdkafka(&page) }
    if page.shows(anyOf: "s3_replication_", "downbeat_status_") { statusProcessor(&page) }
    if page.shows(anyOf: "downbeat_state_store_", "downbeat_control_", "downbeat_location_nodes", "downbeat_schedules_") { controlPlane(&page) }
    if page.shows(anyOf: "downbeat_reactor_", "downbeat_outbox_") { reactor(&page) }
    if page.shows(anyOf: "process_") { process(&page) }
    if families.isEmpty { lastCount = page.bytes.count }
    // Megabytes, where there are a thousand partitions.
    if text.isEmpty { text = page.bytes } else { text += page.bytes }
  }

  private func entries(_ page: inout MetricsPage) {
    page.family("downbeat_entries_total", .counter, "Entries by what became of them.")
    for location in node.locations {
      let counters = location.counters
      let rows: [(String, UInt64)] = [
        ("taken", counters.taken), ("done", counters.done), ("already_there", counters.alreadyThere), ("skipped", counters.skipped),
        ("failed", counters.failed), ("dead_letter", counters.deadLettered), ("abandoned", counters.abandoned),
        ("gap", counters.gapEntries),
      ]
      for (outcome, count) in rows { page.sample(count, [("location", location.site), ("outcome", outcome)]) }
    }
  }

  private func gauges(_ page: inout MetricsPage) {
    page.family("downbeat_in_flight", .gauge, "Entries taken and not finished.")
    for location in node.locations { page.sample(UInt64(location.inFlightCount), [("location", location.site)]) }
    page.family("downbeat_location_state", .gauge, "1 for the effective state of the location on this node.")
    for location in node.locations {
      for state in PipelineCore.EffectiveState.allCases {
        page.sample(location.effective == state ? 1 : 0, [("location", location.site), ("state", state.rawValue)])
      }
    }
    page.family("downbeat_assigned_partitions", .gauge, "Partitions this node consumes.")
    for location in node.locations { page.sample(UInt64(location.partitions.count), [("location", location.site)]) }
  }

  /// What our consumers counted, and librdkafka's own figures.
  private func kafka(_ page: inout MetricsPage) {
    page.family("downbeat_fetch_stalled", .gauge, "1: owns partitions with a backlog and is given nothing.")
    for location in node.locations { page.sample(location.isFetchStalled ? 1 : 0, [("location", location.site)]) }
    let figures: [(name: String, MetricsPage.Kind, help: String, (KafkaFigures) -> Int64)] = [
      ("downbeat_kafka_requests_total", .counter, "Requests sent by the location's consumer.", \.requestsSent),
      ("downbeat_kafka_received_bytes_total", .counter, "Bytes it received.", \.bytesReceived),
      ("downbeat_kafka_received_messages_total", .counter, "Messages it received.", \.messagesReceived),
      ("downbeat_kafka_prefetched_messages", .gauge, "Messages fetched and not taken.", \.prefetchedMessages),
      ("downbeat_kafka_prefetched_bytes", .gauge, "Their bytes.", \.prefetchedBytes),
      ("downbeat_kafka_lag", .gauge, "Messages behind the end, of the partitions owned.", \.lag),
      ("downbeat_kafka_rebalances_total", .counter, "Rebalances of the group, as librdkafka counts them.", \.rebalances),
      ("downbeat_kafka_brokers_up", .gauge, "Brokers connected.", { Int64($0.brokersUp) }),
    ]
    for (name, kind, help, value) in figures {
      page.family(name, kind, help)
      for location in node.locations {
        guard let kafka = location.kafkaFigures else { continue }
        page.sample(UInt64(max(0, value(kafka))), [("location", location.site)])
      }
    }
    page.family("downbeat_kafka_round_trip_p99_seconds", .gauge, "Round trip to the slowest broker.")
    for location in node.locations {
      guard let kafka = location.kafkaFigures else { continue }
      page.reading(Double(kafka.roundTripP99Us) / 1e6, [("location", location.site)])
    }
  }

  private func controlPlane(_ page: inout MetricsPage) {
    let coordinator = node.coordinator!
    page.family("downbeat_state_store_up", .gauge, "1 while the state store is connected.")
    page.sample(coordinator.storeConnection.isConnected ? 1 : 0, [])
    page.family("downbeat_control_bus_up", .gauge, "1 while messages of other nodes are heard.")
    page.sample(coordinator.busState == .ready ? 1 : 0, [])
    page.family("downbeat_location_nodes", .gauge, "Live nodes that run the location, by their reports.")
    for location in node.locations {
      let overview = coordinator.overview(of: LocationKey(.crr, location.site))
      page.sample(UInt64(overview?.nodes.count ?? 0), [("location", location.site)])
    }
    let statistics = coordinator.statistics
    page.family("downbeat_control_messages_total", .counter, "Control messages heard, by kind.")
    for (kind, count) in [
      ("wake-up", statistics.messagesWaking), ("command", statistics.messagesForeign), ("malformed", statistics.messagesMalformed),
    ] { page.sample(UInt64(count), [("kind", kind)]) }
    page.family("downbeat_control_publish_failures_total", .counter, "Control messages that could not be published.")
    page.sample(UInt64(statistics.publishFailures), [])
    page.family("downbeat_schedules_fired_total", .counter, "Scheduled resumes that this node carried out.")
    page.sample(UInt64(statistics.schedulesFired), [])
  }

  private func reactor(_ page: inout MetricsPage) {
    let statistics = node.reactor.statistics
    page.family("downbeat_reactor_ticks_total", .counter, "Turns of the event loop.")
    page.sample(statistics.ticks, [])
    page.family("downbeat_reactor_stale_events_total", .counter, "Events that arrived for a closed registration.")
    page.sample(statistics.staleEvents, [])
    page.family("downbeat_reactor_busy_seconds_max", .gauge, "Longest turn of the event loop.")
    page.reading(Double(statistics.busyNsMax) / 1e9, [])
    page.family("downbeat_outbox_messages", .gauge, "Dead letters and statuses not acknowledged yet.")
    page.sample(UInt64(node.outbox.count), [])
    page.family("downbeat_outbox_undeliverable_total", .counter, "Those too large for the broker, named in the log and given up.")
    page.sample(node.outbox.undeliverableCount, [])
  }
}
