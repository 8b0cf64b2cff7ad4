// The error answers of the API: status and name of Backbeat's, words of ours. Descriptions say what to do where there is
// something to do; none echoes the request.
internal import HTTP

enum APIError {
  static let methodNotAllowed = HTTPError(.methodNotAllowed, "MethodNotAllowed", "The method is not allowed here.")
  static let routeNotFound = HTTPError(.notFound, "RouteNotFound", "The path does not exist.")
  static let invalidURI = HTTPError(.badRequest, "InvalidURI", "The path is not valid percent-encoded UTF-8.")

  static func invalidQuery(_ name: String, _ rule: String) -> HTTPError {
    HTTPError(.badRequest, "InvalidQueryParameter", "The query parameter '\(name)' \(rule).")
  }

  static func malformedBody(_ rule: String) -> HTTPError { HTTPError(.badRequest, "MalformedPOSTRequest", rule) }

  static func unavailable(_ reason: String) -> HTTPError { HTTPError(.unavailable, "ServiceUnavailable", reason) }

  static func notServed(_ what: String) -> HTTPError { unavailable("This node does not serve \(what): its role is not running here.") }

  static func internalError(_ reason: String) -> HTTPError { HTTPError(.internalError, "InternalError", reason) }
}
