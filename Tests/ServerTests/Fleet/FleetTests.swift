// Nothing lost, little repeated, order kept: real daemons under load, killed and stopped at random moments, joined and left
// by others all the time. `DOWNBEAT_TEST_LONG=1` is the long mode; `DOWNBEAT_TEST_SEED` repeats the choices of a run.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

private let isLong = getenv("DOWNBEAT_TEST_LONG") != nil

private func setting(_ name: String, long: Int, short: Int) -> Int {
  getenv(name).flatMap { Int(String(cString: $0)) } ?? (isLong ? long : short)
}

@Suite(.serialized) struct FleetTests {
  /// A kill repeats what was begun and not committed: the slots, a slotful that finished, and what all the slots can finish
  /// in the shortest time between two commits (100 ms) and while one is on its way, for which as much is allowed.
  private func repeatsMax(_ fleet: Fleet) -> Int { 2 * fleet.slots + fleet.shape.concurrency * 200 / fleet.shape.taskMs }

  @Test func killsAtRandomMomentsLoseNothingAndRepeatLittle() throws {
    let kills = setting("DOWNBEAT_TEST_KILLS", long: 200, short: 8)
    var random = SeededGenerator(seed: testSeed)
    let fleet = try Fleet()
    for name in ["a", "b", "c"] { try fleet.start(try fleet.addNode(name)) }
    fleet.feed()
    /// What a node that was killed at rest had said last, by its life.
    var settled: [Int: String] = [:]
    for number in 0..<kills {
      // Under load: each of the three has finished something in the life it is in. Every other time in the middle of
      // whatever the group does then, else when it has come to rest.
      let isAtRest = number % 2 == 0
      let isLoaded = isAtRest ? fleet.settle() : fleet.run(within: .seconds(60)) { fleet.nodes.allSatisfy { fleet.endsOfThisLife($0) > 5 } }
      #expect(isLoaded, "seed \(testSeed), kill \(number): a node does nothing: \(fleet.logs)")
      let victim = fleet.nodes[Int.random(in: 0..<3, using: &random)]
      let process = try #require(victim.process)
      let unrest = Fleet.unrest(process)
      fleet.run(for: .milliseconds(Int.random(in: 0...800, using: &random)))
      fleet.kill(victim)
      // A group that has begun to move since is not at rest: the mock refuses its commits meanwhile.
      if isAtRest, Fleet.unrest(process) == unrest { settled[fleet.trace.life(of: process.pid)] = String(process.output.suffix(2_000)) }
      fleet.run(for: .milliseconds(Int.random(in: 0...300, using: &random)))
      try fleet.start(victim)
    }
    #expect(fleet.finish(), "seed \(testSeed): \(fleet.trace.missing(of: fleet.produced).prefix(10)) \(fleet.logs)")
    #expect(fleet.trace.missing(of: fleet.produced) == [], "seed \(testSeed)")
    #expect(fleet.trace.orderProblems() == [], "seed \(testSeed)")
    let repeats = fleet.trace.repeats(fleet.place)
    let counts = repeats.byKill.filter { settled[$0.key] != nil }.values.sorted()
    print(
      "kills: \(kills), entries: \(fleet.produced), missing 0; repeated by a kill at rest: at most \(counts.last ?? 0) of \(counts.count), "
        + "by all kills: \(repeats.byKill.values.reduce(0, +)), by the mock's rebalances: \(repeats.byRebalance)")
    #expect(repeats.committed == [], "seed \(testSeed): what was committed was done again")
    for (life, count) in repeats.byKill where settled[life] != nil && count > repeatsMax(fleet) {
      Issue.record("seed \(testSeed): \(count) repeated of \(fleet.trace.account(of: life, fleet.place)): \(settled[life] ?? "")")
    }
    #expect(fleet.isCommitted(fleet.nodes[0]))
    for node in fleet.nodes { #expect(fleet.stop(node) == .exited(0)) }
  }

  @Test func aStopUnderLoadRepeatsNothing() throws {
    let stops = setting("DOWNBEAT_TEST_STOPS", long: 20, short: 2)
    var random = SeededGenerator(seed: testSeed)
    let fleet = try Fleet()
    let node = try fleet.addNode("a")
    try fleet.start(node)
    fleet.feed()
    for number in 0..<stops {
      #expect(fleet.run(within: .seconds(60)) { fleet.endsOfThisLife(node) > 20 }, "stop \(number): \(fleet.logs)")
      fleet.run(for: .milliseconds(Int.random(in: 0...500, using: &random)))
      #expect(fleet.stop(node) == .exited(0), "seed \(testSeed), stop \(number)")
      try fleet.start(node)
    }
    #expect(fleet.finish(), "seed \(testSeed): \(fleet.logs)")
    #expect(fleet.isCommitted(node))
    #expect(fleet.stop(node) == .exited(0))
    #expect(fleet.trace.missing(of: fleet.produced) == [])
    #expect(fleet.trace.orderProblems() == [])
    #expect(fleet.trace.runs.values.allSatisfy { $0.count == 1 }, "seed \(testSeed): \(fleet.trace.repeats(fleet.place))")
  }

  /// A node is added or killed every five seconds.
  @Test func aStormOfRebalancesLosesNothingAndKeepsTheOrder() throws {
    let storm = try Storm()
    var guests: [FleetNode] = []
    for _ in 0..<setting("DOWNBEAT_TEST_STORM", long: 60, short: 6) {
      let adds = guests.isEmpty || (guests.count < 2 && Int.random(in: 0...1, using: &storm.random) == 0)
      if adds {
        guests.append(try storm.add())
      } else {
        storm.kill(guests.remove(at: Int.random(in: 0..<guests.count, using: &storm.random)))
      }
    }
    let recoveries = storm.end()
    for (event, recovery) in zip(storm.events, recoveries) where recovery > storm.recoveryMax {
      // A partition may come to a node that is killed before the rebalance is over: that kill has its own ten seconds.
      let kills = storm.events.count { $0.isKill && $0.ns > event.ns && $0.ns - event.ns < recovery }
      let isInTime = recovery <= storm.recoveryMax * Int64(1 + kills)
      #expect(isInTime, "seed \(testSeed): \(recovery / 1_000_000) ms after \(event), \(kills) kills in between")
    }
  }

  /// A node is added, one is killed, one is added… every five seconds, and whoever is killed, ten seconds later all goes on: one kill is over
  /// before the next, so there is nothing to make allowance for. A dead member is noticed after its session, 4.5 s, and the mock then
  /// waits another 3.5 for the others.
  @Test func aStormInTurnsIsRecoveredFromEachTime() throws {
    var shape = Fleet.Shape()
    shape.assemblesAtOnce = true
    let storm = try Storm(shape)
    for number in 0..<setting("DOWNBEAT_TEST_STORM", long: 60, short: 6) {
      if number % 2 == 0 {
        _ = try storm.add()
      } else {
        let running = storm.fleet.nodes.filter(\.isRunning)
        storm.kill(running[Int.random(in: 0..<running.count, using: &storm.random)])
      }
    }
    for (event, recovery) in zip(storm.events, storm.end()) {
      #expect(recovery <= storm.recoveryMax, "seed \(testSeed): \(recovery / 1_000_000) ms after \(event)")
    }
  }
}

/// Two nodes under load, joined by others that come and go.
private final class Storm {
  struct Event {
    let ns: Int64
    let isKill: Bool
    let node: String
  }

