// librdkafka's own figures under the names Backbeat has from node-rdkafka-prometheus: all of them gauges there, with the labels
// `handle` and `type` of the instance. Of its last report, so up to `LocationPlanner.statisticsInterval` old.
internal import Pipeline

extension NodeMetrics {
  private struct Instance {
    let rows: KafkaRows
    let labels: MetricsPage.Labels

    init(_ rows: KafkaRows) {
      self.rows = rows
      labels = MetricsPage.Labels([("handle", rows.handle), ("type", rows.type)])
    }
  }

  func librdkafka(_ page: inout MetricsPage) {
    let figures = consumers.map(\.kafkaFigures) + [node.outbox.kafkaFigures]
    let instances = figures.compactMap { $0.map { Instance($0.rows) } }
    for (index, name) in KafkaRows.instanceNames.enumerated() {
      family("rdkafka_\(name)", name, &page)
      for instance in instances { show(instance.rows.instance[index], instance.labels, &page) }
    }
    for (index, name) in KafkaRows.groupNames.enumerated() {
      family("rdkafka_cgrp_\(name)", name, &page)
      for instance in instances { show(instance.rows.group[index], instance.labels, &page) }
    }
    brokers(instances, &page)
    partitions(instances, &page)
  }

  private func brokers(_ instances: [Instance], _ page: inout MetricsPage) {
    let rows = instances.flatMap { instance in
      instance.rows.brokers.map { (row: $0, labels: instance.labels.with("name", $0.name).with("nodeid", "\($0.nodeId)")) }
    }
    page.family("rdkafka_broker_state", .gauge, "0 up, 1 down, -1 between.")
    for (row, labels) in rows { page.reading(row.state, labels) }
    for (index, name) in KafkaRows.brokerNames.enumerated() {
      family("rdkafka_broker_\(name)", name, &page)
      for (row, labels) in rows { show(row.values[index], labels, &page) }
    }
    for (index, name) in KafkaRows.roundTripNames.enumerated() {
      page.family("rdkafka_broker_rtt_\(name)", .gauge, "Round trip, microseconds.")
      for (row, labels) in rows { show(row.roundTrip[index], labels, &page) }
    }
  }

  private func partitions(_ instances: [Instance], _ page: inout MetricsPage) {
    let rows = instances.flatMap { instance in
      let isProducer = instance.rows.type == "producer"
      return instance.rows.partitions.map {
        (row: $0, labels: instance.labels.with("topic", $0.topic).with("partition", $0.partition), isProducer: isProducer)
      }
    }
    for (index, name) in KafkaRows.partitionNames.enumerated() {
      family("rdkafka_topic_partition_\(name)", name, &page)
      // The other kind's is always 0.
      let isOfProducers = index >= KafkaRows.producedFrom
      for (row, labels, isProducer) in rows where isProducer == isOfProducers { show(row.values[index], labels, &page) }
    }
  }

  private func family(_ full: String, _ member: String, _ page: inout MetricsPage) {
    page.family(full, .gauge, "librdkafka's \(member), see its STATISTICS.md.")
  }

  private func show(_ value: Int64?, _ labels: MetricsPage.Labels, _ page: inout MetricsPage) {
    if let value { page.reading(value, labels) }
  }
}
