import Pipeline
import PipelineCore
import Reactor
import TestSupport
import Testing

/// Scheduled resumes on several nodes.
@Suite struct ControlScheduleTests {
  let world: SimulatedDeployment
  var key: LocationKey { world.key }

  init() throws { world = try SimulatedDeployment() }

  private func stored() -> PauseState? {
    guard case .states(let states, _) = world.states(by: world.nodes[0]) else { return nil }
    return states[key]
  }

  @Test func aScheduleFiresOnceAcrossNodes() {
    #expect(world.startNodes(["a", "b", "c"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    let date = WallClock.nowMs() + 150
    #expect(world.change(.schedule(atMs: date), by: world.nodes[1]) == .done)
    #expect(stored() == PauseState(paused: true, resumeAtMs: date))
    let writes = world.ensemble.writeCount
    #expect(world.isPausedEverywhere)
    #expect(world.runUntil { world.isEnabledEverywhere })
    #expect(WallClock.nowMs() >= date)
    world.run(for: .milliseconds(100))
    #expect(world.ensemble.writeCount == writes + 1)
    #expect(world.nodes.map(\.coordinator.statistics.schedulesFired).reduce(0, +) == 1)
    #expect(stored() == PauseState(paused: false))
  }

  @Test func anotherDateReplacesEarlierAndLater() {
    #expect(world.startNodes(["a", "b"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    #expect(world.change(.schedule(atMs: WallClock.nowMs() + 100), by: world.nodes[0]) == .done)
    #expect(world.change(.schedule(atMs: WallClock.nowMs() + 60_000), by: world.nodes[1]) == .done)
    world.run(for: .milliseconds(250))
    #expect(world.isPausedEverywhere, "the older, earlier timer is gone")
    #expect(world.change(.schedule(atMs: WallClock.nowMs() + 50), by: world.nodes[0]) == .done)
    #expect(world.runUntil { world.isEnabledEverywhere })
  }

  @Test func pauseResumeAndUnscheduleCancel() {
    #expect(world.startNodes(["a", "b"]))
    for cancel in [StateCommand.pause, .unschedule] {
      #expect(world.change(.pause, by: world.nodes[0]) == .done)
      #expect(world.change(.schedule(atMs: WallClock.nowMs() + 120), by: world.nodes[0]) == .done)
      #expect(world.change(cancel, by: world.nodes[1]) == .done)
      world.run(for: .milliseconds(200))
      #expect(world.isPausedEverywhere, "\(cancel)")
      #expect(stored() == PauseState(paused: true))
    }
    #expect(world.change(.schedule(atMs: WallClock.nowMs() + 60_000), by: world.nodes[0]) == .done)
    #expect(world.change(.resume, by: world.nodes[1]) == .done)
    #expect(stored() == PauseState(paused: false))
  }

  @Test func aScheduleForAnEnabledLocationStoresAndSaysNothing() {
    #expect(world.startNodes(["a"]))
    let listener = RecordingBusObserver()
    let bus = LocalBus(reactor: world.reactor, exchange: world.exchange)
    bus.subscribe(.prefix(""))
    bus.start(observer: listener)
    #expect(world.change(.schedule(atMs: WallClock.nowMs() + 100), by: world.nodes[0]) == .done)
    #expect(stored() == PauseState(paused: false))
    #expect(world.ensemble.writeCount == 0 && listener.messages.isEmpty)
  }

  @Test func aScheduleThatWasDueWhileAllNodesWereDeadFiresOnceAtStart() {
    #expect(world.startNodes(["a", "b"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    #expect(world.change(.schedule(atMs: WallClock.nowMs() + 100), by: world.nodes[0]) == .done)
    for node in world.nodes { world.kill(node) }
    world.run(for: .milliseconds(150))
    let writes = world.ensemble.writeCount
    #expect(world.startNodes(["c", "d", "e"]))
    #expect(world.runUntil { world.isEnabledEverywhere })
    world.run(for: .milliseconds(100))
    #expect(world.ensemble.writeCount == writes + 1)
  }

  @Test func aScheduleSurvivesTheRestartOfItsNode() {
    #expect(world.startNodes(["a"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    let date = WallClock.nowMs() + 250
    #expect(world.change(.schedule(atMs: date), by: world.nodes[0]) == .done)
    world.kill(world.nodes[0])
    #expect(world.startNodes(["b"]))
    #expect(world.isPausedEverywhere)
    #expect(world.runUntil { world.isEnabledEverywhere })
    #expect(WallClock.nowMs() >= date)
  }

  /// The wall clock steps by an hour after arming: it fires when its time has really passed, neither at once nor an hour late.
  @Test(arguments: [3_600_000, -3_600_000] as [Int64])
  func stepsOfTheWallClockDoNotMoveIt(_ step: Int64) {
    #expect(world.startNodes(["a", "b"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    let start = Instant.nowUncached()
    #expect(world.change(.schedule(atMs: WallClock.nowMs() + 300), by: world.nodes[0]) == .done)
    world.wallStepMs = step
    #expect(world.change(.schedule(atMs: WallClock.nowMs() + 60_000), at: [], by: world.nodes[0]) == .done)
    #expect(world.runUntil { world.isEnabledEverywhere })
    let took = Instant.nowUncached() - start
    #expect(took > .milliseconds(250) && took < .milliseconds(1_500), "\(took)")
  }

  @Test func withTheStoreAwayWhenDueItFiresAfterwards() {
    #expect(world.startNodes(["a", "b"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    #expect(world.change(.schedule(atMs: WallClock.nowMs() + 80), by: world.nodes[0]) == .done)
    world.ensemble.isUp = false
    world.run(for: .milliseconds(300))
    #expect(world.isPausedEverywhere)
    world.ensemble.isUp = true
    #expect(world.runUntil { world.isEnabledEverywhere })
    #expect(stored() == PauseState(paused: false))
  }

  /// What an interrupted resume of Backbeat leaves counts as paused until its date (backbeat-behaviour 2.5).
  @Test func aDateWithoutAPauseIsAPauseUntilThen() {
    world.ensemble.put(key, "{\"paused\":false,\"scheduledResume\":\"\(ISO8601.string(ms: WallClock.nowMs() + 50))\"}")
    #expect(world.startNodes(["a"]))
    #expect(world.runUntil { stored() == PauseState(paused: false) })
    #expect(world.nodes[0][key].told == [true, false])
  }
}
