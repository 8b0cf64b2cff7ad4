// A random source that one integer replays (SplitMix64, Steele, Lea and Flood 2014). Tests print the seed on failure.

public struct SeededRandom: RandomNumberGenerator, Sendable {
  public let seed: UInt64
  private var state: UInt64

  public init(seed: UInt64) {
    self.seed = seed
    state = seed
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  /// 0 ..< bound. The bias is below 2^-32 for the small bounds of tests; it is a multiplication, not a loop.
  public mutating func below(_ bound: Int) -> Int {
    Int(((next() >> 32) &* UInt64(bound)) >> 32)
  }

  /// True with a probability of `percent` in 100.
  public mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}
