// Status, pause, resume, schedule, locations.
internal import HTTP
internal import Pipeline
internal import PipelineCore

extension Routes {
  static let hoursDefault = 6
  static let hoursMax = 87_600

  // MARK: Desired states

  func answerState(_ view: StateView, _ controlled: ControlledService, _ choice: LocationChoice, _ responder: Responder) {
    if let kept = cache.response(view, controlled, choice, revision: service.revision) { return responder.respond(kept) }
    let keys = keys(controlled, choice)
    whenKnown(keys, responder) { [self] staleSeconds in
      let response = ControlBodies.states(view, keys, service)
      if staleSeconds == nil {
        // Asking again sets the cache to the revision just rendered: it may have changed while confirming.
        _ = cache.response(view, controlled, choice, revision: service.revision)
        cache.keep(response, view, controlled, choice)
      }
      responder.respond(Self.response(response, staleSeconds))
    }
  }

  /// Goes on when the desired states of `keys` may be shown, with the age of what is only the last known; else answers 503.
  private func whenKnown(_ keys: [LocationKey], _ responder: Responder, _ show: @escaping (_ staleSeconds: Int?) -> Void) {
    guard worstKnowledge(of: keys) == .unconfirmed else { return ifKnown(keys, responder, show) }
    service.confirm(keys) { [self] in ifKnown(keys, responder, show) }
  }

  private func ifKnown(_ keys: [LocationKey], _ responder: Responder, _ show: (_ staleSeconds: Int?) -> Void) {
    switch worstKnowledge(of: keys) {
    case .unknown: responder.respond(APIError.unavailable("The state has not been read yet: the state store is away."))
    case .unconfirmed: responder.respond(APIError.unavailable("The state store did not confirm the state in time."))
    case .stale(let seconds): show(seconds)
    case .current: show(nil)
    }
  }

  private static func response(_ response: Response, _ staleSeconds: Int?) -> Response {
    staleSeconds.map { response.addingHeader("x-downbeat-stale", String($0)) } ?? response
  }

  /// Of several locations the least known decides; of stale ones the oldest.
  private func worstKnowledge(of keys: [LocationKey]) -> StateKnowledge {
    var worst = StateKnowledge.current
    for key in keys {
      let knowledge = service.knowledge(of: key)
      if Self.badness(knowledge) > Self.badness(worst) { worst = knowledge }
    }
    return worst
  }

  private static func badness(_ knowledge: StateKnowledge) -> Int {
    switch knowledge {
    case .current: return -1
    case .stale(let seconds): return seconds
    case .unconfirmed: return .max - 1
    case .unknown: return .max
    }
  }

  // MARK: Commands

  func carryOut(_ command: ControlCommand, _ controlled: ControlledService, _ choice: LocationChoice, _ responder: Responder) {
    let keys = keys(controlled, choice)
    // A service without locations has nothing to do and nothing to say, as in Backbeat.
    guard !keys.isEmpty else { return responder.respond(ControlBodies.empty) }
    let origin = ControlOrigin(requestID: responder.requestID.description, peer: responder.peer.description)
    service.carryOut(command, on: keys, for: origin) { responder.respond(ControlBodies.outcome($0)) }
  }

  func schedule(_ controlled: ControlledService, _ choice: LocationChoice, _ request: RequestParts) {
    do throws(HTTPError) {
      let hours = try Self.hours(request.body)
      carryOut(.schedule(hours: hours), controlled, choice, request.responder)
    } catch {
      request.responder.respond(error)
    }
  }

  /// `{"hours":N}`: a whole number from 1 to 87,600; without a body or without the key the default.
  static func hours(_ body: [UInt8]) throws(HTTPError) -> Int {
    guard !body.isEmpty else { return hoursDefault }
    guard case .object = try json(body) else { throw APIError.malformedBody("The POST body must be a JSON object.") }
    guard let value = try json(body)["hours"] else { return hoursDefault }
    guard let hours = value.int, hours >= 1, hours <= hoursMax else {
      throw APIError.malformedBody("The value of 'hours' must be an integer from 1 to \(hoursMax).")
    }
    return Int(hours)
  }

  static func json(_ body: [UInt8]) throws(HTTPError) -> JSONValue {
    do throws(JSONValue.Malformed) {
      return try JSONValue(parsing: body)
    } catch {
      throw APIError.malformedBody("The POST body is not well-formed JSON.")
    }
  }

  // MARK: Details

  func answerLocations(_ controlled: ControlledService, _ responder: Responder) {
    let keys = keys(controlled, .all)
    guard !keys.isEmpty else { return responder.respond(ControlBodies.locations([])) }
    whenKnown(keys, responder) { [self] staleSeconds in
      service.views(of: keys) { responder.respond(Self.response(ControlBodies.locations($0), staleSeconds)) }
    }
  }

  func answerLocation(_ key: LocationKey, _ responder: Responder) {
    whenKnown([key], responder) { [self] staleSeconds in
      service.views(of: [key]) { views in
        // It may have left the configuration in between.
        guard let view = views.first else { return responder.respond(APIError.routeNotFound) }
        responder.respond(Self.response(ControlBodies.location(view), staleSeconds))
      }
    }
  }
}
