import Pipeline
import PipelineCore
import Reactor
import TestSupport
import Testing

/// The four promises of a 200, on several nodes.
@Suite struct ControlCoordinatorTests {
  let world: SimulatedDeployment
  var key: LocationKey { world.key }

  init() throws { world = try SimulatedDeployment() }

  @Test func aNewLocationIsMadeOnceAndEnabledEverywhere() {
    #expect(world.startNodes(["a", "b", "c"]))
    #expect(world.isEnabledEverywhere)
    #expect(world.ensemble.text(key) == #"{"paused":false}"#)
    #expect(world.nodes.allSatisfy { $0[key].told.count == 1 })
  }

  @Test func aNewIngestionLocationStartsPaused() {
    let ring = LocationKey(.ingestion, "ring")
    let node = world.startNode("a", keys: [ring])
    #expect(world.runUntil { node[ring].isPaused == true })
    #expect(world.ensemble.text(ring) == #"{"paused":true}"#)
  }

  /// When the answer comes, every node acts on it and every node says so.
  @Test func anAnsweredPauseIsDurableAndSeenByEveryNode() {
    #expect(world.startNodes(["a", "b", "c"]))
    #expect(world.change(.pause, by: world.nodes[1]) == .done)
    #expect(world.ensemble.text(key) == #"{"paused":true,"scheduledResume":null}"#)
    #expect(world.isPausedEverywhere)
    for node in world.nodes {
      var answer: PauseStatesAnswer?
      node.coordinator.desiredStates(of: [key]) { answer = $0 }
      #expect(answer == .states([key: PauseState(paused: true)], staleSeconds: nil), "answered from memory, without a wait")
    }
    #expect(world.change(.resume, by: world.nodes[2]) == .done)
    #expect(world.isEnabledEverywhere)
  }

  @Test func repeatingAnyCallIsHarmlessAndWritesNothing() {
    #expect(world.startNodes(["a", "b"]))
    for command in [StateCommand.resume, .unschedule, .pause, .pause, .unschedule, .resume, .resume] {
      #expect(world.change(command, by: world.nodes[0]) == .done)
    }
    // One more than the two changes: the first order gives a fresh state its second member, as Backbeat's does.
    #expect(world.ensemble.writeCount == 3)
    #expect(world.nodes[1][key].told == [false, false, true, false])
  }

  @Test func severalLocationsInOneCall() {
    #expect(world.startNodes(["a", "b"], keys: [key, world.other]))
    #expect(world.change(.pause, at: [key, world.other], by: world.nodes[0]) == .done)
    #expect(world.nodes.allSatisfy { $0[key].isPaused == true && $0[world.other].isPaused == true })
    #expect(world.change(.resume, at: [key], by: world.nodes[0]) == .done)
    #expect(world.nodes.allSatisfy { $0[key].isPaused == false && $0[world.other].isPaused == true })
    #expect(world.change(.pause, at: [], by: world.nodes[0]) == .done)
  }

  // MARK: Faults

  @Test func withoutTheStoreNothingIsPublishedAndNothingHappensLater() {
    #expect(world.startNodes(["a", "b"]))
    world.ensemble.isUp = false
    let listener = RecordingBusObserver()
    let bus = LocalBus(reactor: world.reactor, exchange: world.exchange)
    bus.subscribe(.prefix(""))
    bus.start(observer: listener)
    let start = Instant.nowUncached()
    guard case .unavailable(_, outcomeUnknown: false) = world.change(.pause, by: world.nodes[0]) else {
      Issue.record("not answered as unavailable")
      return
    }
    #expect(Instant.nowUncached() - start < world.limits.confirmMax + .milliseconds(200))
    world.ensemble.isUp = true
    #expect(world.runUntil { world.nodes.allSatisfy(\.coordinator.isReady) })
    world.run(for: .milliseconds(100))
    #expect(world.isEnabledEverywhere)
    #expect(listener.messages.isEmpty)
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    #expect(listener.messages.filter { $0.contains("pauseService") }.count == 1)
  }

