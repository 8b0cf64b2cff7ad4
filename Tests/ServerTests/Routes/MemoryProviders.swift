// The other edges in memory: what they are asked is remembered, what they answer is set by the test.
import Pipeline

@testable import Server

final class MemoryFailedList: FailedListProvider {
  /// nil: the list cannot be read.
  var answer: FailedPage? = FailedPage(items: [])
  var asked: [String] = []
  var retries: [RetryRequest] = []

  func page(of location: String, marker: Int64?, _ reply: @escaping (FailedPage?) -> Void) {
    asked.append("\(location) \(marker.map(String.init) ?? "newest")")
    reply(answer)
  }

  func failures(of object: ObjectVersionName, _ reply: @escaping ([FailedItem]?) -> Void) {
    asked.append("\(object.bucket)|\(object.key)|\(object.versionId ?? "-")")
    reply(answer?.items)
  }

  func retry(_ requests: [RetryRequest], _ reply: @escaping ([FailedItem]?) -> Void) {
    retries += requests
    reply(answer?.items)
  }
}

final class MemoryHealth: HealthProvider {
  var liveness: [ProbeProblem] = []
  var readiness: [ProbeProblem] = []
  var report: HealthReport?

  func livenessProblems() -> [ProbeProblem] { liveness }
  func readinessProblems() -> [ProbeProblem] { readiness }
  func healthcheck(_ reply: @escaping (HealthReport?) -> Void) { reply(report) }
}

final class MemoryPrometheus: PrometheusProvider {
  func render(_ families: Set<String>, into text: inout [UInt8]) {
    text.append(contentsOf: families.isEmpty ? "up 1\n".utf8 : families.sorted().joined(separator: ",").utf8)
  }
}

final class MemoryLocationMetrics: LocationMetricsProvider {
  var answer: LocationMetrics? = LocationMetrics()
  var objectAnswer: ObjectMetrics? = ObjectMetrics()
  var asked: [[LocationKey]] = []
  var objects: [ObjectVersionName] = []

  func metrics(of locations: [LocationKey], _ reply: @escaping (LocationMetrics?) -> Void) {
    asked.append(locations)
    reply(answer)
  }

  func metrics(of object: ObjectVersionName, at location: LocationKey, _ reply: @escaping (ObjectMetrics?) -> Void) {
    asked.append([location])
    objects.append(object)
    reply(objectAnswer)
  }
}
