// How long to wait before the next attempt to connect: doubling from a tenth of a second to three seconds, each delay drawn at
// random from its upper half, so that nodes cut off together do not come back together.
//
// Invariant: an attempt that succeeds and breaks at once counts as a failure; only a connection that held for a while starts the
// delays anew. Without that, a server that accepts and drops everybody is asked ten times a second for ever.
//
// Pure: the time and the random number come in.
internal import Reactor

struct Reconnect: Hashable, Sendable {
  static let delayMin = Duration.milliseconds(100)
  static let delayMax = Duration.seconds(3)
  static let stableAfter = Duration.seconds(5)

  private(set) var failureCount = 0
  private var connectedAt: Instant?

  mutating func connected(at now: Instant) { connectedAt = now }

  /// An attempt failed or the connection broke. - Returns: how long to wait.
  mutating func failed(at now: Instant, random: UInt64) -> Duration {
    if let connectedAt, now - connectedAt >= Self.stableAfter { failureCount = 0 }
    connectedAt = nil
    let ceiling = min(Self.delayMin * (1 << min(failureCount, 10)), Self.delayMax)
    failureCount += 1
    let half = ceiling.nanoseconds / 2
    return .nanoseconds(half + Int64(random % UInt64(half + 1)))
  }
}
