// A server on the test's own thread: a handler that answers as its paths say, a listener on a free port, real sockets.
import HTTP
import Reactor
import TestSupport

/// `/hello` answers its request; `/later` keeps the responder for the test; `/size/N` answers N octets.
final class ScriptedHandler: RequestHandler {
  var requests: [String] = []
  var bodies: [[UInt8]] = []
  var waiting: [Responder] = []

  func handle(_ head: RequestHead, bytes: Span<UInt8>, body: [UInt8], responder: Responder) {
    let path = bytes.text(in: head.path)
    requests.append(bytes.text(in: head.methodName) + " " + path)
    bodies.append(body)
    if path.hasPrefix("/later") { return waiting.append(responder) }
    if path.hasPrefix("/size/"), let size = Int(path.dropFirst(6)) {
      return responder.respond(Response(.ok, contentType: Response.plainText, body: [UInt8](repeating: 0x78, count: size)))
    }
    responder.respond(Response(.ok, contentType: Response.plainText, text: path + String(decoding: body, as: UTF8.self)))
  }
}

struct Server {
  let reactor: Reactor
  let handler = ScriptedHandler()
  let listener: Listener

  init(bindAddress: String = "127.0.0.1", _ adjust: (inout HTTPLimits) -> Void = { _ in }) throws {
    var limits = HTTPLimits()
    adjust(&limits)
    reactor = try Reactor()
    listener = try Listener(reactor: reactor, bindAddress: bindAddress, port: 0, limits: limits, handler: handler)
  }

  var port: UInt16 { listener.address.port }

  func client() -> HTTPTestClient { HTTPTestClient(port: port) }

  /// One request on its own connection.
  func ask(_ text: String, toHEAD: Bool = false) -> ClientResponse? {
    let client = client()
    client.send(text)
    return reactor.response(for: client, toHEAD: toHEAD)
  }

  func turn(_ count: Int = 3) {
    for _ in 0..<count { reactor.runOnce(waitMax: .zero) }
  }
}

func get(_ path: String, _ fields: String = "") -> String { "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n" }
func post(_ path: String, _ body: String, _ fields: String = "") -> String {
  "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)"
}
