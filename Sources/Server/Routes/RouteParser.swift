// From a request's path to a route. Compares bytes in place; a string is made only for keys and other data that leaves the
// request. Both prefixes, `/_/` and the public `/_/backbeat/api/`, lead to the same routes.
//
// Kept from Backbeat: a known path with a wrong but known method is 404, and 405 only where the path has one fixed method.
// Done differently: segments are percent-decoded, and a stray segment is 404 instead of being ignored.
internal import HTTP
internal import Pipeline

struct RouteParser {
  let head: RequestHead
  let segments: PathSegments
  /// The first segment behind the prefix.
  private let first: Int

  init(_ head: RequestHead, _ bytes: Span<UInt8>) {
    self.head = head
    segments = PathSegments(head.path, in: bytes)
    let hasLongPrefix =
      segments.count >= 3 && bytes.decodedEquals("backbeat", in: segments[1]) && bytes.decodedEquals("api", in: segments[2])
    first = hasLongPrefix ? 3 : 1
  }

  /// - Parameter catalog: names the locations and pages there are.
  func route(_ bytes: Span<UInt8>, _ catalog: borrowing RouteCatalog) throws(RouteError) -> Route {
    guard segments.count > 0, bytes.decodedEquals("_", in: segments[0]) else { return try rootRoute(bytes, catalog) }
    guard segments.count > first else { throw .notFound }
    let name = segments[first]
    // By length first: the hot route is found with two comparisons.
    if bytes.decodedEquals("crr", in: name) { return try serviceRoute(.crr, bytes, catalog) }
    if bytes.decodedEquals("ingestion", in: name) { return try serviceRoute(.ingestion, bytes, catalog) }
    if bytes.decodedEquals("lifecycle", in: name) { return try serviceRoute(.lifecycle, bytes, catalog) }
    if bytes.decodedEquals("metrics", in: name) { return try metricsRoute(bytes, catalog) }
    return try fixedRoute(bytes)
  }

  /// Segments from the first behind the prefix on.
  private var count: Int { segments.count - first }
  private func isLength(_ length: Int) -> Bool { segments.count(is: first + length) }

  // MARK: Services

  private func serviceRoute(
    _ service: ControlledService, _ bytes: Span<UInt8>, _ catalog: borrowing RouteCatalog
  ) throws(RouteError) -> Route {
    guard count >= 2 else { throw .notFound }
    let verb = segments[first + 1]
    if bytes.decodedEquals("status", in: verb) {
      guard head.method == .get, count <= 3 else { throw .notFound }
      return .status(service, try choice(service, bytes, catalog))
    }
    if bytes.decodedEquals("pause", in: verb) {
      guard head.method == .post, count <= 3 else { throw .notFound }
      return .pause(service, try choice(service, bytes, catalog))
    }
    if bytes.decodedEquals("resume", in: verb) { return try resumeRoute(service, bytes, catalog) }
    if bytes.decodedEquals("locations", in: verb) {
      guard head.method == .get, count <= 3 else { throw .notFound }
      guard case .one(let location) = try choice(service, bytes, catalog) else { return .locations(service) }
      return .location(service, location)
    }
    if service == .crr, bytes.decodedEquals("failed", in: verb) { return try failedRoute(bytes) }
    throw .notFound
  }

  /// `resume[/{loc}[/schedule]]`; nothing but `schedule` may stand behind a location.
  private func resumeRoute(
    _ service: ControlledService, _ bytes: Span<UInt8>, _ catalog: borrowing RouteCatalog
  ) throws(RouteError) -> Route {
    let isSchedule = isLength(4) && bytes.decodedEquals("schedule", in: segments[first + 3])
    guard count <= 3 || isSchedule else { throw .notFound }
    let choice = try choice(service, bytes, catalog)
    switch head.method {
    case .get: return .schedules(service, choice)
    case .post: return isSchedule ? .schedule(service, choice) : .resume(service, choice)
    case .delete: return .unschedule(service, choice)
    case .head, .other: throw .notFound
    }
  }

  /// The location segment behind the verb, if there is one.
  private func choice(
    _ service: ControlledService, _ bytes: Span<UInt8>, _ catalog: borrowing RouteCatalog
  ) throws(RouteError) -> LocationChoice {
    guard count > 2 else { return .all }
    return try choice(at: first + 2, service, bytes, catalog)
  }

  private func choice(
    at index: Int, _ service: ControlledService, _ bytes: Span<UInt8>, _ catalog: borrowing RouteCatalog
  ) throws(RouteError) -> LocationChoice {
    if bytes.decodedEquals("all", in: segments[index]) { return .all }
    guard let location = catalog.location(of: service, bytes, segments[index]) else { throw .notFound }
    return .one(location)
  }

  // MARK: Failed replications

  /// `failed`, `failed/{bucket}/{key…}?versionId=`. As in Backbeat an incomplete triple is the listing.
  private func failedRoute(_ bytes: Span<UInt8>) throws(RouteError) -> Route {
    switch head.method {
    case .post:
      guard isLength(2) else { throw .notFound }
      return .retryFailed
    case .get:
      guard let object = try object(bucketAt: first + 2, bytes) else { return .failedList }
      return .failedObject(object)
    case .delete, .head, .other: throw .notFound
    }
  }

