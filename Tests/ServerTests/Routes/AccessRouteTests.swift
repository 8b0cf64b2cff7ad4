// Who may call, in which order it is checked, and the answers that come before any route.
import HTTP
import Pipeline
import TestSupport
import Testing

@testable import Server

struct AccessRouteTests {
  @Test(arguments: ["PUT", "PATCH", "OPTIONS", "TRACE", "BREW", "get"])
  func otherMethodsAre405(_ method: String) throws {
    let api = try API()
    for path in ["/_/crr/status", "/_/healthcheck", "/nowhere"] {
      let answer = try api.ask("\(method) \(path)")
      #expect(answer.isError(405, "MethodNotAllowed"))
      #expect(answer["allow"] == "GET, POST, DELETE")
    }
    #expect(try api.ask("OPTIONS *").isError(405, "MethodNotAllowed"))
    #expect(try api.ask("CONNECT a:80").isError(405, "MethodNotAllowed"))
  }

  @Test func headIs405WithoutABody() throws {
    let api = try API()
    let answer = try api.ask("HEAD /_/crr/status", toHEAD: true)
    #expect(answer.status == 405)
    #expect(answer.body.isEmpty)
    #expect(Int(answer["content-length"] ?? "") ?? 0 > 0)
  }

  /// Each line breaks this rule and all later ones; the first decides. Origin, allow-list, method, route, query, then the rest.
  @Test(arguments: [
    ("POST /nowhere?wait=x", ["Sec-Fetch-Site: cross-site"], 403, "AccessDenied"),
    ("POST /_/crr/pause", ["Origin: http://evil.example"], 403, "AccessDenied"),
    ("DELETE /_/crr/resume", ["Origin: null"], 403, "AccessDenied"),
    ("PUT /nowhere", ["Host: evil.example"], 403, "AccessDenied"),
    ("GET /_/crr/status", ["Host: evil.example:8900"], 403, "AccessDenied"),
    ("PUT /nowhere?wait=x", [], 405, "MethodNotAllowed"),
    ("POST /_/crr/pause/nobody?wait=x", [], 404, "RouteNotFound"),
    ("GET /_/crr/failed?marker=x&sitename=S1", [], 400, "InvalidQueryParameter"),
    ("GET /_/crr/failed?sitename=S1", [], 503, "ServiceUnavailable"),
  ])
  func firstBrokenRuleAnswers(_ line: String, _ fields: [String], _ status: Int, _ name: String) throws {
    let api = try API()
    #expect(try api.ask(line, fields: fields).isError(status, name))
    #expect(api.service.asked.isEmpty)
  }

  @Test func refusalKeepsTheConnection() throws {
    let api = try API()
    let client = HTTPTestClient(port: api.listener.address.port)
    client.send(API.request("POST /_/crr/pause", body: "{}", fields: ["Sec-Fetch-Site: cross-site"]) + API.request("GET /_/crr/status/S1"))
    #expect(api.reactor.response(for: client)?.status == 403)
    #expect(api.reactor.response(for: client)?.status == 200)
  }

  @Test(arguments: [("Host: node-a:8900", 200), ("Host: NODE-A", 200), ("Host: node-b", 403), ("Host: 127.0.0.1:1", 200), ("Host: [::1]", 200)])
  func allowedHostsMayBeNamedFromLoopback(_ host: String, _ status: Int) throws {
    let api = try API(policy: CallerPolicy(allowedHosts: ["node-a"]))
    #expect(try api.ask("GET /_/crr/status", fields: [host]).status == status)
  }

  @Test func policyMayChangeAtAReload() throws {
    let api = try API()
    #expect(try api.ask("GET /_/crr/status", fields: ["Host: node-a"]).status == 403)
    api.routes.policy = CallerPolicy(allowedHosts: ["node-a"])
    #expect(try api.ask("GET /_/crr/status", fields: ["Host: node-a"]).status == 200)
  }

  @Test func deadProvidersDoNotStopAPause() throws {
    let api = try API()
    #expect(try api.ask("GET /_/healthcheck").isError(503, "ServiceUnavailable"))
    #expect(try api.ask("POST /_/crr/pause").isEmptyObject)
  }

  @Test func noAnswerCarriesCORSHeaders() throws {
    let api = try API()
    for line in ["GET /_/crr/status", "OPTIONS /_/crr/status", "GET /nowhere"] {
      let answer = try api.ask(line, fields: ["Origin: http://evil.example", "Access-Control-Request-Method: POST"])
      #expect(!answer.headers.contains { $0.name.hasPrefix("access-control") })
    }
  }

  @Test func bodyBeyondOneMiBIs413() throws {
    let api = try API()
    #expect(try api.ask("POST /_/crr/failed", body: String(repeating: " ", count: 1_048_577)).isError(413, "EntityTooLarge"))
    #expect(try api.ask("POST /_/crr/pause", body: String(repeating: " ", count: 1_048_576)).isEmptyObject)
  }

  @Test func pagesCarryTheirSecurityPolicy() throws {
    let pages = [
      StaticPage(path: "/", contentType: Response.html, body: Array("<p>hello".utf8)),
      StaticPage(path: "/dashboard.js", contentType: "text/javascript", body: Array("1".utf8)),
    ]
    let api = try API(pages: pages)
    let page = try api.ask("GET /")
    #expect(page.text == "<p>hello")
    #expect(page["content-type"] == "text/html; charset=utf-8")
    #expect(page["content-security-policy"] == "default-src 'self'; frame-ancestors 'none'")
    #expect(try api.ask("GET /dashboard.js")["content-type"] == "text/javascript")
    #expect(try api.ask("GET /dashboard.css").isError(404, "RouteNotFound"))
    #expect(try API().ask("GET /").isError(404, "RouteNotFound"))
  }
}
