// The seam between the server and what it serves: a handler gets each complete request and a responder to answer it with,
// at once or later. The server keeps order, framing, time-outs and back-pressure; the handler never sees a socket.

/// Whatever serves requests. Lives on the reactor's thread.
public protocol RequestHandler: AnyObject {
  /// One complete request of one connection; the next of that connection comes after it has been answered.
  /// - Parameter head: offsets into `bytes`.
  /// - Parameter bytes: valid during the call only; copy what is needed later.
  /// - Parameter body: decoded, at most `HTTPLimits.bodyBytesMax` octets; empty if there was none.
  /// - Parameter responder: to be used exactly once.
  /// - Thread: reactor. - Blocking: must never.
  func handle(_ head: RequestHead, bytes: Span<UInt8>, body: [UInt8], responder: Responder)
}

/// Answers one request. A copyable token, so that a closure can keep it; costs no allocation.
public struct Responder {
  let connection: Connection
  let sequence: UInt64

  /// Sends the answer; if the client has gone it is dropped.
  /// - Precondition: the first and only call for this request.
  /// - Thread: reactor. - Blocking: never; the octets leave at the end of the turn.
  public func respond(_ response: borrowing Response) { connection.answer(sequence, response) }

  public func respond(_ error: HTTPError) { connection.answer(sequence, error.response) }

  /// The TCP peer.
  public var peer: SocketAddress { connection.peer }

  /// As sent in `x-scal-request-id`.
  public var requestID: RequestID { connection.requestID }

  /// Nobody is left to read an answer; work for it may stop. Still answer.
  public var isClientGone: Bool { connection.isClosed }
}