  @Test func aWriteWhoseAnswerIsLostIsCalledUnknown() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[0].store.losesNextAnswer = true
    guard case .unavailable(let text, outcomeUnknown: true) = world.change(.pause, by: world.nodes[0]) else {
      Issue.record("not answered as unknown")
      return
    }
    #expect(text.contains("outcome unknown"))
    // It had happened, and every node connected ends in it.
    #expect(world.runUntil { world.nodes[1][key].isPaused == true })
    world.nodes[0].store.connect()
    #expect(world.runUntil { world.isPausedEverywhere })
  }

  @Test func aConnectionThatComesBackInTimeIsNotNoticed() {
    #expect(world.startNodes(["a", "b"]))
    let node = world.nodes[0]
    node.store.losesNextAnswer = true
    world.reactor.schedule(after: .milliseconds(60)) { _ in node.store.connect() }
    #expect(world.change(.pause, by: node) == .done)
    #expect(world.runUntil { world.isPausedEverywhere })
  }

  @Test func withoutTheBusNodesFollowTheirWatch() {
    #expect(world.startNodes(["a", "b", "c"]))
    world.exchange.isUp = false
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    #expect(world.isPausedEverywhere)
    world.exchange.isUp = true
    #expect(world.change(.resume, by: world.nodes[1]) == .done)
    #expect(world.isEnabledEverywhere)
  }

  @Test func aLostWatchIsMadeUpForByTheMessage() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[1].store.losesWatches = true
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    #expect(world.isPausedEverywhere)
  }

  @Test func aLostWatchAndALostMessageAreMadeUpForByTheAudit() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[1].store.losesWatches = true
    world.exchange.messagesToLose = 1
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    #expect(world.runUntil { world.isPausedEverywhere })
  }

  @Test func aNodeThatDoesNotAnswerDelaysTheAnswerOnlySoMuch() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[1].store.disconnect()
    let start = Instant.nowUncached()
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    let took = Instant.nowUncached() - start
    #expect(took >= world.limits.propagateMax && took < world.limits.propagateMax + .milliseconds(300))
    world.nodes[1].store.connect()
    #expect(world.runUntil { world.isPausedEverywhere })
  }

  @Test func aNodeThatStartsWithoutTheStoreWaits() {
    world.ensemble.isUp = false
    let node = world.startNode("a")
    world.run(for: .milliseconds(150))
    #expect(node[key].told.isEmpty)
    #expect(!node.coordinator.isReady)
    world.ensemble.isUp = true
    #expect(world.runUntil { node[key].isPaused == false })
  }

  @Test func sessionsThatExpireAreMadeUpFor() {
    #expect(world.startNodes(["a", "b"]))
    for node in world.nodes { node.store.expireSession() }
    #expect(world.runUntil { world.ensemble.reports[key]?.isEmpty == true })
    for node in world.nodes { node.store.connect() }
    #expect(world.runUntil { world.ensemble.reports[key]?.count == 2 && world.isReported })
    #expect(world.change(.pause, by: world.nodes[1]) == .done)
    #expect(world.isPausedEverywhere)
  }

  @Test func garbageInTheStoreKeepsWhatIsKnownAndAPauseReplacesIt() {
    #expect(world.startNodes(["a", "b"]))
    world.ensemble.put(key, "garbage")
    world.run(for: .milliseconds(50))
    #expect(world.isEnabledEverywhere)
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    #expect(world.ensemble.text(key) == #"{"paused":true,"scheduledResume":null}"#)
    #expect(world.isPausedEverywhere)
  }

  @Test func aLocationThatIsRemovedIsLeftAloneAndItsStateStays() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[0].coordinator.remove(key)
    #expect(world.runUntil { world.ensemble.reports[key]?.keys.sorted() == ["b"] })
    #expect(world.change(.pause, by: world.nodes[1]) == .done)
    world.run(for: .milliseconds(50))
    #expect(world.nodes[0][key].told == [false])
    world.nodes[0].add(key)
    #expect(world.runUntil { world.nodes[0][key].isPaused == true })
  }

  /// Who has to act together, as in leaving a consumer group, learns when everybody is that far, and not before.
  @Test func nodesLearnWhenAllHaveDrained() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[1][key].inFlightAtPause = 1
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    world.run(for: .milliseconds(50))
    #expect(world.nodes.allSatisfy { $0[key].drainedCount == 0 })
    world.nodes[1][key].say(.disabled, 0)
    #expect(world.runUntil { world.nodes.allSatisfy { $0[key].drainedCount > 0 } })
  }

  // MARK: Two operators

  /// Commands fired at random nodes, up to four open at a time: in the end every node acts on the stored state, which is that of
  /// the last command acknowledged when the others had ended before it began.
  @Test func manyOperatorsConverge() {
    // Not the times are under test here.
    (world.limits.confirmMax, world.limits.propagateMax) = (.seconds(30), .seconds(30))
    #expect(world.startNodes(["a", "b", "c"]))
    var random = SeededGenerator(seed: testSeed)
    for round in 0..<250 {
      var open = 0
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        open += 1
        let command: StateCommand = Bool.random(using: &random) ? .pause : .resume
        world.nodes.randomElement(using: &random)!.coordinator.change(command, at: [key]) { outcome in
          #expect(outcome == .done, "seed \(testSeed) round \(round)")
          open -= 1
        }
      }
      #expect(world.runUntil { open == 0 })
      let last: StateCommand = Bool.random(using: &random) ? .pause : .resume
      #expect(world.change(last, by: world.nodes.randomElement(using: &random)!) == .done)
      let stored = world.ensemble.text(key) == #"{"paused":true,"scheduledResume":null}"#
      #expect(stored == (last == .pause), "seed \(testSeed) round \(round)")
      #expect(world.nodes.allSatisfy { $0[key].isPaused == stored }, "seed \(testSeed) round \(round)")
    }
  }
}
