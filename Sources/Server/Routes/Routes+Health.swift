// Health check, probes, and the Prometheus page.
internal import HTTP
internal import PipelineCore

extension Routes {
  func answerHealthcheck(_ responder: Responder) {
    guard let health = providers.health else { return responder.respond(APIError.notServed("a health check")) }
    health.healthcheck { report in
      let partitions = report?.topic?.partitions ?? []
      guard let report, partitions.allSatisfy({ !$0.isrs.isEmpty }) else {
        return responder.respond(APIError.internalError("The broker cannot be asked, or a partition has no replica in sync."))
      }
      responder.respond(HealthBodies.report(report))
    }
  }

  func answerPrometheus(_ families: Set<String>, _ responder: Responder) {
    guard let provider = providers.prometheus else { return responder.respond(APIError.notServed("metrics")) }
    var text: [UInt8] = []
    provider.render(families, into: &text)
    responder.respond(Response(.ok, contentType: Response.prometheus, body: text))
  }
}

enum HealthBodies {
  /// `isrHealth` compares with the partition's own replica list, and is absent with the topic.
  static func report(_ report: HealthReport) -> Response {
    var json = JSONWriter(reservingCapacity: 512)
    json.beginObject()
    json.name("topics")
    json.beginObject()
    if let topic = report.topic {
      json.name(text: topic.name)
      json.beginObject()
      json.member("name", topic.name)
      json.name("partitions")
      json.beginArray()
      for partition in topic.partitions { write(partition, &json) }
      json.endArray()
      json.endObject()
    }
    json.endObject()
    json.name("internalConnections")
    json.beginObject()
    if let topic = report.topic {
      let isWhole = topic.partitions.allSatisfy { Set($0.isrs) == Set($0.replicas) }
      json.member("isrHealth", isWhole ? "ok" : "error")
    }
    json.name("zookeeper")
    json.beginObject()
    json.member("status", report.storeState.name == "SYNC_CONNECTED" ? "ok" : "error")
    json.name("details")
    json.beginObject()
    json.member("name", report.storeState.name)
    json.member("code", Int64(report.storeState.code))
    json.endObject()
    json.endObject()
    json.name("kafkaProducer")
    json.beginObject()
    json.member("status", report.isProducerReady ? "ok" : "error")
    json.endObject()
    json.endObject()
    json.endObject()
    return Response(.ok, body: json.bytes)
  }

  private static func write(_ partition: HealthReport.Partition, _ json: inout JSONWriter) {
    json.beginObject()
    json.member("id", Int64(partition.id))
    json.member("leader", Int64(partition.leader))
    for (name, ids): (StaticString, [Int32]) in [("replicas", partition.replicas), ("isrs", partition.isrs)] {
      json.name(name)
      json.beginArray()
      for id in ids { json.int(Int64(id)) }
      json.endArray()
    }
    json.endObject()
  }
}

enum ProbeBodies {
  private static let fine = Response(.ok, contentType: Response.plainText, text: "OK")

  /// 200 `OK`, or 500 with what is wrong.
  static func response(_ problems: [ProbeProblem]) -> Response {
    if problems.isEmpty { return fine }
    var json = JSONWriter()
    json.beginArray()
    for problem in problems {
      json.beginObject()
      json.member("component", problem.component)
      json.member("status", problem.status)
      if let site = problem.site { json.member("site", site) }
      if let topic = problem.topic { json.member("topic", topic) }
      if let code = problem.code { json.member("code", Int64(code)) }
      if let reason = problem.reason { json.member("reason", reason) }
      json.endObject()
    }
    json.endArray()
    return Response(.internalError, body: json.bytes)
  }
}
