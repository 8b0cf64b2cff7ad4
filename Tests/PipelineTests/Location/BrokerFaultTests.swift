// One location against a cluster of three brokers that fails in every way it can be made to, all the time: errors for every
// kind of request, cut connections, brokers away, partitions that move or have no leader, slow answers, a coordinator that
// moves. Afterwards everything has been done and told in order, is committed, and the node fetches as before.
// `DOWNBEAT_TEST_LONG=1` is the long mode; `DOWNBEAT_TEST_SEED` repeats the faults of a run, though not their timing.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

/// Of one round.
private let faultsFor = Duration.seconds(6)
private let isLong = getenv("DOWNBEAT_TEST_LONG") != nil
private let rounds = isLong ? 15 : 1

/// Runs of entries `k<key>` with a number for a version, in the order they happened.
private final class RunBook: Sendable {
  private struct Key {
    var running = 0
    /// Numbers that have been done at least once.
    var done: Set<Int> = []
    /// The highest that has begun.
    var begun = -1
  }
  private struct State {
    var keys: [String: Key] = [:]
    var problems: [String] = []
    var runs = 0
  }
  private let state = Lock(State())
  let taskMs: Int

  init(taskMs: Int) { self.taskMs = taskMs }

  var problems: [String] { state.withLock { $0.problems } }
  var runs: Int { state.withLock { $0.runs } }
  func doneCount() -> Int { state.withLock { $0.keys.values.reduce(0) { $0 + $1.done.count } } }

  func begin(_ key: String, _ number: Int, before: Int?) {
    state.withLock { state in
      var record = state.keys[key] ?? Key()
      if record.running > 0 { state.problems.append("\(key): two at once at \(number)") }
      if number > record.begun, let before, !record.done.contains(before) {
        state.problems.append("\(key): \(number) began before \(before) was done")
      }
      record.running += 1
      record.begun = max(record.begun, number)
      state.runs += 1
      state.keys[key] = record
    }
  }

  func end(_ key: String, _ number: Int, isDone: Bool) {
    state.withLock { state in
      state.keys[key]?.running -= 1
      if isDone { state.keys[key]?.done.insert(number) }
    }
  }
}

private final class BookedReplicator: EntryReplicator {
  private let book: RunBook
  private let keys: Int
  init(_ book: RunBook, keys: Int) {
    self.book = book
    self.keys = keys
  }

  func replicate(_ entry: ReplicationEntry) async -> WorkResult {
    let number = Int(entry.versionId ?? "") ?? -1
    book.begin(entry.key, number, before: number >= keys ? number - keys : nil)
    await Reactor.current?.pause(for: .milliseconds(book.taskMs))
    let isDone = !Task.isCancelled
    book.end(entry.key, number, isDone: isDone)
    return WorkResult(isDone ? .done(bytes: 1) : .abandoned)
  }
}

/// Makes something go wrong every few hundred milliseconds, and right again soon after.
private struct Faults {
  let broker: EmbeddedBroker
  let partitions: Int
  var random: SeededRandom
  private var nextAt = Instant.nowUncached()
  private var repairs: [(at: Instant, what: () throws -> Void)] = []
  private(set) var history: [String] = []

  /// What a broker may answer to each kind of request, and a client must bear.
  private static let errors: [(request: EmbeddedBroker.Request, codes: [KafkaError.Code])] = [
    (.produce, [.notEnoughReplicas, .notLeader, .requestTimedOut, .transport, .topicAuthorizationFailed, .unknownTopicOrPartition]),
    (.fetch, [.notLeader, .transport, .requestTimedOut, .leaderNotAvailable, .offsetOutOfRange, .brokerNotAvailable, .unknownTopicOrPartition]),
    (.listOffsets, [.notLeader, .transport, .leaderNotAvailable, .requestTimedOut]),
    (.metadata, [.transport, .leaderNotAvailable]),
    (.offsetCommit, [.rebalanceInProgress, .notCoordinator, .requestTimedOut, .transport, .coordinatorLoading, .topicAuthorizationFailed]),
    (.offsetFetch, [.coordinatorLoading, .notCoordinator, .transport]),
    (.findCoordinator, [.coordinatorNotAvailable, .transport]),
    (.joinGroup, [.coordinatorLoading, .notCoordinator, .transport]),
    (.syncGroup, [.rebalanceInProgress, .notCoordinator, .transport]),
    (.heartbeat, [.rebalanceInProgress, .notCoordinator, .transport, .unknownMember, .illegalGeneration]),
  ]
  /// Those that throw a member out: it takes the mock seconds to let it in again.
  private static let expulsions: Set<KafkaError.Code> = [.unknownMember, .illegalGeneration]

