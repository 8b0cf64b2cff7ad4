// Gives free memory back once a node has come to rest: bursts that follow each other within a minute find the memory of the last one,
// and a node that has nothing to do holds none.
internal import Reactor

/// - Thread: T0.
final class IdleMemory {
  static let period = Duration.seconds(60)

  struct Work: Equatable {
    /// Entries, since the start.
    var taken: UInt64
    var isUnderWay: Bool
  }

  private let reactor: Reactor
  private let period: Duration
  private let work: () -> Work
  private let giveBack: () -> Void
  /// Entries taken at the last look; and when memory was last given back.
  private var seen: UInt64 = 0
  private var settled: UInt64 = 0
  private var timer: TimerToken?

  /// - Parameter work: what the node does, at each look.
  init(
    reactor: Reactor, period: Duration = IdleMemory.period, work: @escaping () -> Work, giveBack: @escaping () -> Void = HeapMemory.giveBack
  ) {
    self.reactor = reactor
    self.period = period
    self.work = work
    self.giveBack = giveBack
    watch()
  }

  deinit {
    if let timer { reactor.cancel(timer) }
  }

  private func watch() {
    timer = reactor.schedule(after: period) { [weak self] _ in
      self?.look()
      self?.watch()
    }
  }

  private func look() {
    let now = work()
    let isResting = now == Work(taken: seen, isUnderWay: false)
    seen = now.taken
    guard isResting, now.taken != settled else { return }
    settled = now.taken
    giveBack()
  }
}
