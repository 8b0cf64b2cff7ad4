// Health check, probes on the API's port and on their own, Prometheus, counters, and the description of it all.
import HTTP
import Pipeline
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Server

struct HealthRouteTests {
  private func api(_ health: MemoryHealth) throws -> API { try API(providers: Routes.Providers(health: health)) }

  private static func report(replicas: [Int32] = [1, 2, 3], isrs: [Int32] = [3, 1, 2]) -> HealthReport {
    HealthReport(
      topic: ("backbeat-replication", [HealthReport.Partition(id: 0, leader: 1, replicas: replicas, isrs: isrs)]),
      storeState: ("SYNC_CONNECTED", 3), isProducerReady: true)
  }

  @Test func healthcheckHasBackbeatsShape() throws {
    let health = MemoryHealth()
    health.report = Self.report()
    #expect(
      try api(health).ask("GET /_/healthcheck").text
        == #"{"topics":{"backbeat-replication":{"name":"backbeat-replication","partitions":[{"id":0,"leader":1,"replicas":[1,2,3],"isrs":[3,1,2]}]}},"#
        + #""internalConnections":{"isrHealth":"ok","zookeeper":{"status":"ok","details":{"name":"SYNC_CONNECTED","code":3}},"kafkaProducer":{"status":"ok"}}}"#
    )
  }

  @Test func isrHealthComparesWithThePartitionsOwnReplicas() throws {
    let health = MemoryHealth()
    for (replicas, isrs, expected) in [([1], [1], "ok"), ([1, 2, 3], [1, 2], "error"), ([1, 2], [1, 3], "error")] as [([Int32], [Int32], String)] {
      health.report = Self.report(replicas: replicas, isrs: isrs)
      #expect(try api(health).ask("GET /_/healthcheck").text.contains("\"isrHealth\":\"\(expected)\""))
    }
  }

  @Test func missingTopicAndLostConnectionsAreShown() throws {
    let health = MemoryHealth()
    health.report = HealthReport(topic: nil, storeState: ("DISCONNECTED", 0), isProducerReady: false)
    #expect(
      try api(health).ask("GET /_/healthcheck").text
        == #"{"topics":{},"internalConnections":{"zookeeper":{"status":"error","details":{"name":"DISCONNECTED","code":0}},"kafkaProducer":{"status":"error"}}}"#
    )
  }

  @Test func healthcheckThatCannotAskOrHasNobodyInSyncIs500() throws {
    let health = MemoryHealth()
    #expect(try api(health).ask("GET /_/healthcheck").isError(500, "InternalError"))
    health.report = Self.report(isrs: [])
    #expect(try api(health).ask("GET /_/healthcheck").isError(500, "InternalError"))
  }

  @Test(arguments: ["DELETE", "POST"])
  func healthcheckHasOneMethod(_ method: String) throws {
    for path in ["/_/healthcheck", "/_/monitoring/metrics"] {
      let answer = try API().ask("\(method) \(path)")
      #expect(answer.isError(405, "MethodNotAllowed"))
      #expect(answer["allow"] == "GET")
    }
  }

  // MARK: Probes

  static let problems = [
    ProbeProblem(component: "Consumer", status: "NOT_READY", site: "aws-east"),
    ProbeProblem(component: "Zookeeper", status: "NOT_CONNECTED", code: 0),
    ProbeProblem(component: "log reader", status: "NOT_READY", topic: "t", reason: "no \"log\""),
  ]
  static let problemsBody =
    #"[{"component":"Consumer","status":"NOT_READY","site":"aws-east"},{"component":"Zookeeper","status":"NOT_CONNECTED","code":0},{"component":"log reader","status":"NOT_READY","topic":"t","reason":"no \"log\""}]"#

  @Test func probesSayOKOrWhatIsMissing() throws {
    let health = MemoryHealth()
    let api = try api(health)
    for path in ["/_/live", "/_/ready", "/_/backbeat/api/ready"] {
      let answer = try api.ask("GET \(path)")
      #expect(answer.status == 200 && answer.text == "OK")
    }
    health.readiness = Self.problems
    #expect(try api.ask("GET /_/live").status == 200)
    let answer = try api.ask("GET /_/ready")
    #expect(answer.status == 500 && answer.text == Self.problemsBody)
    #expect(answer["content-type"] == "application/json")
    health.liveness = Self.problems
    #expect(try api.ask("GET /_/live").status == 500)
  }

  @Test func probeServerHasItsOwnPathsAndErrors() throws {
    let health = MemoryHealth()
    health.readiness = Self.problems
    let reactor = try Reactor()
    let routes = ProbeRoutes(health: health, prometheus: MemoryPrometheus())
    let listener = try Listener(reactor: reactor, bindAddress: "127.0.0.1", port: 0, handler: routes)
    func ask(_ line: String) throws -> ClientResponse {
      let client = HTTPTestClient(port: listener.address.port)
      client.send(API.request(line, fields: ["Host: 10.1.2.3:4043"]))
      return try #require(reactor.response(for: client))
    }
    #expect(try ask("GET /_/live").text == "OK")
    for path in ["/_/ready", "/_/health/readiness"] {
      #expect(try ask("GET \(path)").status == 500)
      #expect(try ask("GET \(path)").text == Self.problemsBody)
    }
    for path in ["/metrics", "/_/monitoring/metrics"] { #expect(try ask("GET \(path)").text == "up 1\n") }
    for path in ["/", "/_/live/", "/_/live?x", "/_/crr/status", "/_/live%20"] {
      let answer = try ask("GET \(path)")
      #expect(answer.status == 400)
      #expect(answer.text == #"{"errorType":"InvalidURI","errorMessage":"The path does not exist."}"#)
    }
    let answer = try ask("POST /_/live")
    #expect(answer.status == 405)
    #expect(answer.text.hasPrefix(#"{"errorType":"MethodNotAllowed""#))
  }

  // MARK: Metrics

  @Test func prometheusIsTextAtBothPlaces() throws {
    let api = try API(providers: Routes.Providers(prometheus: MemoryPrometheus()))
    for path in ["/metrics", "/_/monitoring/metrics", "/_/backbeat/api/monitoring/metrics"] {
      let answer = try api.ask("GET \(path)")
      #expect(answer.text == "up 1\n")
      #expect(answer["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
    }
    #expect(try API().ask("GET /metrics").isError(503, "ServiceUnavailable"))
    #expect(try api.ask("GET /metrics?name[]=b&name[]=a").text == "a,b")
    for query in ["name[]=", "name[]", "name[]=a&name[]=%FF"] { #expect(try api.ask("GET /metrics?\(query)").status == 400) }
  }

  private func metricsAPI(_ provider: MemoryLocationMetrics) throws -> API { try API(providers: Routes.Providers(locationMetrics: provider)) }

  private static func sample() -> LocationMetrics {
    LocationMetrics(
      pending: .init(count: 4, bytes: 2_048), completions: .init(count: 750, bytes: 2_901), failures: 3, operationsPerSecond: 0.8333,
      bytesPerSecond: 3.2233)
  }

  @Test func countersOfCRRHaveSizes() throws {
    let provider = MemoryLocationMetrics()
    provider.answer = Self.sample()
    let all = try metricsAPI(provider).ask("GET /_/metrics/crr/all").text
    #expect(
      all
        == #"{"backlog":{"description":"Incomplete replication operations and bytes","results":{"count":4,"size":2048}},"#
        + #""completions":{"description":"Replication operations and bytes completed in the last 86400 seconds","results":{"count":750,"size":2901}},"#
        + #""failures":{"description":"Replication operations failed in the last 86400 seconds","results":{"count":3,"size":0}},"#
        + #""throughput":{"description":"Replication ops/sec and bytes/sec over the last 900 seconds","results":{"count":"0.83","size":"3.22"}},"#
        + #""pending":{"description":"Pending replication operations and bytes","results":{"count":4,"size":2048}}}"#)
    #expect(provider.asked == [["S1", "S2", "a/b", "é"].map { key($0) }])
    for type in MetricType.allCases where type != .all {
      let one = try metricsAPI(provider).ask("GET /_/metrics/crr/S1/\(type.rawValue)").text
      #expect(one.hasPrefix("{\"\(type.rawValue)\":{\"description\":\""))
      #expect(all.contains(one.dropFirst().dropLast()))
    }
    #expect(provider.asked.last == [key("S1")])
  }

  @Test func countersOfIngestionHaveNoSizes() throws {
    let provider = MemoryLocationMetrics()
    provider.answer = Self.sample()
    provider.answer?.pending.count = -2
    #expect(
      try metricsAPI(provider).ask("GET /_/metrics/ingestion/all").text
        == #"{"completions":{"description":"Ingestion operations completed in the last 86400 seconds","results":{"count":750}},"#
        + #""throughput":{"description":"Ingestion ops/sec over the last 900 seconds","results":{"count":"0.83"}},"#
        + #""pending":{"description":"Pending ingestion operations","results":{"count":0}}}"#)
    // Pending of crr is shown as it is, its backlog is not.
    #expect(try metricsAPI(provider).ask("GET /_/metrics/crr/all/pending").text.contains(#""count":-2,"#))
    #expect(try metricsAPI(provider).ask("GET /_/metrics/crr/all/backlog").text.contains(#""count":0,"#))
  }

  @Test func progressOfAnObjectIsAPercentage() throws {
    let provider = MemoryLocationMetrics()
    for (total, done, expected) in [
      (100, 50, #""pending":50,"completed":50,"progress":"50%""#), (0, 0, #""pending":0,"completed":0,"progress":"0%""#),
      (3, 2, #""pending":1,"completed":2,"progress":"67%""#),
    ] as [(Int64, Int64, String)] {
      provider.objectAnswer = ObjectMetrics(bytesTotal: total, bytesDone: done)
      #expect(
        try metricsAPI(provider).ask("GET /_/metrics/crr/S1/progress/b/k/l?versionId=v").text
          == "{\"description\":\"Object replication progress\",\(expected)}")
    }
    #expect(provider.objects.last == ObjectVersionName(bucket: "b", key: "k/l", versionId: "v"))
    provider.objectAnswer = ObjectMetrics(bytesPerSecond: 0.0556)
    #expect(try metricsAPI(provider).ask("GET /_/metrics/crr/S1/throughput/b/k?versionId=v").text.contains(#""throughput":"0.06""#))
  }

  @Test func unreadableCountersAre500AndAbsentOnes503() throws {
    let provider = MemoryLocationMetrics()
    provider.answer = nil
    provider.objectAnswer = nil
    for line in ["GET /_/metrics/crr/all", "GET /_/metrics/ingestion/IS1/pending", "GET /_/metrics/crr/S1/progress/b/k?versionId=v"] {
      #expect(try metricsAPI(provider).ask(line).isError(500, "InternalError"))
      #expect(try API().ask(line).isError(503, "ServiceUnavailable"))
    }
  }

  @Test(arguments: [
    (0.0, "0.00"), (0.005, "0.01"), (1.995, "2.00"), (0.0555, "0.06"), (12.3, "12.30"), (-0.5, "-0.50"), (Double.infinity, "0.00"),
    (1234567.891, "1234567.89"),
  ])
  func ratesHaveTwoDecimals(_ value: Double, _ text: String) { #expect(MetricsBodies.twoDecimals(value) == text) }

  // MARK: OpenAPI

  @Test func everyDescribedPathIsServedAndNoOther() throws {
    let api = try API(
      providers: Routes.Providers(
        health: MemoryHealth(), prometheus: MemoryPrometheus(), locationMetrics: MemoryLocationMetrics(), failedList: MemoryFailedList()))
    let answer = try api.ask("GET /_/openapi.json")
    #expect(answer["content-type"] == "application/json")
    let document = try JSONValue(parsing: answer.body)
    #expect(document["openapi"]?.string == "3.1.0")
    let paths = try #require(document["paths"]?.members)
    #expect(paths.count == 21)
    for path in paths {
      for (method, body) in [("get", nil), ("post", "{}"), ("delete", nil)] as [(String, String?)] {
        var url = path.name
        for (name, value) in [
          ("service", "crr"), ("metered", "crr"), ("location", "S1"), ("type", "pending"), ("bucket", "b"), ("key", "k"),
        ] { url = url.replacing("{\(name)}", with: value) }
        if url.hasSuffix("/k") { url += "?versionId=v" }
        let status = try api.ask("\(method.uppercased()) /_/backbeat/api\(url)", body: body).status
        #expect((status != 404 && status != 405) == (path.value[method] != nil), "\(method) \(url): \(status)")
      }
    }
  }

  @Test func everyReferenceOfTheDescriptionLeadsSomewhere() throws {
    let document = try JSONValue(parsing: OpenAPI.text)
    func check(_ value: JSONValue) {
      if let reference = value["$ref"]?.string {
        let target = reference.split(separator: "/").dropFirst().reduce(document as JSONValue?) { $0?[String($1)] }
        #expect(target != nil, "\(reference)")
      }
      for member in value.members ?? [] { check(member.value) }
      for item in value.array ?? [] { check(item) }
    }
    check(document)
  }
}