  /// Bucket segment, the rest of the path as key, and the `versionId` of the query; nil if one of them is missing.
  private func object(bucketAt index: Int, _ bytes: Span<UInt8>) throws(RouteError) -> ObjectVersionName? {
    guard segments.count > index + 1, !segments[index].isEmpty, !segments.rest(from: index + 1).isEmpty else { return nil }
    guard let bucket = bytes.percentDecoded(segments[index]), let key = bytes.percentDecoded(segments.rest(from: index + 1))
    else { throw .invalidURI }
    switch QueryItems(head.query).value("versionId", in: bytes) {
    case .absent: return nil
    case .single(let versionId): return versionId.isEmpty ? nil : ObjectVersionName(bucket: bucket, key: key, versionId: versionId)
    case .repeated: throw .invalidQuery(name: "versionId", rule: "must be given once")
    case .malformed: throw .invalidQuery(name: "versionId", rule: "is not valid percent-encoded UTF-8")
    }
  }

  // MARK: Metrics

  /// `metrics/{svc}/{loc}[/{type}]` and `metrics/crr/{loc}/{progress,throughput}/{bucket}/{key…}?versionId=`.
  private func metricsRoute(_ bytes: Span<UInt8>, _ catalog: borrowing RouteCatalog) throws(RouteError) -> Route {
    guard head.method == .get, count >= 3 else { throw .notFound }
    let service: ControlledService
    if bytes.decodedEquals("crr", in: segments[first + 1]) {
      service = .crr
    } else if bytes.decodedEquals("ingestion", in: segments[first + 1]) {
      service = .ingestion
    } else {
      throw .notFound
    }
    let choice = try choice(at: first + 2, service, bytes, catalog)
    if count == 3 { return .metrics(service, choice, .all) }
    if count == 4 {
      let segment = segments[first + 3]
      for type in MetricType.allCases where bytes.decodedEquals(text: type.rawValue, in: segment) && type.isKnown(to: service) {
        return .metrics(service, choice, type)
      }
      throw .notFound
    }
    guard service == .crr, case .one(let location) = choice, let type = objectMetricType(bytes) else { throw .notFound }
    guard let object = try object(bucketAt: first + 4, bytes) else { throw .notFound }
    return .objectMetrics(location, type, object)
  }

  private func objectMetricType(_ bytes: Span<UInt8>) -> ObjectMetricType? {
    let segment = segments[first + 3]
    if bytes.decodedEquals("progress", in: segment) { return .progress }
    return bytes.decodedEquals("throughput", in: segment) ? .throughput : nil
  }

  // MARK: Fixed routes

  private func fixedRoute(_ bytes: Span<UInt8>) throws(RouteError) -> Route {
    let name = segments[first]
    if isLength(1) {
      if bytes.decodedEquals("live", in: name) { return try fixed(.live, .get) }
      if bytes.decodedEquals("ready", in: name) { return try fixed(.ready, .get) }
      if bytes.decodedEquals("openapi.json", in: name) { return try fixed(.openAPI, .get) }
      if bytes.decodedEquals("healthcheck", in: name) { return try fixed(.healthcheck, .get, takesQuery: false) }
    }
    if isLength(2) {
      let second = segments[first + 1]
      if bytes.decodedEquals("monitoring", in: name), bytes.decodedEquals("metrics", in: second) {
        return try fixed(.prometheus([]), .get, takesQuery: false)
      }
      if bytes.decodedEquals("configuration", in: name), bytes.decodedEquals("workflows", in: second) {
        return try fixed(.workflows, .post, takesQuery: false)
      }
    }
    throw .notFound
  }

  /// - Parameter takesQuery: false: any query makes the path unknown, as in Backbeat.
  private func fixed(_ route: Route, _ method: HTTPMethod, takesQuery: Bool = true) throws(RouteError) -> Route {
    if !takesQuery, head.query != nil { throw .notFound }
    guard head.method == method else { throw .methodNotAllowed(allowed: method == .post ? "POST" : "GET") }
    return route
  }

  /// Outside the prefix: `/metrics` for scrapers, and the pages.
  private func rootRoute(_ bytes: Span<UInt8>, _ catalog: borrowing RouteCatalog) throws(RouteError) -> Route {
    if segments.count(is: 1), bytes.decodedEquals("metrics", in: segments[0]) {
      return try fixed(.prometheus(try QueryRules.families(QueryItems(head.query), bytes)), .get)
    }
    if let page = catalog.page(bytes, head.path) { return try fixed(.page(page), .get) }
    throw .notFound
  }
}

/// What there is to be named by a path.
struct RouteCatalog {
  let service: any ControlService
  let pages: [StaticPage]

  /// The configured location the segment names, exactly and case-sensitively.
  func location(of controlled: ControlledService, _ bytes: Span<UInt8>, _ segment: Range<Int>) -> String? {
    for name in service.locations(of: controlled) where bytes.decodedEquals(text: name, in: segment) { return name }
    return nil
  }

  func page(_ bytes: Span<UInt8>, _ path: Range<Int>) -> Int? {
    for (index, page) in pages.enumerated() where bytes.decodedEquals(text: page.path, in: path) { return index }
    return nil
  }
}
