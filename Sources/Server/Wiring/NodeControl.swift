// The control plane as the routes see it: the coordinator's answers in the routes' words, and what this node's own
// controllers know of lag and partitions. No state of its own.
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

final class NodeControl: ControlService {
  private let node: ReplicationNode
  /// - Parameter node: must live as long as this.
  init(node: ReplicationNode) { self.node = node }

  func locations(of service: ControlledService) -> [String] { node.names[service] ?? [] }

  var revision: UInt64 { node.coordinator.revision }

  func knowledge(of location: LocationKey) -> StateKnowledge {
    switch node.coordinator.freshness(of: location) {
    case .current: .current
    case .unconfirmed: .unconfirmed
    case .stale(let seconds): .stale(seconds: Int(seconds))
    case .unknown: .unknown
    }
  }

  func desiredState(of location: LocationKey) -> DesiredState { DesiredState(node.coordinator.desiredState(of: location)) }

  func confirm(_ locations: [LocationKey], _ reply: @escaping () -> Void) { node.coordinator.confirm(locations, reply) }

  func carryOut(
    _ command: ControlCommand, on locations: [LocationKey], for origin: ControlOrigin,
    _ reply: @escaping (ControlOutcome) -> Void
  ) {
    let (order, wait) = Self.order(command)
    node.log.info(
      "command",
      metadata: [
        "request_id": "\(origin.requestID)", "peer": "\(origin.peer)", "command": "\(command)",
        "locations": "\(locations.map(\.description).joined(separator: ","))",
      ])
    node.coordinator.change(order, at: locations, wait: wait) { outcome in
      switch outcome {
      case .done: reply(.done)
      case .drained(let overviews), .draining(let overviews): reply(.drained(overviews.map(DrainReport.init)))
      case .unavailable(let reason, let maybe): reply(.unavailable(reason: reason, outcomeUnknown: maybe))
      }
    }
  }

  private static func order(_ command: ControlCommand) -> (StateCommand, wait: Duration?) {
    switch command {
    case .pause(let waitS): (.pause, waitS.map { .seconds($0) })
    case .resume: (.resume, nil)
    case .schedule(let hours): (.schedule(atMs: WallClock.nowMs() + Int64(hours) * 3_600_000), nil)
    case .unschedule: (.unschedule, nil)
    }
  }

  // MARK: Views

  func views(of locations: [LocationKey], _ reply: @escaping ([LocationView]) -> Void) {
    var views = locations.map(view)
    var open = 1
    let finish = {
      open -= 1
      if open == 0 { reply(views) }
    }
    for (index, key) in locations.enumerated() {
      guard key.service == .crr, let location = node.served.controller(of: key.location) else { continue }
      open += 1
      location.survey { [nodeId = node.plan.configuration.nodeID] partitions in
        if let partitions { views[index].take(partitions, of: location, nodeId: nodeId) }
        finish()
      }
    }
    finish()
  }

  private func view(of key: LocationKey) -> LocationView {
    guard let overview = node.coordinator.overview(of: key) else {
      return LocationView(location: key.location, state: .disabled)
    }
    var view = LocationView(location: key.location, state: overview.state)
    view.sinceMs = overview.sinceMs
    view.inFlight = overview.inFlight
    view.scheduledResumeMs = overview.desired.resumeAtMs
    view.nodes = overview.nodes.map(NodeView.init)
    view.queued = overview.nodes.map(\.queued).reduce(0, +)
    if key.service == .crr {
      view.takeReported(overview.nodes, topic: node.plan.topic(of: key.location))
      view.notes = node.notes(on: key.location)
    }
    if key.service == .crr, let location = node.served.controller(of: key.location) {
      // What the other nodes reported, and what is true here now.
      let own = overview.nodes.first { $0.nodeId == node.plan.configuration.nodeID }
      view.inFlight += location.inFlightCount - (own?.inFlight ?? 0)
      view.queued += location.queuedCount - (own?.queued ?? 0)
      view.breaker = node.served.breakers[key.location]?.view
      view.stuck = location.stuckTasks.map {
        StuckView(
          bucket: $0.bucket, key: $0.key, versionId: $0.versionId.map(VersionId.encode), topic: location.options.consumer.topic,
          partition: $0.partition.value, offset: $0.offset.value, sinceMs: $0.startedAtMs)
      }
      view.gaps = location.gaps.map {
        GapView(
          topic: location.options.consumer.topic, partition: $0.partition.value, from: $0.start.value, to: $0.end.value)
      }
    }
    return view
  }
}

extension LocationView {
  /// What the nodes say they consume. Where it ends, and what is committed, only a node that runs the location asks.
  mutating func takeReported(_ nodes: [NodeReport], topic: String) {
    let owners = nodes.flatMap { node in node.partitions.map { ($0, node.nodeId) } }.sorted { $0.0 < $1.0 }
    partitions = owners.map { PartitionView(topic: topic, partition: $0.0, committed: nil, end: nil, node: $0.1) }
  }

  /// Of this node's own partitions it is known now, of the others' as they were reported.
  mutating func take(_ surveys: [PartitionSurvey], of location: LocationController, nodeId: String) {
    lag = surveys.map(\.lag).reduce(0, +)
    let own = Set(location.partitions.map(\.value))
    let others = partitions.filter { $0.node != nodeId }.map { ($0.partition, $0.node) }
    let owners = Dictionary(others, uniquingKeysWith: { first, _ in first })
    partitions = surveys.map {
      let number = $0.partition.value
      return PartitionView(
        topic: location.options.consumer.topic, partition: number, committed: $0.committed?.value, end: $0.high.value,
        node: own.contains(number) ? nodeId : owners[number] ?? nil)
    }
  }
}

extension DesiredState {
  init(_ state: PauseState) { self.init(isPaused: state.paused, scheduledResumeMs: state.resumeAtMs) }
}

extension NodeView {
  init(_ report: NodeReport) {
    // This node's own report does not come back from the store: it was seen now.
    let seenMs = report.lastSeenMs == 0 ? WallClock.nowMs() : report.lastSeenMs
    self.init(id: report.nodeId, state: report.state, inFlight: report.inFlight, lastSeenMs: seenMs)
  }
}

extension DrainReport {
  init(_ overview: LocationOverview) {
    self.init(
      location: overview.key.location,
      isDrained: !overview.nodes.isEmpty && overview.nodes.allSatisfy { $0.state == .disabled && $0.inFlight == 0 },
      state: overview.state, inFlight: overview.inFlight, nodes: overview.nodes.map(NodeView.init))
  }
}
