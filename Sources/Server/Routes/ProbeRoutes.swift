// The probe server of a worker process (`probeServer` sections): Backbeat's paths, exact including the query, and its
// other shape of errors. Opened on its own port; an orchestrator asks it, so no allow-list stands before it.
internal import HTTP

final class ProbeRoutes: RequestHandler {
  private let health: (any HealthProvider)?
  private let prometheus: (any PrometheusProvider)?

  init(health: (any HealthProvider)?, prometheus: (any PrometheusProvider)?) {
    self.health = health
    self.prometheus = prometheus
  }

  func handle(_ head: RequestHead, bytes: Span<UInt8>, body: [UInt8], responder: Responder) {
    guard head.method == .get else {
      return responder.respond(
        Self.error(.methodNotAllowed, "MethodNotAllowed", "The method is not allowed here.").addingHeader("Allow", "GET"))
    }
    let path = head.query == nil ? head.path : 0..<0
    if bytes.equals("/_/live", in: path) {
      responder.respond(ProbeBodies.response(health?.livenessProblems() ?? []))
    } else if bytes.equals("/_/ready", in: path) || bytes.equals("/_/health/readiness", in: path) {
      responder.respond(ProbeBodies.response(health?.readinessProblems() ?? []))
    } else if bytes.equals("/metrics", in: path) || bytes.equals("/_/monitoring/metrics", in: path), let prometheus {
      var text: [UInt8] = []
      prometheus.render([], into: &text)
      responder.respond(Response(.ok, contentType: Response.prometheus, body: text))
    } else {
      responder.respond(Self.error(.badRequest, "InvalidURI", "The path does not exist."))
    }
  }

  private static func error(_ status: HTTPStatus, _ name: String, _ message: String) -> Response {
    Response(status, text: "{\"errorType\":\"\(name)\",\"errorMessage\":\"\(message)\"}")
  }
}
