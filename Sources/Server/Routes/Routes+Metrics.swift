// Counters by location and by object, in Backbeat's shapes: sizes only for crr, rates as strings with two decimals.
internal import HTTP
internal import Pipeline
internal import PipelineCore

extension Routes {
  func answerMetrics(_ controlled: ControlledService, _ choice: LocationChoice, _ type: MetricType, _ responder: Responder) {
    guard let provider = providers.locationMetrics else { return responder.respond(APIError.notServed("location metrics")) }
    provider.metrics(of: keys(controlled, choice)) { metrics in
      guard let metrics else { return responder.respond(Self.unreadableCounters) }
      responder.respond(MetricsBodies.location(metrics, type, controlled))
    }
  }

  func answerMetrics(of object: ObjectVersionName, at location: String, _ type: ObjectMetricType, _ responder: Responder) {
    guard let provider = providers.locationMetrics else { return responder.respond(APIError.notServed("location metrics")) }
    provider.metrics(of: object, at: LocationKey(.crr, location)) { metrics in
      guard let metrics else { return responder.respond(Self.unreadableCounters) }
      responder.respond(MetricsBodies.object(metrics, type))
    }
  }

  private static let unreadableCounters = APIError.internalError("The counters cannot be read.")
}

enum MetricsBodies {
  /// The types `all` consists of, in the order of the answer.
  private static func parts(of type: MetricType, _ service: ControlledService) -> [MetricType] {
    if type != .all { return [type] }
    return service == .crr ? [.backlog, .completions, .failures, .throughput, .pending] : [.completions, .throughput, .pending]
  }

  static func location(_ metrics: LocationMetrics, _ type: MetricType, _ service: ControlledService) -> Response {
    var json = JSONWriter(reservingCapacity: 1_024)
    json.beginObject()
    for part in parts(of: type, service) {
      json.name(text: part.rawValue)
      json.beginObject()
      json.member("description", description(part, service))
      json.name("results")
      json.beginObject()
      results(metrics, part, service, &json)
      json.endObject()
      json.endObject()
    }
    json.endObject()
    return Response(.ok, body: json.bytes)
  }

  private static func results(
    _ metrics: LocationMetrics, _ part: MetricType, _ service: ControlledService, _ json: inout JSONWriter
  ) {
    let hasSize = service == .crr
    switch part {
    case .pending:
      json.member("count", hasSize ? metrics.pending.count : max(0, metrics.pending.count))
      if hasSize { json.member("size", metrics.pending.bytes) }
    case .backlog:
      json.member("count", max(0, metrics.pending.count))
      json.member("size", max(0, metrics.pending.bytes))
    case .completions:
      json.member("count", metrics.completions.count)
      if hasSize { json.member("size", metrics.completions.bytes) }
    case .failures:
      json.member("count", metrics.failures)
      json.member("size", 0)
    case .throughput:
      json.member("count", twoDecimals(metrics.operationsPerSecond))
      if hasSize { json.member("size", twoDecimals(metrics.bytesPerSecond)) }
    case .all: preconditionFailure("'all' has been split into its parts")
    }
  }

  private static func description(_ part: MetricType, _ service: ControlledService) -> String {
    let isCRR = service == .crr
    let what = isCRR ? "replication operations and bytes" : "ingestion operations"
    switch part {
    case .pending: return "Pending \(what)"
    case .backlog: return "Incomplete \(what)"
    case .completions: return "\(isCRR ? "Replication operations and bytes" : "Ingestion operations") completed in the last 86400 seconds"
    case .failures: return "Replication operations failed in the last 86400 seconds"
    case .throughput: return "\(isCRR ? "Replication ops/sec and bytes/sec" : "Ingestion ops/sec") over the last 900 seconds"
    case .all: preconditionFailure("'all' has been split into its parts")
    }
  }

  static func object(_ metrics: ObjectMetrics, _ type: ObjectMetricType) -> Response {
    var json = JSONWriter(reservingCapacity: 160)
    json.beginObject()
    switch type {
    case .progress:
      json.member("description", "Object replication progress")
      json.member("pending", metrics.bytesTotal - metrics.bytesDone)
      json.member("completed", metrics.bytesDone)
      json.member("progress", percentage(metrics))
    case .throughput:
      json.member("description", "Object replication bytes/sec over the last 900 seconds")
      json.member("throughput", twoDecimals(metrics.bytesPerSecond))
    }
    json.endObject()
    return Response(.ok, body: json.bytes)
  }

  private static func percentage(_ metrics: ObjectMetrics) -> String {
    guard metrics.bytesTotal > 0 else { return "0%" }
    let share = (100 * Double(metrics.bytesDone) / Double(metrics.bytesTotal)).rounded()
    return "\(Int(share))%"
  }

  /// `0.06`, as JavaScript's `toFixed(2)` for the values that occur.
  static func twoDecimals(_ value: Double) -> String {
    guard value.isFinite, value.magnitude < 1e15 else { return "0.00" }
    let hundredths = Int64((value * 100).rounded())
    let rest = abs(hundredths % 100)
    return "\(hundredths < 0 ? "-" : "")\(abs(hundredths / 100)).\(rest < 10 ? "0" : "")\(rest)"
  }
}
