// The REST API as one request handler. The order of checks is part of the contract: who calls, the method, the route, the
// query, and only then what the route itself needs; so a dead broker does not stop a pause. A GET of the state is answered
// from rendered bytes that live until the state changes.
internal import HTTP
internal import Pipeline

final class Routes: RequestHandler {
  /// Everything a route may need besides the control plane; absent ones make their routes answer 503.
  struct Providers {
    var health: (any HealthProvider)?
    var prometheus: (any PrometheusProvider)?
    var locationMetrics: (any LocationMetricsProvider)?
    var failedList: (any FailedListProvider)?
  }

  let service: any ControlService
  let providers: Providers
  /// May be replaced at a reload.
  var policy: CallerPolicy
  private let catalog: RouteCatalog
  private let pages: [Response]
  var cache = StatusCache()

  init(service: any ControlService, policy: CallerPolicy, providers: Providers = Providers(), pages: [StaticPage] = []) {
    self.service = service
    self.providers = providers
    self.policy = policy
    catalog = RouteCatalog(service: service, pages: pages)
    self.pages = pages.map { page in
      Response(.ok, contentType: page.contentType, body: page.body)
        .addingHeader("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
        .addingHeader("X-Content-Type-Options", "nosniff")
    }
  }

  func handle(_ head: RequestHead, bytes: Span<UInt8>, body: [UInt8], responder: Responder) {
    if let refusal = policy.refusal(head, bytes, peer: responder.peer.address) { return responder.respond(refusal) }
    switch head.method {
    case .get, .post, .delete: break
    case .head, .other:
      return responder.respond(APIError.methodNotAllowed.response.addingHeader("Allow", "GET, POST, DELETE"))
    }
    do throws(RouteError) {
      let route = try RouteParser(head, bytes).route(bytes, catalog)
      try serve(route, RequestParts(query: QueryItems(head.query), body: body, responder: responder), bytes)
    } catch {
      responder.respond(Self.response(to: error))
    }
  }

  private static func response(to error: RouteError) -> Response {
    switch error {
    case .notFound: return APIError.routeNotFound.response
    case .methodNotAllowed(let allowed): return APIError.methodNotAllowed.response.addingHeader("Allow", allowed.description)
    case .invalidURI: return APIError.invalidURI.response
    case .invalidQuery(let name, let rule): return APIError.invalidQuery(name, rule).response
    }
  }

  /// What is left of a request once its route is known.
  struct RequestParts {
    let query: QueryItems
    let body: [UInt8]
    let responder: Responder
  }

  /// - Throws: what is wrong with the query; nothing has been answered then. Otherwise the answer is given or on its way.
  private func serve(_ route: Route, _ request: RequestParts, _ bytes: Span<UInt8>) throws(RouteError) {
    let responder = request.responder
    switch route {
    case .status(let service, let choice): answerState(.status, service, choice, responder)
    case .schedules(let service, let choice): answerState(.schedules, service, choice, responder)
    case .pause(let service, let choice):
      carryOut(.pause(waitS: try QueryRules.wait(request.query, bytes)), service, choice, responder)
    case .resume(let service, let choice): carryOut(.resume, service, choice, responder)
    case .schedule(let service, let choice): schedule(service, choice, request)
    case .unschedule(let service, let choice): carryOut(.unschedule, service, choice, responder)
    case .locations(let service): answerLocations(service, responder)
    case .location(let service, let location): answerLocation(LocationKey(service, location), responder)
    case .failedList: answerFailedPage(try QueryRules.failedPage(request.query, bytes), responder)
    case .failedObject(let object):
      _ = try QueryRules.failedPage(request.query, bytes)
      answerFailures(of: object, responder)
    case .retryFailed: retryFailed(request)
    case .metrics(let service, let choice, let type): answerMetrics(service, choice, type, responder)
    case .objectMetrics(let location, let type, let object): answerMetrics(of: object, at: location, type, responder)
    case .workflows: applyWorkflows(request)
    case .healthcheck: answerHealthcheck(responder)
    case .prometheus(let families): answerPrometheus(families, responder)
    case .live: responder.respond(ProbeBodies.response(providers.health?.livenessProblems() ?? []))
    case .ready: responder.respond(ProbeBodies.response(providers.health?.readinessProblems() ?? []))
    case .openAPI: responder.respond(OpenAPI.response)
    case .page(let index): responder.respond(pages[index])
    }
  }

  func keys(_ controlled: ControlledService, _ choice: LocationChoice) -> [LocationKey] {
    switch choice {
    case .all: return service.locations(of: controlled).map { LocationKey(controlled, $0) }
    case .one(let location): return [LocationKey(controlled, location)]
    }
  }
}