  init(_ broker: EmbeddedBroker, partitions: Int, seed: UInt64) {
    self.broker = broker
    self.partitions = partitions
    random = SeededRandom(seed: seed)
  }

  /// Once a turn of the loop.
  mutating func step() throws {
    let now = Instant.nowUncached()
    for repair in repairs where repair.at <= now { try repair.what() }
    repairs.removeAll { $0.at <= now }
    guard now >= nextAt else { return }
    nextAt = now + .milliseconds(40 + random.below(260))
    try cause(now)
  }

  private mutating func cause(_ now: Instant) throws {
    let broker = broker
    let id = 1 + random.below(broker.brokerCount)
    let partition = random.below(partitions)
    let repairAt = now + .milliseconds(20 + random.below(600))
    switch random.below(12) {
    case 0...5:
      let (request, codes) = Self.errors[random.below(Self.errors.count)]
      var code = codes[random.below(codes.count)]
      if Self.expulsions.contains(code), random.chance(80) { code = .rebalanceInProgress }
      let count = Self.expulsions.contains(code) ? 1 : 1 + random.below(4)
      note("\(request) \(code) \(count)")
      broker.failNext(request, with: Array(repeating: code, count: count))
    case 6:
      note("broker \(id) away")
      try broker.setDown(broker: id)
      repairs.append((repairAt, { try broker.setUp(broker: id) }))
    case 7:
      note("all brokers away")
      try broker.setDown()
      repairs.append((repairAt, { try broker.setUp() }))
    case 8:
      note("[\(partition)] moves to \(id)")
      try broker.setLeader(topic: "entries", partition: partition, broker: id)
    case 9:
      note("[\(partition)] has no leader")
      try broker.setLeader(topic: "entries", partition: partition, broker: nil)
      repairs.append((repairAt, { try broker.setLeader(topic: "entries", partition: partition, broker: id) }))
    case 10:
      let ms = random.below(300)
      note("broker \(id) answers after \(ms) ms")
      try broker.setRoundTrip(milliseconds: ms, broker: id)
      repairs.append((repairAt, { try broker.setRoundTrip(milliseconds: 0, broker: id) }))
    default:
      note("coordinator \(id)")
      try broker.setCoordinator(group: "group", broker: id)
    }
  }

  private mutating func note(_ text: String) { history.append(text) }

  mutating func end() throws {
    for repair in repairs { try repair.what() }
    repairs = []
    for request in EmbeddedBroker.Request.allCases { broker.clearFailures(of: request) }
    try broker.setUp()
  }
}

@Suite(.serialized) struct BrokerFaultTests {
  private static let keys = 60, partitions = 12, taskMs = 5
  /// Two seconds' worth for eight at a time; with the brokers' troubles it lasts longer than they do.
  private static let entriesEachRound = 3_000

