// The API on the test's own thread: real sockets in front, an in-memory control plane behind.
import HTTP
import Pipeline
import Reactor
import TestSupport
import Testing

@testable import Server

struct API {
  let reactor: Reactor
  let service: MemoryControlService
  let routes: Routes
  let listener: Listener

  init(
    _ service: MemoryControlService = MemoryControlService(), policy: CallerPolicy = CallerPolicy(),
    providers: Routes.Providers = Routes.Providers(), pages: [StaticPage] = []
  ) throws {
    self.service = service
    routes = Routes(service: service, policy: policy, providers: providers, pages: pages)
    reactor = try Reactor()
    listener = try Listener(reactor: reactor, bindAddress: "127.0.0.1", port: 0, handler: routes)
  }

  /// - Parameter line: `GET /_/crr/status`.
  func ask(_ line: String, body: String? = nil, fields: [String] = [], toHEAD: Bool = false) throws -> ClientResponse {
    let client = HTTPTestClient(port: listener.address.port)
    client.send(Self.request(line, body: body, fields: fields))
    return try #require(reactor.response(for: client, toHEAD: toHEAD), "no answer to \(line)")
  }

  static func request(_ line: String, body: String? = nil, fields: [String] = []) -> String {
    let host = fields.contains { $0.hasPrefix("Host:") } ? [] : ["Host: localhost"]
    let length = body.map { ["Content-Length: \($0.utf8.count)"] } ?? []
    return (["\(line) HTTP/1.1"] + host + length + fields).joined(separator: "\r\n") + "\r\n\r\n" + (body ?? "")
  }
}

extension ClientResponse {
  /// Status and the boolean key of an error body.
  func isError(_ status: Int, _ name: String) -> Bool {
    self.status == status && text.hasPrefix("{\"code\":\(status),\"description\":\"") && text.hasSuffix("\",\"\(name)\":true}")
      && self["content-type"] == "application/json"
  }

  var isEmptyObject: Bool { status == 200 && text == "{}" && self["content-type"] == "application/json" }
}

func key(_ location: String, _ service: ControlledService = .crr) -> LocationKey { LocationKey(service, location) }
