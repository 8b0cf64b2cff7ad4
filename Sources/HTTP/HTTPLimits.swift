// Every bound of the HTTP server in one place: what a peer may send, how long it may take, how much we hold for it.
// The values are defaults; a listener takes its own copy, so tests shrink them instead of waiting.
internal import Reactor

/// What one connection and one listener may use. All byte counts are octets on the wire.
public struct HTTPLimits: Sendable, Equatable {
  /// Request line plus fields plus the final CRLF; more is answered 431.
  public var headBytesMax = 16_384
  /// Octets of the request target; more is answered 414 (RFC 9112 3 asks for at least 8000).
  public var targetBytesMax = 8_192
  /// Field lines of one head; more is answered 431.
  public var fieldCountMax = 100
  /// Decoded body; more is answered 413.
  public var bodyBytesMax = 1_048_576
  /// Bodies of all connections together, while they are arriving; what would go beyond is answered 503.
  public var bodyBytesTotalMax = 16_777_216
  /// Chunk extensions of one whole body, all together.
  public var chunkExtensionBytesMax = 4_096
  /// Trailer section of one body; checked, then dropped.
  public var trailerBytesMax = 8_192

  /// Unsent output beyond which no further request of that connection is read or started.
  public var outputBytesHigh = 65_536
  /// Requests one connection may have answered in one turn before the others get theirs.
  public var requestsPerTurnMax = 64
  /// Output gathered in one turn before it is written although more requests are waiting.
  public var outputBytesPerTurnMax = 65_536
  /// Connections one listener serves at once; at the bound an idle one is closed for the newcomer, else accepting pauses.
  public var connectionsMax = 2_048
  /// Connections accepted in one turn.
  public var acceptsPerTurnMax = 64
  /// A connection idle for less is not closed for a newcomer: it may be about to send.
  public var evictableIdle: Duration = .seconds(1)
  /// How long accepting pauses when the process is out of descriptors or memory, or all connections are busy.
  public var acceptPause: Duration = .milliseconds(100)

  /// From the first octet of a head to its end; also from the connection to the first octet.
  public var headTimeout: Duration = .seconds(10)
  /// Without one more octet of the body.
  public var bodyIdleTimeout: Duration = .seconds(10)
  /// For the whole body, however steadily it trickles.
  public var bodyTotalTimeout: Duration = .seconds(60)
  /// Between two requests of a kept connection.
  public var keepAliveTimeout: Duration = .seconds(75)
  /// For the handler to answer; above the longest `?wait`, so it only ends what was forgotten.
  public var answerTimeout: Duration = .seconds(3_700)
  /// Without one octet of our output being taken.
  public var writeStallTimeout: Duration = .seconds(20)
  /// After an answer that ends the connection: how long, and how much, we still read so that the answer is not reset away.
  public var discardTimeout: Duration = .seconds(2)
  public var discardBytesMax = 8_388_608
  /// After `stop`: how long answers under way may take before they are cut.
  public var drainTimeout: Duration = .seconds(5)

  public init() {}

  /// Longest request line we look at: method, two spaces, target, `HTTP/1.1`, CRLF.
  var requestLineBytesMax: Int { HTTPLimits.methodBytesMax + targetBytesMax + 12 }

  /// Longest method token we look at (RFC 9112 3: a longer one is 501); the longest registered has 17 octets.
  static let methodBytesMax = 32
  /// Empty lines skipped before a request line (RFC 9112 2.2 asks for at least one).
  static let leadingEmptyLinesMax = 4
}

/// The time-outs as plain nanoseconds: they are added on every turn of every connection.
struct DeadlinesNs {
  let head, bodyIdle, bodyTotal, keepAlive, answer, writeStall, discard, evictableIdle: Int64

  init(_ limits: HTTPLimits) {
    head = limits.headTimeout.nanoseconds
    bodyIdle = limits.bodyIdleTimeout.nanoseconds
    bodyTotal = limits.bodyTotalTimeout.nanoseconds
    keepAlive = limits.keepAliveTimeout.nanoseconds
    answer = limits.answerTimeout.nanoseconds
    writeStall = limits.writeStallTimeout.nanoseconds
    discard = limits.discardTimeout.nanoseconds
    evictableIdle = limits.evictableIdle.nanoseconds
  }
}
