// What a request asks for, once its path has been understood. A route says nothing about whether it can be served.
internal import HTTP
internal import Pipeline

/// `all` (or no segment) and one configured location.
enum LocationChoice: Equatable, Sendable {
  case all
  case one(String)
}

enum MetricType: String, CaseIterable, Sendable {
  case all, backlog, completions, failures, throughput, pending

  /// Ingestion counts no backlog and no failures.
  func isKnown(to service: ControlledService) -> Bool {
    switch self {
    case .all, .completions, .throughput, .pending: return true
    case .backlog, .failures: return service == .crr
    }
  }
}

enum ObjectMetricType: Sendable { case progress, throughput }

enum Route: Equatable, Sendable {
  case status(ControlledService, LocationChoice)
  case pause(ControlledService, LocationChoice)
  case resume(ControlledService, LocationChoice)
  case schedule(ControlledService, LocationChoice)
  case schedules(ControlledService, LocationChoice)
  case unschedule(ControlledService, LocationChoice)
  case locations(ControlledService)
  case location(ControlledService, String)
  case failedList
  case failedObject(ObjectVersionName)
  case retryFailed
  case metrics(ControlledService, LocationChoice, MetricType)
  case objectMetrics(String, ObjectMetricType, ObjectVersionName)
  case workflows
  case healthcheck
  /// Families by name; none named: all of them.
  case prometheus(Set<String>)
  case live
  case ready
  case openAPI
  /// Index into the configured pages.
  case page(Int)
}

/// A path that leads nowhere, or not with this method.
enum RouteError: Error, Equatable, Sendable {
  case notFound
  /// A fixed route, asked with another method than its one.
  case methodNotAllowed(allowed: StaticString)
  case invalidURI
  case invalidQuery(name: String, rule: String)

  static func == (left: RouteError, right: RouteError) -> Bool {
    switch (left, right) {
    case (.notFound, .notFound), (.invalidURI, .invalidURI): return true
    case (.methodNotAllowed(let one), .methodNotAllowed(let other)): return one.description == other.description
    case (.invalidQuery(let one, let rule), .invalidQuery(let other, let otherRule)): return one == other && rule == otherRule
    default: return false
    }
  }
}
