// The routes of a node: who may call, and which parts answer.
internal import HTTP
internal import Pipeline
internal import PipelineCore
internal import Reactor

enum NodeAPI {
  static func policy(_ settings: Configuration.Server) -> CallerPolicy {
    CallerPolicy(allowList: settings.allowFrom, allowedHosts: settings.allowedHosts)
  }

  static func routes(of node: ReplicationNode) -> Routes {
    var providers = Routes.Providers(health: NodeHealth(node: node), prometheus: NodeMetrics(node: node))
    if let desk = node.status.desk {
      let provider = NodeFailedDesk(desk, reactor: node.reactor.handle, log: node.log)
      (providers.failedList, providers.locationMetrics) = (provider, provider)
    } else if let lists = node.served.failedLists {
      providers.failedList = NodeFailedList(lists, reactor: node.reactor.handle)
      providers.locationMetrics = NodeLocationMetrics(node: node)
    }
    return Routes(
      service: NodeControl(node: node), policy: policy(node.plan.configuration.server), providers: providers,
      pages: Dashboard.pages)
  }
}

/// Liveness, readiness and the health check.
final class NodeHealth: HealthProvider {
  private unowned let node: ReplicationNode

  init(node: ReplicationNode) { self.node = node }

  /// Answered at all means that the loop turns.
  func livenessProblems() -> [ProbeProblem] { [] }

  func readinessProblems() -> [ProbeProblem] {
    var problems: [ProbeProblem] = []
    if !node.coordinator.storeConnection.isConnected {
      problems.append(ProbeProblem(component: "Zookeeper", status: "NOT_CONNECTED", code: 0))
    }
    if node.coordinator.isNodeIdTaken { problems.append(ProbeProblem(component: "Node id", status: "TAKEN")) }
    if problems.isEmpty {
      for key in node.coordinator.unreadLocations {
        problems.append(ProbeProblem(component: "Zookeeper", status: "STATE_NOT_READ", site: key.location))
      }
    }
    for location in node.locations {
      guard let reason = location.notReadyReason else { continue }
      problems.append(
        ProbeProblem(
          component: "Consumer", status: "NOT_READY", site: location.site, topic: location.options.consumer.topic, reason: reason))
    }
    for (site, reason) in node.unserved.sorted(by: { $0.key < $1.key }) {
      problems.append(ProbeProblem(component: "Consumer", status: "NOT_READY", site: site, reason: reason))
    }
    if let processor = node.status.processor, let reason = processor.notReadyReason {
      problems.append(
        ProbeProblem(component: "Consumer", status: "NOT_READY", topic: processor.options.consumer.topic, reason: reason))
    }
    return problems + producerProblems()
  }

  /// Backbeat has a producer for each of these; here they are one.
  private func producerProblems() -> [ProbeProblem] {
    guard let reason = node.producerWatch.notReadyReason else { return [] }
    var problems: [ProbeProblem] = []
    if !node.locations.isEmpty {
      problems.append(ProbeProblem(component: "Replication Status Producer", status: "NOT_READY", reason: reason))
    }
    if node.status.processor != nil {
      problems.append(ProbeProblem(component: "Failed CRR Producer", status: "NOT_READY", reason: reason))
    }
    return problems
  }

  func healthcheck(_ reply: @escaping (HealthReport?) -> Void) {
    let isConnected = node.coordinator.storeConnection.isConnected
    let state = isConnected ? (name: "SYNC_CONNECTED", code: 3) : (name: "DISCONNECTED", code: 0)
    let replication = node.plan.configuration.replication
    let name = node.plan.configuration.kafka.topic(replication.topic)
    var topic = name
    if node.plan.usesEmbeddedBroker {
      // There each location has a topic, made with it; one stands for all. To ask for another would make it.
      guard let first = node.locations.first else {
        return reply(HealthReport(topic: nil, storeState: state, isProducerReady: node.producerWatch.notReadyReason == nil))
      }
      topic = first.options.consumer.topic
    }
    node.outbox.describe(topic) { result in
      guard case .success(let partitions) = result else { return reply(nil) }
      let rows = partitions?.map {
        HealthReport.Partition(id: $0.partition.value, leader: $0.leader, replicas: $0.replicas, isrs: $0.inSync)
      }
      // It is the producer that has just been answered.
      reply(HealthReport(topic: rows.map { (name, $0) }, storeState: state, isProducerReady: true))
    }
  }
}
