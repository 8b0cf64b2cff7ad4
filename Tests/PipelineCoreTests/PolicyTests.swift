// Retries, parts and the breaker (upstream rows 118, 119; backbeat-behaviour 5.2, 5.5).

import PipelineCore
import TestSupport
import Testing

@Test func delaysGrowByTheFactorUpToTheBound() {
  let policy = RetryPolicy(retriesMax: 20, timeout: nil, delayMin: .seconds(1), delayMax: .seconds(10), jitter: 0, factor: 2)
  let delays = (0..<6).map { policy.delay(retries: $0, elapsed: .zero, random: 0.5) }
  #expect(delays == [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(10), .seconds(10)])
  #expect(policy.delay(retries: 20, elapsed: .zero, random: 0.5) == nil)
}

@Test func jitterSpreadsToBothSidesAndNeverBeyondTheBound() throws {
  let policy = RetryPolicy(retriesMax: nil, timeout: nil, delayMin: .seconds(10), delayMax: .seconds(10), jitter: 0.1)
  #expect(try #require(policy.delay(retries: 0, elapsed: .zero, random: 0)) == .seconds(9))
  #expect(try #require(policy.delay(retries: 0, elapsed: .zero, random: 0.999)) == .seconds(10))
  let wide = RetryPolicy(delayMin: .seconds(10), delayMax: .seconds(100))
  var random = SeededRandom(seed: 2)
  let delays = try (0..<500).map { _ in
    try #require(wide.delay(retries: 0, elapsed: .zero, random: Double(random.below(1000)) / 1000))
  }
  #expect(delays.allSatisfy { $0 >= .seconds(9) && $0 <= .seconds(11) })
  #expect(delays.contains { $0 < .milliseconds(9300) } && delays.contains { $0 > .milliseconds(10_700) })
}

@Test func theFirstFailureAfterTheDeadlineStillGetsOneRetry() {
  let policy = RetryPolicy.scality
  #expect(policy.delay(retries: 0, elapsed: .seconds(301), random: 0.5) != nil)
  #expect(policy.delay(retries: 1, elapsed: .seconds(301), random: 0.5) == nil)
  #expect(policy.delay(retries: 4, elapsed: .seconds(299), random: 0.5) != nil)
  #expect(policy.delay(retries: 5, elapsed: .zero, random: 0.5) == nil)
  #expect(RetryPolicy.task.delay(retries: 1000, elapsed: .seconds(1), random: 0.5) == .seconds(300))
}

@Test func objectsAreCutIntoTheUpstreamNumberOfParts() {
  let mib: Int64 = 1 << 20
  let rows: [(Int64, Int)] = [
    (0, 1), (1, 1), (16 * mib, 1), (16 * mib + 1, 2), (16_000 * mib, 1000), (16_000 * mib + 1, 501), (512 * mib * 10_000, 10_000),
    (512 * mib * 10_000 + 1, 5001), (5 << 40, 5120),
  ]
  for (length, count) in rows { #expect(PartPlan(length: length).count == count, "\(length)") }
  #expect(PartPlan(length: 512 * mib * 1024, isGoogle: true).count == 1024)
  #expect(PartPlan(length: 512 * mib * 1024 + 1, isGoogle: true).count == 513)
  #expect(PartPlan(length: 0).range(0) == nil)
}

@Test func partsCoverTheObjectWithoutGapOrOverlap() {
  var random = SeededRandom(seed: 6)
  for _ in 0..<200 {
    let length = Int64(random.below(1 << 31)) << Int64(random.below(10))
    for isGoogle in [false, true] {
      let plan = PartPlan(length: length, isGoogle: isGoogle)
      guard length > 0 else { continue }
      var next: Int64 = 0
      for index in 0..<plan.count {
        guard let range = plan.range(index) else { break }
        if range.lowerBound != next || range.isEmpty { Issue.record("part \(index) of \(length)") }
        next = range.upperBound
      }
      #expect(next == length)
      #expect(plan.count <= (isGoogle ? 1024 : 10_000))
    }
  }
}

// MARK: - The breaker

private func breaker() -> CircuitBreaker {
  var settings = CircuitBreaker.Settings(concurrency: 8)
  settings.failuresMax = 3
  settings.openMinMs = 100
  settings.openMaxMs = 350
  return CircuitBreaker(settings)
}

@Test func failuresInARowOpenItAndASuccessBetweenThemDoesNot() {
  var machine = breaker()
  machine.failed(nowMs: 1)
  machine.failed(nowMs: 2)
  machine.succeeded(nowMs: 3)
  machine.failed(nowMs: 4)
  machine.failed(nowMs: 5)
  #expect(machine.state == .closed)
  machine.failed(nowMs: 6)
  #expect(machine.state == .open(untilMs: 106))
  #expect(machine.nextProbeMs == 106)
  expectEqual(machine.allows(running: 0, nowMs: 105), false)
}

@Test func anOpenBreakerAlwaysHalfOpensByTimeAndLetsOneThrough() {
  var machine = breaker()
  for _ in 0..<3 { machine.failed(nowMs: 0) }
  var waits: [Int64] = []
  for _ in 0..<4 {
    let due = machine.nextProbeMs ?? -1
    expectEqual(machine.allows(running: 0, nowMs: due), true)
    expectEqual(machine.allows(running: 1, nowMs: due), false)
    machine.failed(nowMs: due)
    waits.append((machine.nextProbeMs ?? -1) - due)
  }
  #expect(waits == [200, 350, 350, 350])
}

@Test func afterItClosesTheLimitRampsUpFromOne() {
  var machine = breaker()
  for _ in 0..<3 { machine.failed(nowMs: 0) }
  _ = machine.allows(running: 0, nowMs: 100)
  machine.succeeded(nowMs: 101)
  #expect(machine.state == .halfOpen(succeeded: 1))
  machine.succeeded(nowMs: 102)
  #expect(machine.state == .closed)
  #expect(machine.sinceMs == 102)
  var limits: [Int] = []
  for _ in 0..<36 {
    limits.append(machine.limit)
    machine.succeeded(nowMs: 103)
  }
  #expect(limits[0] == 1 && limits[1] == 2 && limits[3] == 3 && limits[6] == 4 && limits[35] == 8)
  expectEqual(machine.allows(running: 7, nowMs: 104), true)
  expectEqual(machine.allows(running: 8, nowMs: 104), false)
  machine.failed(nowMs: 105)
  #expect(machine.limit == 4)
}

@Test func answersOfAttemptsFromBeforeItOpenedChangeNothing() {
  var machine = breaker()
  for _ in 0..<3 { machine.failed(nowMs: 0) }
  machine.succeeded(nowMs: 1)
  machine.failed(nowMs: 2)
  #expect(machine.state == .open(untilMs: 100))
}

@Test func aBreakerNeverStaysShutWhenTheTargetIsBack() {
  for seed in 0..<100 {
    var random = SeededRandom(seed: UInt64(seed))
    var machine = breaker()
    var now: Int64 = 0
    for _ in 0..<200 {
      now += Int64(random.below(50))
      if machine.allows(running: random.below(9), nowMs: now) {
        if random.chance(50) { machine.failed(nowMs: now) } else { machine.succeeded(nowMs: now) }
      }
      #expect((1...8).contains(machine.limit))
    }
    for _ in 0..<50 {
      now += 50
      if machine.allows(running: 0, nowMs: now) { machine.succeeded(nowMs: now) }
    }
    #expect(machine.state == .closed, "seed \(seed)")
    #expect(machine.limit == 8, "seed \(seed)")
  }
}
