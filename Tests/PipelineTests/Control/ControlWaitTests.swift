import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

/// `?wait=`, node reports and what the whole deployment is said to do.
@Suite struct ControlWaitTests {
  let world: SimulatedDeployment
  var key: LocationKey { world.key }

  init() throws { world = try SimulatedDeployment() }

  @Test func drainedIsAnsweredWhenTheLastNodeIs() {
    #expect(world.startNodes(["a", "b", "c"]))
    for node in world.nodes { node[key].inFlightAtPause = 3 }
    var answer: ChangeOutcome?
    world.nodes[0].coordinator.change(.pause, at: [key], wait: .seconds(5)) { answer = $0 }
    #expect(world.runUntil { world.isPausedEverywhere })
    for node in world.nodes {
      world.run(for: .milliseconds(20))
      #expect(answer == nil)
      node[key].say(.disabled, 0)
    }
    #expect(world.runUntil { answer != nil })
    guard case .drained(let overviews) = answer else {
      Issue.record("\(String(describing: answer))")
      return
    }
    #expect(overviews.map(\.state) == [.disabled])
    #expect(overviews.map(\.inFlight) == [0])
  }

  @Test func notDrainedInTimeNamesTheNodes() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[1][key].inFlightAtPause = 7
    guard case .draining(let overviews) = world.change(.pause, by: world.nodes[0], wait: .milliseconds(200)) else {
      Issue.record("not answered as draining")
      return
    }
    #expect(overviews[0].state == .pausing)
    #expect(overviews[0].inFlight == 7)
    #expect(overviews[0].nodes.map(\.nodeId) == ["a", "b"])
    #expect(overviews[0].nodes.map(\.state) == [.disabled, .pausing])
    #expect(overviews[0].nodes[1].lastSeenMs > WallClock.nowMs() - 10_000)
  }

  @Test func withoutANodeThatRunsItNothingIsWaitedFor() {
    let node = world.startNode("api", observer: true)
    #expect(world.runUntil { node.coordinator.isReady })
    guard case .draining(let overviews) = world.change(.pause, by: node, wait: .seconds(30)) else {
      Issue.record("not answered as draining")
      return
    }
    #expect(overviews[0].nodes == [])
  }

  @Test func aResumeMeanwhileEndsTheWait() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[1][key].inFlightAtPause = 1
    var answer: ChangeOutcome?
    world.nodes[0].coordinator.change(.pause, at: [key], wait: .seconds(30)) { answer = $0 }
    #expect(world.runUntil { world.isPausedEverywhere })
    #expect(world.change(.resume, by: world.nodes[1]) == .done)
    #expect(world.runUntil { answer != nil })
    guard case .draining(let overviews) = answer else {
      Issue.record("\(String(describing: answer))")
      return
    }
    #expect(overviews[0].desired.paused == false)
  }

  @Test func aNodeThatDiesWhileItDrainsIsNotWaitedFor() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[1][key].inFlightAtPause = 4
    var answer: ChangeOutcome?
    world.nodes[0].coordinator.change(.pause, at: [key], wait: .seconds(30)) { answer = $0 }
    #expect(world.runUntil { world.isPausedEverywhere })
    world.kill(world.nodes[1])
    #expect(world.runUntil { answer != nil })
    guard case .drained = answer else {
      Issue.record("\(String(describing: answer))")
      return
    }
  }

  @Test func pausedAlreadyAndDrainedIsAnsweredAtOnce() {
    #expect(world.startNodes(["a", "b"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    guard case .drained = world.change(.pause, by: world.nodes[1], wait: .seconds(30)) else {
      Issue.record("not answered as drained")
      return
    }
  }

  /// A node that only serves the API reports the version it knows, so that an answer waits for it, and is no node that drains.
  @Test func anObserverCountsForTheVersionOnly() {
    #expect(world.startNodes(["a"]))
    let observer = world.startNode("api", observer: true)
    #expect(world.runUntil { world.nodes[0].coordinator.locations[key]?.nodes.all.count == 2 })
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    #expect(world.states(by: observer) == .states([key: PauseState(paused: true)], staleSeconds: nil))
    #expect(observer.coordinator.overview(of: key)?.nodes.map(\.nodeId) == ["a"])
  }

  @Test func theCountOfADrainingNodeIsSeenByTheOthers() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[0][key].inFlightAtPause = 9
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    for left in [5, 2] {
      world.nodes[0][key].say(.pausing, left)
      #expect(world.runUntil { world.nodes[1].coordinator.overview(of: key)?.inFlight == left })
      #expect(world.nodes[1].coordinator.overview(of: key)?.state == .pausing)
    }
    world.nodes[0][key].say(.disabled, 0)
    #expect(world.runUntil { world.nodes[1].coordinator.overview(of: key)?.state == .disabled })
  }

  /// A thousand changes of a count are not a thousand writes.
  @Test func countsOfARunningLocationAreNotWrittenEachTime() {
    #expect(world.startNodes(["a", "b"]))
    let zxid = world.ensemble.reports[key]?["a"]?.report
    for count in 0..<1_000 { world.nodes[0][key].say(.enabled, count % 7) }
    world.run(for: .milliseconds(100))
    #expect(world.ensemble.reports[key]?["a"]?.report == zxid)
    #expect(world.nodes[0].coordinator.overview(of: key)?.nodes.first?.inFlight == 999 % 7)
  }

  @Test func reportsAreWrittenAgainNowAndThen() {
    world.limits.heartbeatPeriod = .milliseconds(100)
    #expect(world.startNodes(["a"]))
    let first = world.ensemble.reports[key]?["a"]?.report.writtenAtMs ?? 0
    #expect(world.runUntil { (world.ensemble.reports[key]?["a"]?.report.writtenAtMs ?? 0) > first + 100 })
  }
}
