// What a GET of the state costs, where it can be counted: no heap allocation per request on a kept connection.
import HTTP
import Reactor
import TestSupport
import Testing

@testable import Server

struct StatusCostTests {
  @Test(arguments: ["/_/crr/status", "/_/backbeat/api/crr/status", "/_/crr/status/S2", "/_/crr/resume/S1/schedule"])
  func keptConnectionIsServedWithoutAllocation(_ path: String) throws {
    let api = try API()
    let client = HTTPTestClient(port: api.listener.address.port)
    let request = API.request("GET \(path)", fields: ["User-Agent: curl/7.88.1", "Accept: */*"])
    for _ in 0..<50 {
      client.send(request)
      #expect(api.reactor.response(for: client)?.status == 200)
    }
    var counts: [Int] = []
    for _ in 0..<200 {
      client.send(request)
      // Only the server's turn is counted, not the client's.
      if let count = allocations(in: { api.reactor.runOnce(waitMax: .seconds(1)) }) { counts.append(count) }
      #expect(api.reactor.response(for: client)?.status == 200)
    }
    // The date is rendered anew once a second.
    #expect(counts.filter { $0 > 0 }.count <= 3, "\(counts)")
  }
}
