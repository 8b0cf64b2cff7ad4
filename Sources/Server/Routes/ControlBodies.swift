// The bodies of control answers, member by member as the contract lists them.
internal import HTTP
internal import Pipeline
internal import PipelineCore

enum ControlBodies {
  static let empty = Response(.ok, text: "{}")

  /// `{"loc":"enabled"|"disabled",…}` or `{"loc":"2018-06-28T05:40:20.600Z"|"none",…}`.
  static func states(_ view: StateView, _ keys: [LocationKey], _ service: any ControlService) -> Response {
    var json = JSONWriter(reservingCapacity: 32 * (keys.count + 1))
    json.beginObject()
    for key in keys {
      let state = service.desiredState(of: key)
      json.name(text: key.location)
      switch view {
      case .status: json.string(state.isPaused ? "disabled" : "enabled")
      case .schedules: json.string(time(state.scheduledResumeMs))
      }
    }
    json.endObject()
    return Response(.ok, body: json.bytes)
  }

  static func outcome(_ outcome: ControlOutcome) -> Response {
    switch outcome {
    case .done: return empty
    case .drained(let reports): return drained(reports)
    case .unavailable(let reason, let outcomeUnknown):
      return APIError.unavailable(outcomeUnknown ? reason + " (outcome unknown)" : reason).response
    case .failed(let reason): return APIError.internalError(reason).response
    }
  }

  /// 200 only when every location is drained; the others name their nodes. `disabled` says that nothing runs any more: where nobody
  /// has said so, because no node lives or none of them acts on the pause yet, it is `pausing`.
  private static func drained(_ reports: [DrainReport]) -> Response {
    var json = JSONWriter()
    json.beginObject()
    for report in reports {
      json.name(text: report.location)
      json.beginObject()
      var state = report.state
      if !report.isDrained, state == .disabled { state = .pausing }
      json.member("state", state.rawValue)
      json.member("inFlight", Int64(report.inFlight))
      if !report.isDrained { nodes(report.nodes, &json) }
      json.endObject()
    }
    json.endObject()
    return Response(reports.allSatisfy(\.isDrained) ? .ok : .accepted, body: json.bytes)
  }

  static func locations(_ views: [LocationView]) -> Response {
    var json = JSONWriter(reservingCapacity: 256 * (views.count + 1))
    json.beginObject()
    json.name("locations")
    json.beginArray()
    for view in views { location(view, &json) }
    json.endArray()
    json.endObject()
    return Response(.ok, body: json.bytes)
  }

  static func location(_ view: LocationView) -> Response {
    var json = JSONWriter(reservingCapacity: 512)
    location(view, &json)
    return Response(.ok, body: json.bytes)
  }

  private static func location(_ view: LocationView, _ json: inout JSONWriter) {
    json.beginObject()
    json.member("location", view.location)
    json.member("state", view.state.rawValue)
    json.name("since")
    if let since = view.sinceMs { json.string(time(since)) } else { json.null() }
    json.member("inFlight", Int64(view.inFlight))
    json.member("queued", Int64(view.queued))
    json.member("lag", view.lag)
    json.member("scheduledResume", time(view.scheduledResumeMs))
    json.name("gaps")
    json.beginArray()
    for gap in view.gaps {
      json.beginObject()
      json.member("topic", gap.topic)
      json.member("partition", Int64(gap.partition))
      json.member("from", gap.from)
      json.member("to", gap.to)
      json.endObject()
    }
    json.endArray()
    if let breaker = view.breaker { Self.breaker(breaker, &json) }
    stuck(view.stuck, &json)
    nodes(view.nodes, &json)
    partitions(view.partitions, &json)
    json.name("notes")
    json.beginArray()
    for note in view.notes { json.string(note) }
    json.endArray()
    json.endObject()
  }

  private static func breaker(_ breaker: LocationBreaker.View, _ json: inout JSONWriter) {
    json.name("breaker")
    json.beginObject()
    json.member("state", breaker.state.rawValue)
    json.name("since")
    if breaker.sinceMs > 0 { json.string(time(breaker.sinceMs)) } else { json.null() }
    json.name("reason")
    if let reason = breaker.reason { json.string(reason) } else { json.null() }
    json.member("limit", Int64(breaker.limit))
    json.member("nextProbe", time(breaker.nextProbeMs))
    json.endObject()
  }

  private static func stuck(_ tasks: [StuckView], _ json: inout JSONWriter) {
    json.name("stuck")
    json.beginArray()
    for task in tasks {
      json.beginObject()
      json.member("bucket", task.bucket)
      json.member("key", task.key)
      json.name("versionId")
      if let version = task.versionId { json.string(version) } else { json.null() }
      json.member("topic", task.topic)
      json.member("partition", Int64(task.partition))
      json.member("offset", task.offset)
      json.member("since", time(task.sinceMs))
      json.endObject()
    }
    json.endArray()
  }

  private static func nodes(_ nodes: [NodeView], _ json: inout JSONWriter) {
    json.name("nodes")
    json.beginArray()
    for node in nodes {
      json.beginObject()
      json.member("id", node.id)
      json.member("state", node.state.rawValue)
      json.member("inFlight", Int64(node.inFlight))
      json.member("lastSeen", time(node.lastSeenMs))
      json.endObject()
    }
    json.endArray()
  }

  private static func partitions(_ partitions: [PartitionView], _ json: inout JSONWriter) {
    json.name("partitions")
    json.beginArray()
    for partition in partitions {
      json.beginObject()
      json.member("topic", partition.topic)
      json.member("partition", Int64(partition.partition))
      json.member("committed", partition.committed)
      json.member("end", partition.end)
      json.name("node")
      if let node = partition.node { json.string(node) } else { json.null() }
      json.endObject()
    }
    json.endArray()
  }

  /// ISO 8601 in UTC with milliseconds, or `none`.
  private static func time(_ unixMs: Int64?) -> String { unixMs.map { ISO8601.string(ms: $0) } ?? "none" }
}

extension JSONWriter {
  /// nil is written as `null`.
  mutating func member(_ name: StaticString, _ value: Int64?) {
    self.name(name)
    if let value { int(value) } else { null() }
  }
}
