// Waiting for a condition with a deadline: the only way tests wait.
internal import CLinux
internal import Glibc
public import Reactor

/// The seed of this run: `DOWNBEAT_TEST_SEED`, or one from the clock. Print it in every failure.
public let testSeed: UInt64 = {
  if let text = getenv("DOWNBEAT_TEST_SEED"), let seed = UInt64(String(cString: text)) { return seed }
  return UInt64(bitPattern: Instant.nowUncached().ns)
}()

/// SplitMix64: small, seeded, the same on every machine.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64
  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// A deadline of some seconds is there so that a test cannot hang, and says nothing of speed: a machine that is busy with
/// other tests gets it several times over. Shorter ones may be claims, and stay as they are.
private func patient(_ deadline: Duration) -> Duration { deadline < .seconds(5) ? deadline : deadline * 4 }

extension Reactor {
  /// Turns the loop until `condition` holds. - Returns: false when `deadline` passed first.
  public func runUntil(within deadline: Duration = .seconds(10), _ condition: () -> Bool) -> Bool {
    let end = Instant.nowUncached() + patient(deadline)
    while !condition() {
      if Instant.nowUncached() > end { return false }
      runOnce(waitMax: .milliseconds(20))
    }
    return true
  }
}

/// Polls `condition` from a thread that has no reactor. - Blocking: at most `deadline`.
public func eventually(within deadline: Duration = .seconds(10), _ condition: () throws -> Bool) rethrows -> Bool {
  let end = Instant.nowUncached() + patient(deadline)
  while try !condition() {
    if Instant.nowUncached() > end { return false }
    var brief = timespec(tv_sec: 0, tv_nsec: 2_000_000)
    nanosleep(&brief, nil)
  }
  return true
}
