// HTTP as storage sees it: a request head and body blocks in, a response head and body blocks out. Storage knows nothing of
// the library underneath, so a leaner one can take its place.
//
// Back-pressure: `send` waits until there is room, `receive` until there is something; what is neither sent nor received
// stays with the peer. Nothing is followed, retried or decoded here: a redirect is an answer like any other.
//
// - Thread: a transport and its exchanges belong to one reactor; the async functions run on its executor. One task at a
//   time uses an exchange.

public struct HTTPHeader: Hashable, Sendable {
  public var name: String
  public var value: String

  public init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}

public struct OutgoingRequest: Sendable {
  public enum Body: Sendable {
    case none
    /// Sent by the transport itself.
    case bytes([UInt8])
    /// So many bytes are given with `send`.
    case streamed(length: Int64)
  }

  public var method: String
  public var origin: HTTPOrigin
  /// Path and query, percent-encoded; sent exactly as it stands here.
  public var target: String
  /// Without `host` and `content-length`, which the transport writes.
  public var headers: HeaderLines
  public var body = Body.none
  /// Bytes expected in the answer, where known: the transport's buffers follow. Not a bound.
  public var expectedBytes: Int64?
  /// PEM file of the authorities to trust instead of the system's.
  public var caFile: String?

  var url: String { origin.url + target }

  public init(method: String, origin: HTTPOrigin, target: String, headers: [HTTPHeader] = [], body: Body = .none) {
    self.init(method: method, origin: origin, target: target, lines: HeaderLines(headers), body: body, expectedBytes: nil, caFile: nil)
  }

  init(
    method: String, origin: HTTPOrigin, target: String, lines: HeaderLines, body: Body, expectedBytes: Int64?, caFile: String?
  ) {
    self.method = method
    self.origin = origin
    self.target = target
    self.headers = lines
    self.body = body
    self.expectedBytes = expectedBytes
    self.caFile = caFile
  }
}

public protocol Transport: AnyObject {
  /// Starts a request. - Blocking: no.
  func begin(_ request: OutgoingRequest) -> any HTTPExchange
}

/// One request and its answer.
public protocol HTTPExchange: AnyObject {
  /// Gives the next bytes of a streamed body; waits while `blocksAheadMax` pieces are not yet taken.
  /// - Parameter range: of the block's filled bytes; not empty.
  /// - Returns: false if nothing more will be taken, because the peer has answered already.
  func send(_ block: Block, _ range: Range<Int>) async throws(TransportError) -> Bool
  /// Waits until every block given was taken, so that the caller's transfer holds none.
  func flush() async throws(TransportError)
  /// The head of the answer.
  func response() async throws(TransportError) -> ResponseHead
  /// False when `receive` may have to wait for a buffer: see `ObjectBody.hasBuffer`.
  var hasBuffer: Bool { get }
  /// The next block of the answer's body; nil at its end. A body that ends before its length is an error.
  func receive() async throws(TransportError) -> Block?
  /// Ends it at any point; without effect when it has ended.
  func cancel()
}

/// Why there was no (whole) answer.
public struct TransportError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Kind: Hashable, Sendable {
    /// No connection: refused, no route, no such host.
    case unreachable
    /// The connection ended before the answer was complete, or what came is no HTTP.
    case broken
    /// The peer stood still for too long.
    case stalled
    /// The peer is not who it should be.
    case untrusted
    case cancelled
    /// The request cannot be made like this.
    case impossible
  }

  public let kind: Kind
  public let message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var description: String { message }
}

/// How patient a transport is, and how much it keeps.
public struct TransportLimits: Hashable, Sendable {
  /// For the connection including TLS.
  public var connect: Duration = .seconds(10)
  /// Seconds in a row in which the peer, at its turn, moved less than `bytesPerSecondMin`.
  public var stalledSecondsMax = 60
  public var bytesPerSecondMin = 256
  /// Idle connections kept for the next request.
  public var idleConnectionsMax = 128

  public init() {}
}
