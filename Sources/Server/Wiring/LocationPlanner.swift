// From a configured location to what its controller and its workers need.
internal import Pipeline
internal import PipelineCore
internal import Reactor

struct LocationPlanner {
  /// Partitions of a location's own topic in the embedded broker: one consumer takes them all, so one is enough.
  static let embeddedPartitions = 1
  /// Of librdkafka, for each location: what is fetched and not yet taken. Divided among the locations, so that a
  /// hundred of them stay within the memory of one.
  static let queuedKiBMax = 16_384
  static let queuedKiBMin = 1_024
  static let queuedMessagesMax = 100_000
  /// Status entries waiting for each that is being worked on: they are small, and most wait for a broker only.
  static let statusWaitingFactor = 10

  /// Of librdkafka's statistics, which metrics show: about 1 KB of text for each partition every time.
  static let statisticsInterval = Duration.seconds(15)

  let plan: NodePlan
  let bootstrapServers: String

  /// - Parameter topic: of a replay, as named on the broker; nil: the location's own.
  func options(for site: String, work: WorkerLocation, topic: String? = nil) throws(NodeFailure) -> LocationOptions {
    let settings = plan.configuration.replication.queueProcessor
    var options = LocationOptions(
      site: site,
      limits: KeyedScheduler.Limits(
        concurrency: settings.concurrency, waitingMax: settings.waitingMax, keyWaitingMax: settings.waitingPerKeyMax),
      pauseMode: plan.usesEmbeddedBroker || settings.pauseMode == .hold ? .hold : .unsubscribe,
      consumer: try consumer(settings.group(site: site), topic ?? plan.topic(of: site)), work: work,
      deadLetterTopic: plan.deadLetterTopic)
    options.stuckAfter = .seconds(settings.stuckTaskS)
    if plan.usesEmbeddedBroker { options.commitInterval = .milliseconds(100) }
    return options
  }

  static func noop(_ target: Configuration.Target.NoopTarget, site: String) -> WorkerLocation {
    guard !target.isPlain else { return WorkerLocation(site: Site(site), kind: .noop) }
    let settings = DrillSettings(taskTime: .milliseconds(target.taskMs), tracePath: target.traceFile)
    return WorkerLocation(
      site: Site(site),
      kind: .replicator { (_) throws(WorkerLocationError) -> any EntryReplicator in try DrillReplicator(settings) })
  }

  /// The status processor's.
  func statusOptions(_ work: WorkerLocation) throws(NodeFailure) -> LocationOptions {
    let settings = plan.configuration.replication.statusProcessor
    let topic = plan.configuration.kafka.topic(plan.configuration.replication.statusTopic)
    return LocationOptions(
      site: work.site.name,
      limits: KeyedScheduler.Limits(concurrency: settings.concurrency, waitingMax: settings.concurrency * Self.statusWaitingFactor),
      pauseMode: .hold, consumer: try consumer(settings.groupID, topic), work: work, deadLetterTopic: plan.deadLetterTopic)
  }

  /// Of this node's Kafka clients, in the brokers' logs and the metrics.
  var clientId: String { "downbeat-\(plan.configuration.nodeID)" }

  func properties() throws(NodeFailure) -> KafkaProperties {
    let kafka = plan.configuration.kafka
    var user = kafka.properties.mapValues { $0.reveal() }
    // Backbeat's names for two of librdkafka's properties, which win where both are given.
    if let site = kafka.site, user["client.rack"] == nil { user["client.rack"] = site }
    if user["message.max.bytes"] == nil { user["message.max.bytes"] = String(kafka.maxRequestSizeBytes) }
    do throws(KafkaPropertyError) {
      return try KafkaProperties(bootstrapServers: bootstrapServers, user: user)
    } catch {
      throw NodeFailure("kafka.properties: \(error)")
    }
  }

  private func consumer(_ group: String, _ topic: String) throws(NodeFailure) -> ConsumerConfiguration {
    var consumer = ConsumerConfiguration(properties: try properties(), groupId: group, topic: topic)
    consumer.clientId = clientId
    consumer.statisticsInterval = Self.statisticsInterval
    consumer.maxPollIntervalMs = plan.configuration.kafka.maxPollIntervalMs
    let share = max(1, plan.servedLocations.count)
    consumer.queuedKiBMax = max(Self.queuedKiBMin, Self.queuedKiBMax / share)
    consumer.queuedMessagesMax = max(1_000, Self.queuedMessagesMax / share)
    if plan.usesEmbeddedBroker {
      consumer.membership = .standalone(partitions: Self.embeddedPartitions)
      consumer.fetchWaitMs = EmbeddedBroker.fetchWaitMsMax
    } else if plan.configuration.kafka.staticMembership {
      consumer.instanceId = "\(plan.configuration.nodeID)/\(consumer.topic)"
    }
    return consumer
  }
}
