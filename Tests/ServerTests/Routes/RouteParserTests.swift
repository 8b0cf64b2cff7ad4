// Every path of the contract, and the paths upstream's tests refuse. Row numbers are those of the behaviour notes' table.
import HTTP
import Pipeline
import Testing

@testable import Server

struct RouteParserTests {
  static let pages = [StaticPage(path: "/", contentType: Response.html, body: [])]

  static func parse(_ line: String, service: MemoryControlService = MemoryControlService()) -> Result<Route, RouteError> {
    let bytes = Array("\(line) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    let span = bytes.span
    var parser = HTTPParser()
    let head: RequestHead?
    do throws(HTTPParseError) { head = try parser.parse(span) } catch { fatalError("\(line): \(error)") }
    guard let head else { fatalError("incomplete: \(line)") }
    let catalog = RouteCatalog(service: service, pages: pages)
    do throws(RouteError) {
      return .success(try RouteParser(head, span).route(span, catalog))
    } catch { return .failure(error) }
  }

  static let object = ObjectVersionName(bucket: "b", key: "k", versionId: "v")

  static let found: [(String, Route)] = [
    // 16, 20, 26-29: services, `all` by default, trailing slash
    ("GET /_/crr/status", .status(.crr, .all)), ("GET /_/crr/status/", .status(.crr, .all)), ("GET /_/crr/status/all", .status(.crr, .all)),
    ("GET /_/crr/status/S1", .status(.crr, .one("S1"))), ("GET /_/crr/status/S1/", .status(.crr, .one("S1"))),
    ("GET /_/crr/status?anything=1", .status(.crr, .all)), ("GET /_/backbeat/api/crr/status", .status(.crr, .all)),
    ("GET /_/backbeat/api/crr/status/S2", .status(.crr, .one("S2"))), ("GET /_/ingestion/status", .status(.ingestion, .all)),
    ("GET /_/ingestion/status/IS1", .status(.ingestion, .one("IS1"))), ("GET /_/lifecycle/status/C", .status(.lifecycle, .one("C"))),
    ("POST /_/crr/pause", .pause(.crr, .all)), ("POST /_/crr/pause/all", .pause(.crr, .all)), ("POST /_/crr/pause/S1", .pause(.crr, .one("S1"))),
    ("POST /_/lifecycle/pause", .pause(.lifecycle, .all)), ("POST /_/crr/resume", .resume(.crr, .all)),
    ("POST /_/crr/resume/all", .resume(.crr, .all)), ("POST /_/crr/resume/S1", .resume(.crr, .one("S1"))),
    ("POST /_/crr/resume/S1/schedule", .schedule(.crr, .one("S1"))), ("POST /_/crr/resume/S1/schedule/", .schedule(.crr, .one("S1"))),
    ("POST /_/crr/resume/all/schedule", .schedule(.crr, .all)), ("POST /_/lifecycle/resume/all/schedule", .schedule(.lifecycle, .all)),
    ("GET /_/crr/resume", .schedules(.crr, .all)), ("GET /_/crr/resume/all", .schedules(.crr, .all)),
    ("GET /_/crr/resume/S1", .schedules(.crr, .one("S1"))), ("GET /_/crr/resume/S1/schedule", .schedules(.crr, .one("S1"))),
    ("GET /_/crr/resume/all/schedule", .schedules(.crr, .all)), ("DELETE /_/crr/resume", .unschedule(.crr, .all)),
    ("DELETE /_/crr/resume/S2", .unschedule(.crr, .one("S2"))), ("DELETE /_/crr/resume/S2/schedule", .unschedule(.crr, .one("S2"))),
    ("DELETE /_/ingestion/resume/IS2/schedule", .unschedule(.ingestion, .one("IS2"))),
    ("GET /_/crr/locations", .locations(.crr)), ("GET /_/crr/locations/all", .locations(.crr)), ("GET /_/crr/locations/S1", .location(.crr, "S1")),
    // segments decoded once; %2F is data
    ("GET /_/crr/status/a%2Fb", .status(.crr, .one("a/b"))), ("GET /_/crr/status/%C3%A9", .status(.crr, .one("é"))),
    ("GET /_/%63rr/st%61tus/%61ll", .status(.crr, .all)), ("GET /%5F/crr/status", .status(.crr, .all)),
    // 22, 28: failed; an incomplete triple is the listing
    ("GET /_/crr/failed", .failedList), ("GET /_/crr/failed/", .failedList), ("GET /_/crr/failed?mymarker", .failedList),
    ("GET /_/crr/failed/mybucket", .failedList), ("GET /_/crr/failed/b/k", .failedList), ("GET /_/crr/failed/b/k?versionId=", .failedList),
    ("GET /_/crr/failed/b/k?versionId=v", .failedObject(object)),
    ("GET /_/crr/failed/b/a/b//c/?versionId=v", .failedObject(ObjectVersionName(bucket: "b", key: "a/b//c/", versionId: "v"))),
    ("GET /_/crr/failed/b/a%2Fb%20c?versionId=v%2B", .failedObject(ObjectVersionName(bucket: "b", key: "a/b c", versionId: "v+"))),
    (
      "GET /_/crr/failed/b/1/2/3/4/5/6/7/8/9/10/11/12?versionId=v",
      .failedObject(ObjectVersionName(bucket: "b", key: "1/2/3/4/5/6/7/8/9/10/11/12", versionId: "v"))
    ),
    ("POST /_/crr/failed", .retryFailed), ("POST /_/crr/failed/", .retryFailed),
    // 14, 26: metrics
    ("GET /_/metrics/crr/all", .metrics(.crr, .all, .all)), ("GET /_/metrics/crr/S1/", .metrics(.crr, .one("S1"), .all)),
    ("GET /_/metrics/crr/all/backlog", .metrics(.crr, .all, .backlog)), ("GET /_/metrics/crr/all/completions", .metrics(.crr, .all, .completions)),
    ("GET /_/metrics/crr/all/failures", .metrics(.crr, .all, .failures)), ("GET /_/metrics/crr/all/throughput", .metrics(.crr, .all, .throughput)),
    ("GET /_/metrics/crr/all/pending", .metrics(.crr, .all, .pending)),
    ("GET /_/metrics/ingestion/IS1/throughput", .metrics(.ingestion, .one("IS1"), .throughput)),
    ("GET /_/metrics/crr/S1/progress/b/k?versionId=v", .objectMetrics("S1", .progress, object)),
    (
      "GET /_/metrics/crr/S1/throughput/b/k/?versionId=v",
      .objectMetrics("S1", .throughput, ObjectVersionName(bucket: "b", key: "k/", versionId: "v"))
    ),
    // 24: fixed routes
    ("GET /_/healthcheck", .healthcheck), ("GET /_/healthcheck/", .healthcheck), ("GET /_/backbeat/api/healthcheck", .healthcheck),
    ("GET /_/monitoring/metrics", .prometheus([])), ("GET /metrics", .prometheus([])), ("GET /metrics/", .prometheus([])),
    ("GET /metrics?name[]=up", .prometheus(["up"])), ("GET /metrics?name%5B%5D=b&x&name[]=a&name[]=b", .prometheus(["a", "b"])),
    ("GET /metrics?name=up", .prometheus([])), ("GET /_/live", .live),
    ("GET /_/ready", .ready), ("GET /_/openapi.json", .openAPI), ("GET /_/backbeat/api/openapi.json", .openAPI), ("GET /", .page(0)),
    ("POST /_/configuration/workflows", .workflows),
  ]

  @Test(arguments: found)
  func pathLeadsToItsRoute(_ line: String, _ route: Route) { #expect(Self.parse(line) == .success(route)) }

  static let notFound: [String] = [
    // 1, 5, 6, 7
    "GET /_/invalidpath", "GET /metrics/crr/all", "GET /_/metrics", "GET /_/metrics/backlog", "GET /_/m/crr/all", "GET /_/metric/crr/all",
    "GET /_/metricss/crr/all", "GET /_/metrics/c/all", "GET /_/metrics/crrr/", "GET /_/metrics/ingestio/", "GET /_/metrics/ingestionn/",
    "GET /_/crrr/", "GET /_/ingestio/", "GET /_/ingestionn/", "GET /_/metrics/crr", "GET /_/metrics/lifecycle/all",
    // 8, 9
    "GET /_/metrics/crr/all/backlo", "GET /_/metrics/crr/all/backlogs", "GET /_/metrics/crr/all/completion", "GET /_/metrics/crr/all/completionss",
    "GET /_/metrics/crr/all/throughpu", "GET /_/metrics/crr/all/throughputs", "GET /_/metrics/crr/all/pendin", "GET /_/metrics/crr/all/pendings",
    "GET /_/metrics/ingestion/all/backlog", "GET /_/metrics/ingestion/all/failures",
    // 10, 11, 12, 13, 15
    "GET /_/metrics/crr/S1/progress/bucket", "GET /_/metrics/crr/S1/progress/bucket/", "GET /_/metrics/crr/S1/throughput/bucket/",
    "GET /_/metrics/crr/S1/progress/b/k", "GET /_/metrics/crr/S1/progress/b/k?versionId=", "GET /_/metrics/crr/S1/progress/b/k?versionId",
    "GET /_/metrics/crr/S1/progress", "GET /_/metrics/crr/all/progress/b/k?versionId=v", "GET /_/metrics/crr/S1/backlog/b/k?versionId=v",
    "GET /_/metrics/ingestion/IS1/throughput/b/k?versionId=v", "GET /_/metrics/crr/wrong-site/completions",
    "GET /_/metrics/crr/unknown-site/progress/b/k?versionId=v", "GET /_/metrics/crr/unknown-site/throughput/b/k?versionId=v",
    "POST /_/metrics/crr/all/failures",
    // 17, 18, 19, 21
    "POST /_/crr/pause/invalid-site", "POST /_/crr/resume/invalid-site", "GET /_/crr/status/invalid-site", "POST /_/crr/status",
    "POST /_/ingestion/pause/S1", "GET /_/ingestion/status/S1", "POST /_/crr/pause/IS1", "GET /_/crr/status/IS1", "GET /_/crr/pause",
    "GET /_/ingestion/pause", "GET /_/lifecycle/status/non-existent", "POST /_/lifecycle/pause/non-existent",
    // grammar of 1.4; a stray fourth segment is refused, not ignored
    "GET /_/crr", "GET /_/crr/", "GET /_/CRR/status", "GET /_/crr/Status", "GET /_/crr/status/s1", "GET /_/crr/status/S1/x", "POST /_/crr/pause/S1/x",
    "POST /_/crr/resume/S1/foo", "POST /_/crr/resume/S1/schedule/x", "GET /_/crr/resume/S1/Schedule", "POST /_/crr/resume/schedule",
    "GET /_/crr/resume/schedule", "DELETE /_/crr/resume/nobody", "DELETE /_/crr/status", "DELETE /_/crr/pause", "DELETE /_/crr/failed",
    "POST /_/crr/failed/b", "GET /_/ingestion/failed", "POST /_/crr/locations", "GET /_/crr/locations/S1/x", "GET /_/crr/locations/nobody",
    "GET /_", "GET /_/", "GET /__/crr/status", "GET /crr/status", "GET /healthcheck", "GET /_//crr/status", "GET //_/crr/status",
    "GET /_/crr//status", "GET /_/crr/status//", "GET /_/backbeat", "GET /_/backbeat/api", "GET /_/backbeat/api/", "GET /_/backbeat/crr/status",
    "GET /_/_/crr/status", "GET /_%2Fcrr/status", "GET /_/crr%2Fstatus", "GET /_/crr/status/a/b", "GET /_/crr/status/a%252Fb",
    "GET /_/crr/status/%ZZ", "GET /_/crr/status/S1%00", "GET /_/crr/status/%C3",
    // exact routes: any query is another path
    "GET /_/healthcheck?x", "GET /_/monitoring/metrics?", "POST /_/configuration/workflows?a=b", "GET /_/healthcheck/x", "GET /_/health",
    "GET /_/monitoring", "GET /_/monitoring/metrics/x", "GET /_/live/x", "GET /_/openapi", "GET /x", "GET /openapi.json", "GET /_/configuration",
  ]

  @Test(arguments: notFound)
  func otherPathIsNotFound(_ line: String) { #expect(Self.parse(line) == .failure(.notFound)) }

  @Test(arguments: [
    ("DELETE /_/healthcheck", "GET"), ("POST /_/healthcheck", "GET"), ("POST /_/monitoring/metrics", "GET"),
    ("GET /_/configuration/workflows", "POST"),
    ("POST /_/live", "GET"), ("DELETE /_/ready", "GET"), ("POST /_/openapi.json", "GET"), ("POST /metrics", "GET"), ("POST /", "GET"),
  ])
  func fixedRouteNamesItsMethod(_ line: String, _ allowed: String) {
    guard case .failure(.methodNotAllowed(let method)) = Self.parse(line) else { return #expect(Bool(false), "\(Self.parse(line))") }
    #expect(method.description == allowed)
  }

  @Test(arguments: ["GET /_/crr/failed/b/%ZZ?versionId=v", "GET /_/crr/failed/%FF/k?versionId=v", "GET /_/metrics/crr/S1/progress/b/%?versionId=v"])
  func keyThatCannotBeDecodedIsABadURI(_ line: String) { #expect(Self.parse(line) == .failure(.invalidURI)) }

  @Test(arguments: ["GET /_/crr/failed/b/k?versionId=v&versionId=w", "GET /_/crr/failed/b/k?versionId=%ZZ"])
  func versionMustBeGivenOnceAndDecodable(_ line: String) {
    guard case .failure(.invalidQuery(name: "versionId", _)) = Self.parse(line) else { return #expect(Bool(false), "\(Self.parse(line))") }
  }

  @Test func locationsAreThoseOfTheMoment() {
    let service = MemoryControlService()
    #expect(Self.parse("GET /_/crr/status/new", service: service) == .failure(.notFound))
    service.names[.crr] = ["new"]
    #expect(Self.parse("GET /_/crr/status/new", service: service) == .success(.status(.crr, .one("new"))))
    #expect(Self.parse("GET /_/crr/status/S1", service: service) == .failure(.notFound))
  }
}