  /// With all partitions from the start as in embedded mode; in the long mode also as a member of a group. (About one run in
  /// twenty of that ends with an assignment 2.0.2 does not begin to fetch until the next rebalance: not ready, and nothing lost.)
  @Test(arguments: isLong ? [false, true] : [false]) func nothingIsLostOrOutOfOrderWhateverTheBrokersDo(joins: Bool) throws {
    let book = RunBook(taskMs: Self.taskMs)
    let work = WorkerLocation(
      site: "east",
      kind: .replicator { (_) throws(WorkerLocationError) -> any EntryReplicator in BookedReplicator(book, keys: Self.keys) },
      statusTopic: "status")
    // The mock's first join takes 3 s; a session must outlast it. Should the mock forget a member with the answer to its
    // join, that join is tried again when the polling interval is over.
    let user = [
      "session.timeout.ms": "6000", "max.poll.interval.ms": "10000", "heartbeat.interval.ms": "200",
      "reconnect.backoff.ms": "50", "reconnect.backoff.max.ms": "300",
      "retry.backoff.ms": "50", "topic.metadata.refresh.fast.interval.ms": "100", "socket.timeout.ms": "5000",
    ]
    let bench = try LocationBench(
      brokers: 3, partitions: Self.partitions, limits: .init(concurrency: 8, waitingMax: 8), joins: joins, user: user, work: work)
    let statuses = try LetterReader(bench, topic: "status", partitions: LocationBench.statusPartitions)
    var faults = Faults(bench.broker, partitions: Self.partitions, seed: testSeed)
    bench.paused(false, version: 0)
    for round in 1...rounds {
      let count = round * Self.entriesEachRound
      let comment = { "seed \(testSeed), round \(round): \(faults.history.suffix(20))\n\(state(of: bench))" }
      try produce(bench, from: count - Self.entriesEachRound, to: count)
      #expect(bench.runUntil { book.doneCount() > count - Self.entriesEachRound })
      let end = Instant.nowUncached() + faultsFor
      while Instant.nowUncached() < end {
        bench.reactor.runOnce(waitMax: .milliseconds(10))
        try faults.step()
      }
      try faults.end()
      let doneMeanwhile = book.doneCount() - count + Self.entriesEachRound
      try #require(bench.reactor.runUntil(within: .seconds(30)) { book.doneCount() == count }, "\(comment())")
      if !bench.reactor.runUntil(within: .seconds(30), { bench.isAllCommitted() }) {
        // Seen once in some hundred runs beside many other tests. Late or never: that tells where to look.
        let then = comment()
        let isLate = bench.reactor.runUntil(within: .seconds(120)) { bench.isAllCommitted() }
        Issue.record("not committed 30 s after the last fault, \(isLate ? "but later" : "nor in two minutes more"): \(then)")
        break
      }
      #expect(book.problems == [], "\(comment())")
      let counters = bench.location.counters
      #expect(counters.gapEntries == 0 && counters.deadLettered == 0 && counters.failed == 0, "\(comment())")
      #expect(bench.location.consumer.statistics.jumps == 0, "\(comment())")
      #expect(bench.runUntil { bench.isLocationReady && !bench.location.isFetchStalled }, "\(comment())")
      #expect(bench.runUntil { versions(of: statuses).count == count }, "not every entry has a status: \(comment())")
      print(
        "\(faults.history.count) faults: \(count) entries, \(doneMeanwhile) during the last \(faultsFor), \(book.runs - count) repeated, "
          + "\(bench.location.consumer.statistics.recoveries) recoveries, \(bench.location.consumer.statistics.assignments) assignments")
    }
    statuses.close()
    #expect(bench.runUntil { statuses.isClosed })
    bench.end()
  }

  private func state(of bench: LocationBench) -> String {
    "\(bench.location.counters)\n\(bench.survey())\n\(bench.lines.all.suffix(40).joined(separator: "\n"))"
  }

  private func produce(_ bench: LocationBench, from: Int, to: Int) throws {
    for start in stride(from: from, to: to, by: 1_000) {
      try bench.produce(
        (start..<min(start + 1_000, to)).map { number in
          let key = number % Self.keys
          let text = entryText("k\(key)", version: String(number))
          return (Array("photos%2Fk\(key)".utf8), Array(text.utf8), Partition(Int32(key % Self.partitions)))
        })
    }
  }

  private func versions(of statuses: LetterReader) -> Set<String> {
    Set(
      statuses.letters.compactMap { letter in
        guard let value = letter.value, case .replicate(let entry) = EntryDecoder.decode(value.span, site: nil) else { return nil }
        return entry.versionId
      })
  }
}
