// The reactor's end of the embedded populator: takes entries from the lister, gives them to the producer, remembers each
// until the consumer has committed past it, and sends the room back as credits. Lives on the reactor; never blocks.
//
// The owner wires it: `produce` to the location's producer, `delivered` to its delivery reports, `committed` to its
// consumer's commits. Bounded by the windows: what is here was reserved by the lister before it left.

internal import DequeModule
public import Reactor

public final class EnqueuePort {
  /// Hands an entry to the location's producer.
  /// - Returns: false if the producer is full now; `pump` tries again.
  public typealias Produce = (_ item: EnqueueItem, _ token: UInt64) -> Bool

  /// Entries given to the producer in one go; the rest waits for the next turn.
  static let producesPerTurnMax = 512

  private let populator: EmbeddedPopulator
  private let produce: Produce
  private var waiting: Deque<EnqueueItem> = []
  /// Entries at the producer, by token.
  private var sent: [EnqueueCredit?] = []
  private var free: [Int] = []
  /// By location, then partition.
  private var unconsumed: [[UnconsumedEntries]]
  private var credits: [EnqueueCredit] = []
  private var hook: HookToken?

  /// - Parameter partitionCounts: partitions of each location's topic, as in the populator's configuration.
  public init(populator: EmbeddedPopulator, partitionCounts: [Int], produce: @escaping Produce) {
    precondition(partitionCounts.count == populator.locationCount)
    self.populator = populator
    self.produce = produce
    unconsumed = partitionCounts.map { [UnconsumedEntries](repeating: UnconsumedEntries(), count: $0) }
  }

  /// - Parameter onEvent: called on the reactor for every event of the populator.
  public func start(on reactor: Reactor, onEvent: @escaping (Reactor, PopulatorEvent) -> Void) {
    reactor.attach(populator.entries) { [self] _, batch in
      waiting.append(contentsOf: batch)
      pump()
    }
    reactor.attach(populator.events) { reactor, batch in for event in batch { onEvent(reactor, event) } }
    hook = reactor.addBeforeSleep { [self] _ in
      pump()
      sendCredits()
    }
  }

  public func stop(on reactor: Reactor) {
    if let hook { reactor.removeBeforeSleep(hook) }
    hook = nil
    reactor.detach(populator.entries)
    reactor.detach(populator.events)
  }

  /// Entries at the producer or waiting for it.
  public var backlog: Int { waiting.count + sent.count - free.count }

  /// Gives waiting entries to the producer while it takes them. Also runs before each sleep.
  public func pump() {
    for _ in 0..<Self.producesPerTurnMax {
      guard let item = waiting.first else { return }
      let token = takeToken(item.credit(wasEnqueued: true))
      guard produce(item, UInt64(token)) else {
        freeToken(token)
        return
      }
      waiting.removeFirst()
    }
  }

  /// The producer's report on one entry.
  /// - Parameter offset: where the broker put it; nil: it did not, and the location lists again.
  /// - Returns: the index of the location, and the partition, it was for.
  @discardableResult
  public func delivered(token: UInt64, offset: Int64?) -> (location: Int, partition: Int32) {
    guard let credit = freeToken(Int(token)) else { preconditionFailure("delivery of an unknown entry \(token)") }
    guard let offset else {
      var lost = credit
      lost.wasEnqueued = false
      credits.append(lost)
      return (Int(credit.location), credit.partition)
    }
    let (location, partition) = (Int(credit.location), Int(credit.partition))
    if let late = unconsumed[location][partition].produced(offset: offset, credit) { credits.append(late) }
    return (location, credit.partition)
  }

  /// The location's consumer committed: everything below `next` is done.
  public func committed(location: Int, partition: Int32, next: Int64) {
    unconsumed[location][Int(partition)].committed(next: next) { credits.append($0) }
  }

  private func sendCredits() {
    guard !credits.isEmpty else { return }
    credits.removeFirst(populator.credits.push(contentsOf: credits))
  }

  private func takeToken(_ credit: EnqueueCredit) -> Int {
    if let slot = free.popLast() {
      sent[slot] = credit
      return slot
    }
    sent.append(credit)
    return sent.count - 1
  }

  @discardableResult
  private func freeToken(_ token: Int) -> EnqueueCredit? {
    guard sent.indices.contains(token), let credit = sent[token] else { return nil }
    sent[token] = nil
    free.append(token)
    return credit
  }
}