  let fleet: Fleet
  var random = SeededGenerator(seed: testSeed)
  private(set) var events: [Event] = []
  /// On a machine that runs all the tests at once the mock's own timers are late.
  let recoveryMax: Int64 = isLong ? 10_000_000_000 : 30_000_000_000
  private static let interval = Duration.seconds(5)
  /// After the last event, for it to be recovered from under load.
  private static let afterwards = Duration.seconds(10)

  init(_ shape: Fleet.Shape = Fleet.Shape()) throws {
    fleet = try Fleet(shape)
    for name in ["a", "b"] { try fleet.start(try fleet.addNode(name)) }
    fleet.feed()
    #expect(fleet.run(within: .seconds(60)) { fleet.nodes.allSatisfy { fleet.endsOfThisLife($0) > 10 } }, "\(fleet.logs)")
  }

  func add() throws -> FleetNode {
    let node = try fleet.addNode("guest\(events.count)")
    events.append(Event(ns: Instant.nowUncached().ns, isKill: false, node: node.name))
    try fleet.start(node)
    fleet.run(for: Self.interval)
    return node
  }

  func kill(_ node: FleetNode) {
    events.append(Event(ns: Instant.nowUncached().ns, isKill: true, node: node.name))
    fleet.kill(node)
    fleet.run(for: Self.interval)
  }

  /// Everything is done, once and in order. - Returns: ns from each event until something of every partition had ended.
  func end() -> [Int64] {
    fleet.run(for: Self.afterwards)
    #expect(fleet.finish(), "seed \(testSeed): \(fleet.trace.missing(of: fleet.produced).prefix(10)) \(fleet.logs)")
    #expect(fleet.trace.missing(of: fleet.produced) == [], "seed \(testSeed)")
    #expect(fleet.trace.orderProblems() == [], "seed \(testSeed)")
    let recoveries = events.map { event in
      fleet.trace.recovery(after: event.ns, groups: fleet.shape.partitions) { $0 % fleet.shape.partitions } ?? .max
    }
    let repeats = fleet.trace.repeats(fleet.place)
    print(
      "storm: \(events.count) events, entries: \(fleet.produced), recovery ms: "
        + "\(zip(events, recoveries).map { "\($0.isKill ? "kill" : "add") \($0.node) \($1 / 1_000_000)" }), "
        + "repeats: \(repeats.byKill.values.reduce(0, +)) by kills, \(repeats.byRebalance) by the mock's rebalances")
    #expect(repeats.committed == [], "seed \(testSeed): what was committed was done again")
    for node in fleet.nodes where node.isRunning { #expect(fleet.stop(node) == .exited(0)) }
    return recoveries
  }
}
