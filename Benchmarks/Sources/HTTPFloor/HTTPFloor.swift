// The HTTP layer alone: answers every request with the same bytes until it is ended. Run beside `perf/run.sh rest` it tells the
// server's own cost from that of the routes. `http-floor PORT`.
internal import HTTP
internal import Reactor

private final class FixedAnswer: RequestHandler {
  private let response = Response(.ok, text: #"{"aws-east":"enabled","archive":"enabled"}"#)

  func handle(_ head: RequestHead, bytes: Span<UInt8>, body: [UInt8], responder: Responder) { responder.respond(response) }
}

@main struct HTTPFloor {
  static func main() throws {
    guard CommandLine.arguments.count == 2, let port = UInt16(CommandLine.arguments[1]) else {
      fatalError("usage: http-floor PORT")
    }
    let reactor = try Reactor(name: "http-floor")
    let listener = try Listener(reactor: reactor, bindAddress: "127.0.0.1", port: port, handler: FixedAnswer())
    print("listening on \(listener.address)")
    reactor.run()
  }
}
