// The page at `/`: whole without any other server, and asking only what the API answers.
import HTTP
import Pipeline
import TestSupport
import Testing

@testable import Server

@Suite struct DashboardTests {
  private func text(_ path: String) throws -> String {
    String(decoding: try #require(Dashboard.pages.first { $0.path == path }).body, as: UTF8.self)
  }

  @Test func itIsServedWithItsPartsAndNothingFromOutside() throws {
    let api = try API(pages: Dashboard.pages)
    let page = try api.ask("GET /")
    #expect(page.status == 200 && page["content-type"] == "text/html; charset=utf-8")
    let linked = page.text.matches(of: /(?:src|href)="([^"]*)"/).map { String($0.1) }
    #expect(linked.sorted() == ["dashboard.css", "dashboard.js"])
    for path in linked { #expect(try api.ask("GET /\(path)").status == 200) }
    for page in Dashboard.pages {
      let text = String(decoding: page.body, as: UTF8.self)
      // The policy it is sent with forbids both; a browser would only say so in its console.
      #expect(!text.contains("//") || page.path == "/dashboard.js")
      #expect(text.matches(of: /https?:|style="|onclick=/).isEmpty)
    }
  }

  /// Names of objects are anybody's: none may become markup.
  @Test func itWritesTextOnlyAsText() throws {
    let script = try text("/dashboard.js")
    #expect(script.matches(of: /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/).isEmpty)
  }

  @Test func whatItAsksIsAnswered() throws {
    let api = try API(pages: Dashboard.pages)
    let name = try #require(api.service.locations(of: .crr).first)
    for request in [
      "GET /_/crr/locations", "GET /_/ingestion/locations", "GET /_/lifecycle/locations", "GET /_/ready", "POST /_/crr/pause/\(name)",
      "DELETE /_/crr/resume/\(name)/schedule", "POST /_/crr/resume/\(name)",
    ] {
      #expect(try api.ask(request).status == 200, "\(request)")
    }
  }
}
