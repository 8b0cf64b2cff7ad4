// The whole of the core under random schedules. `DOWNBEAT_SIM_SCHEDULES` sets how many (default 10,000),
// `DOWNBEAT_SIM_SEED` replays one with its trace, `DOWNBEAT_SIM_FIRST` moves the range (long mode: many runs).

import Testing

#if canImport(Glibc)
  import CLinux
  import Glibc
#endif

private func setting(_ name: String) -> UInt64? {
  guard let text = getenv(name) else { return nil }
  return UInt64(String(cString: text))
}

private enum Batch {
  static let count = 16
  static let schedules = Int(setting("DOWNBEAT_SIM_SCHEDULES") ?? 10_000)
  static let first = setting("DOWNBEAT_SIM_FIRST") ?? 1
}

@Test(arguments: 0..<Batch.count)
func everyScheduleKeepsThePromises(batch: Int) {
  guard setting("DOWNBEAT_SIM_SEED") == nil else { return }
  var number = batch
  while number < Batch.schedules {
    let seed = Batch.first + UInt64(number)
    if let broken = World(seed: seed).run() {
      let replay = World(seed: seed, isTracing: true)
      _ = replay.run()
      Issue.record("DOWNBEAT_SIM_SEED=\(seed) \(replay.shape)\n\(broken)\n\(replay.history)")
      return
    }
    number += Batch.count
  }
}

@Test func oneSeedReplaysItsSchedule() {
  guard let seed = setting("DOWNBEAT_SIM_SEED") else { return }
  let world = World(seed: seed, isTracing: true)
  let broken = world.run()
  print("seed \(seed) \(world.shape)\n\(world.history)")
  #expect(broken == nil)
}

/// The corners: each of these pairs must come up.
@Test func theSchedulesReachTheCorners() {
  var coverage = Coverage()
  for seed in 1...2000 as ClosedRange<UInt64> {
    let world = World(seed: seed)
    world.coverage.isOn = true
    _ = world.run()
    coverage.merge(world.coverage)
  }
  if setting("DOWNBEAT_SIM_COVERAGE") != nil { print(coverage.location.sorted { $0.key < $1.key }, coverage.rebalance) }
  let rebalances = [
    "idle granted", "owning granted", "owning revoking", "owning lost", "owning drained", "owning timedOut",
    "draining granted", "draining drained", "draining timedOut", "draining lost", "idle timedOut",
  ]
  for pair in rebalances { #expect(coverage.rebalance[pair, default: 0] > 0, "\(pair)") }
  let locations = [
    "waiting pause", "waiting resume", "waiting stop", "joining pause", "joining stop", "enabled pause", "enabled revoked",
    "enabled assigned", "enabled stop", "draining resume", "draining revoked", "draining assigned", "draining stop",
    "committing resume", "committing revoked", "committing assigned", "committing committed", "committing refused",
    "committing timedOut", "committing stop", "backoff retryDue", "leaving resume", "leaving revoked", "leaving left",
    "leavingFirst left", "held resume", "held assigned", "held revoked", "held stop", "out resume", "out assigned", "out stop",
    "stopDraining revoked", "stopCommitting committed", "stopCommitting revoked", "closing revoked", "closing closed",
  ]
  for pair in locations { #expect(coverage.location[pair, default: 0] > 0, "\(pair)") }
}

@Test func theSameSeedGivesTheSameHistory() {
  for seed in 1...20 as ClosedRange<UInt64> {
    let first = World(seed: seed, isTracing: true)
    let second = World(seed: seed, isTracing: true)
    _ = (first.run(), second.run())
    #expect(first.history == second.history)
    #expect(!first.history.isEmpty)
  }
}
