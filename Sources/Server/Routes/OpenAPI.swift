// `GET /openapi.json`: the API described in OpenAPI 3.1, kept by hand beside the routes; a test asks every path in it and
// compares the answers. The text is assembled from three parts so that each is readable.
internal import HTTP

enum OpenAPI {
  static let response = Response(.ok, text: text)

  static let text = """
    {"openapi":"3.1.0",
    "info":{"title":"Downbeat","version":"1.0.0",
    "description":"Pause, resume and watch replication, location by location. A 200 to a POST or DELETE means: stored durably, told to every live node. Every call may be repeated. Answers to errors are {\\"code\\":404,\\"description\\":\\"…\\",\\"RouteNotFound\\":true}."},
    "servers":[{"url":"/_/backbeat/api"},{"url":"/_"}],
    "tags":[{"name":"control"},{"name":"failed"},{"name":"metrics"},{"name":"health"}],
    "paths":{
    \(controlPaths),
    \(otherPaths)
    },
    "components":\(OpenAPIComponents.text)}
    """

  private static let service = ##"{"$ref":"#/components/parameters/service"}"##
  private static let location = ##"{"$ref":"#/components/parameters/location"}"##

  private static func operation(
    _ method: String, _ id: String, _ summary: String, _ answers: [(Int, String)], parameters: [String] = [],
    body: String? = nil, tag: String = "control"
  ) -> String {
    let responses = answers.map { ##""\##($0.0)":{"$ref":"#/components/responses/\##($0.1)"}"## }.joined(separator: ",")
    var text = ##""\##(method)":{"operationId":"\##(id)","summary":"\##(summary)","tags":["\##(tag)"],"##
    if !parameters.isEmpty { text += ##""parameters":[\##(parameters.joined(separator: ","))],"## }
    if let body { text += ##""requestBody":{"$ref":"#/components/requestBodies/\##(body)"},"## }
    return text + ##""responses":{\##(responses),"default":{"$ref":"#/components/responses/Error"}}}"##
  }

  private static func path(_ path: String, _ parameters: [String], _ operations: [String]) -> String {
    let shared = parameters.isEmpty ? "" : ##""parameters":[\##(parameters.joined(separator: ","))],"##
    return ##""\##(path)":{\##(shared)\##(operations.joined(separator: ","))}"##
  }

  private static let wait = ##"{"$ref":"#/components/parameters/wait"}"##
  private static let acted: [(Int, String)] = [(200, "Empty"), (404, "Error"), (503, "Error")]
  private static let drained: [(Int, String)] = [(200, "Drained"), (202, "Draining"), (400, "Error"), (404, "Error"), (503, "Error")]
  private static let states: [(Int, String)] = [(200, "States"), (404, "Error"), (503, "Error")]
  private static let schedules: [(Int, String)] = [(200, "Schedules"), (404, "Error"), (503, "Error")]
  private static let scheduled: [(Int, String)] = [(200, "Empty"), (400, "Error"), (404, "Error"), (503, "Error")]

  private static let controlPaths: String = [
    path("/{service}/status", [service], [operation("get", "status", "Desired state of every location", states)]),
    path("/{service}/status/{location}", [service, location], [operation("get", "statusOf", "Desired state of one location", states)]),
    path(
      "/{service}/pause", [service],
      [operation("post", "pause", "Pause every location; cancels scheduled resumes", drained, parameters: [wait])]),
    path(
      "/{service}/pause/{location}", [service, location],
      [operation("post", "pauseOne", "Pause one location; cancels its scheduled resume", drained, parameters: [wait])]),
    path(
      "/{service}/resume", [service],
      [
        operation("get", "schedules", "Scheduled resumes of every location", schedules),
        operation("post", "resume", "Resume every location now; cancels scheduled resumes", acted),
        operation("delete", "unschedule", "Cancel every scheduled resume", acted),
      ]),
    path(
      "/{service}/resume/{location}", [service, location],
      [
        operation("get", "scheduleOf", "Scheduled resume of one location", schedules),
        operation("post", "resumeOne", "Resume one location now; cancels its scheduled resume", acted),
        operation("delete", "unscheduleOne", "Cancel the scheduled resume of one location", acted),
      ]),
    path(
      "/{service}/resume/{location}/schedule", [service, location],
      [
        operation("get", "scheduleOfToo", "Scheduled resume of one location", schedules),
        operation("post", "schedule", "Resume a paused location some hours from now", scheduled, body: "Hours"),
        operation("delete", "unscheduleOneToo", "Cancel the scheduled resume of one location", acted),
      ]),
    path(
      "/{service}/locations", [service],
      [operation("get", "locations", "Effective state and figures of every location", [(200, "Locations"), (503, "Error")])]),
    path(
      "/{service}/locations/{location}", [service, location],
      [operation("get", "locationOf", "Effective state and figures of one location", [(200, "Location"), (404, "Error"), (503, "Error")])]),
  ].joined(separator: ",\n")

  private static func query(_ name: String, _ description: String, isRequired: Bool = false) -> String {
    ##"{"name":"\##(name)","in":"query","required":\##(isRequired),"description":"\##(description)","schema":{"type":"string"}}"##
  }

  private static func segment(_ name: String, _ description: String) -> String {
    ##"{"name":"\##(name)","in":"path","required":true,"description":"\##(description)","schema":{"type":"string"}}"##
  }

  private static let object = [
    segment("bucket", "Bucket"), segment("key", "Object key; may hold slashes"),
    query("versionId", "Encoded version id; null: of an object without versions", isRequired: true),
  ]

  private static let otherPaths: String = [
    path(
      "/crr/failed", [],
      [
        operation(
          "get", "failed", "Failed replications of one location, newest first", [(200, "FailedPage"), (400, "Error"), (503, "Error")],
          parameters: [query("sitename", "Location; without it the list is empty"), query("marker", "NextMarker of the page before")],
          tag: "failed"),
        operation(
          "post", "retry", "Try failed replications again", [(200, "Retried"), (400, "Error"), (503, "Error")], body: "Retries",
          tag: "failed"),
      ]),
    path(
      "/crr/failed/{bucket}/{key}", object,
      [operation("get", "failuresOf", "Failures of one object version at any location", [(200, "FailedPage"), (503, "Error")], tag: "failed")]),
    path(
      "/metrics/{metered}/{location}", [##"{"$ref":"#/components/parameters/metered"}"##, location],
      [operation("get", "metrics", "All counters of one location, or of all", [(200, "Metrics"), (404, "Error"), (503, "Error")], tag: "metrics")]),
    path(
      "/metrics/{metered}/{location}/{type}",
      [##"{"$ref":"#/components/parameters/metered"}"##, location, ##"{"$ref":"#/components/parameters/metricType"}"##],
      [operation("get", "metricsOf", "One counter", [(200, "Metrics"), (404, "Error"), (503, "Error")], tag: "metrics")]),
    path(
      "/metrics/crr/{location}/progress/{bucket}/{key}", [location] + object,
      [
        operation(
          "get", "progress", "How much of an object version has been copied", [(200, "Progress"), (404, "Error"), (503, "Error")], tag: "metrics")
      ]),
    path(
      "/metrics/crr/{location}/throughput/{bucket}/{key}", [location] + object,
      [operation("get", "throughput", "Rate of copying an object version", [(200, "Throughput"), (404, "Error"), (503, "Error")], tag: "metrics")]),
    path("/monitoring/metrics", [], [operation("get", "prometheus", "Prometheus text; also at /metrics", [(200, "Text")], tag: "metrics")]),
    path(
      "/healthcheck", [],
      [operation("get", "healthcheck", "Kafka, ZooKeeper and producer", [(200, "Health"), (500, "Error"), (503, "Error")], tag: "health")]),
    path("/live", [], [operation("get", "live", "The process works", [(200, "Text"), (500, "NotReady")], tag: "health")]),
    path("/ready", [], [operation("get", "ready", "The process may be given work", [(200, "Text"), (500, "NotReady")], tag: "health")]),
    path("/openapi.json", [], [operation("get", "openapi", "This description", [(200, "AnyObject")], tag: "health")]),
    path(
      "/configuration/workflows", [],
      [operation("post", "workflows", "Backbeat's workflow overlay", [(200, "Empty"), (400, "Error"), (503, "Error")], body: "AnyObject")]),
  ].joined(separator: ",\n")
}
