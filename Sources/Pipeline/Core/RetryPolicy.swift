// When a failed attempt is tried again (backbeat-behaviour 5.2): exponential back-off with jitter, by count and by time.

public struct RetryPolicy: Hashable, Sendable {
  /// Retries, the first attempt not counted; nil for no bound.
  public var retriesMax: Int?
  /// No further retry from here on, except that one is always made; nil for no bound.
  public var timeout: Duration?
  public var delayMin: Duration
  public var delayMax: Duration
  /// Share of the delay by which it is spread to both sides, 0 to 1.
  public var jitter: Double
  public var factor: Double

  public init(
    retriesMax: Int? = 5, timeout: Duration? = .seconds(300), delayMin: Duration = .seconds(1),
    delayMax: Duration = .seconds(300), jitter: Double = 0.1, factor: Double = 1.5
  ) {
    self.retriesMax = retriesMax
    self.timeout = timeout
    self.delayMin = delayMin
    self.delayMax = delayMax
    self.jitter = jitter
    self.factor = factor
  }

  /// Backbeat's sample for Scality targets, and the default for any type without its own.
  public static let scality = RetryPolicy()
  /// Backbeat's sample for `aws_s3`, `azure` and `gcp`.
  public static let cloud = RetryPolicy(timeout: .seconds(900), delayMin: .seconds(60), delayMax: .seconds(900))
  /// Tasks beside the copies (metadata, echo): by time only.
  public static let task = RetryPolicy(retriesMax: nil)

  /// The wait before the next attempt.
  /// - Parameter retries: made so far, 0 after the first failure.
  /// - Parameter elapsed: since the first attempt began.
  /// - Parameter random: 0 ..< 1.
  /// - Returns: nil to give up.
  public func delay(retries: Int, elapsed: Duration, random: Double) -> Duration? {
    if let retriesMax, retries >= retriesMax { return nil }
    // The first failure after the deadline still gets one retry.
    if let timeout, elapsed >= timeout, retries > 0 { return nil }
    var delay = delayMin
    var rest = retries
    while rest > 0, delay < delayMax {
      delay = delay * factor
      rest -= 1
    }
    let spread = 1 + jitter * (2 * min(max(random, 0), 1) - 1)
    return min(max(delay, .zero) * spread, delayMax)
  }
}
