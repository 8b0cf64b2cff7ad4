import Pipeline
import PipelineCore
import Reactor
import TestSupport
import Testing

/// Messages of others, states that vanish, and reads without the store.
@Suite struct ControlForeignTests {
  let world: SimulatedDeployment
  var key: LocationKey { world.key }

  init() throws { world = try SimulatedDeployment() }

  // MARK: Foreign commands

  @Test func aForeignCommandIsCarriedOutByOneNode() {
    #expect(world.startNodes(["a", "b", "c"]))
    world.publishForeign(#"{"action":"pauseService"}"#)
    #expect(world.runUntil { world.isPausedEverywhere })
    world.run(for: .milliseconds(300))
    #expect(world.ensemble.writeCount == 1)
    world.publishForeign(#"{"action":"resumeService"}"#)
    #expect(world.runUntil { world.isEnabledEverywhere })
    #expect(world.ensemble.writeCount == 2)
  }

  // MARK: Announcements

  /// Nobody waits for the store's disks: entries are held back at every node while the pause is being stored.
  @Test func aPauseIsAnnouncedBeforeItIsStored() {
    #expect(world.startNodes(["a", "b", "c"]))
    world.ensemble.delayMaxMs = 100
    var outcome: ChangeOutcome?
    world.nodes[1].coordinator.change(.pause, at: [key]) { outcome = $0 }
    #expect(world.nodes[1][key].announcedCount == 1, "at once where the operator asked")
    #expect(world.runUntil { world.nodes.allSatisfy { $0[key].announcedCount >= 1 } })
    #expect(world.runUntil { outcome == .done } && world.isPausedEverywhere)
    // Paused already, resumed, scheduled: there is nothing to hold back.
    let before = world.nodes.map { $0[key].announcedCount }
    for command in [StateCommand.pause, .schedule(atMs: WallClock.nowMs() + 3_600_000), .unschedule, .resume] {
      #expect(world.change(command, by: world.nodes[0]) == .done)
    }
    #expect(world.nodes.map { $0[key].announcedCount } == before)
  }

  @Test func aPauseThatCannotBeStoredIsNotAnnounced() {
    #expect(world.startNodes(["a", "b"]))
    world.ensemble.isUp = false
    #expect(world.runUntil { !world.nodes[0].store.connection.isConnected })
    guard case .unavailable = world.change(.pause, by: world.nodes[0]) else {
      Issue.record("stored without a store")
      return
    }
    #expect(world.nodes.allSatisfy { $0[key].announcedCount == 0 })
  }

  @Test func anAnnouncementThatComesTooLateIsNotHeeded() throws {
    #expect(world.startNodes(["a", "b"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done && world.change(.resume, by: world.nodes[0]) == .done)
    let before = world.nodes.map { $0[key].announcedCount }
    let known = try #require(world.nodes[0][key].versions.last).number
    let channel = try #require(ControlChannels().announcements(.crr))
    for after in [0, known - 1] {
      world.publish(PauseAnnouncement(location: key.location, origin: "z", after: after).bytes, on: channel)
    }
    world.publish(PauseAnnouncement(location: "elsewhere", origin: "z", after: known).bytes, on: channel)
    world.publish(PauseAnnouncement(location: key.location, origin: "a", after: known).bytes, on: channel)
    #expect(world.runUntil { world.nodes[1][key].announcedCount == before[1] + 1 }, "of the other node")
    #expect(world.nodes[0][key].announcedCount == before[0], "its own words")
    world.publish(PauseAnnouncement(location: key.location, origin: "z", after: known).bytes, on: channel)
    #expect(world.runUntil { world.nodes.map { $0[key].announcedCount } == [before[0] + 1, before[1] + 2] })
    for text in ["", "{}", #"{"location":"aws-east"}"#, #"{"location":"aws-east","origin":"z","after":"1"}"#] {
      world.publish(Array(text.utf8), on: channel)
    }
    #expect(world.nodes.allSatisfy { $0.coordinator.statistics.messagesMalformed == 4 })
    #expect(world.isEnabledEverywhere && world.ensemble.writeCount == 2)
  }

  /// Who tells Backbeat's nodes tells ours as well, before anything is stored.
  @Test func aForeignPauseIsHeededWhileItIsBeingStored() {
    #expect(world.startNodes(["a", "b"]))
    world.publishForeign(#"{"action":"pauseService"}"#)
    #expect(world.nodes.allSatisfy { $0[key].announcedCount == 1 && $0[key].isPaused == false })
    #expect(world.runUntil { world.isPausedEverywhere })
  }

  /// A message of one of us says that a later state is stored: the gate closes before that state has been read.
  @Test func aPauseOfANewVersionIsAnnouncedToTheLocation() throws {
    #expect(world.startNodes(["a", "b"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    let before = world.nodes.map { $0[key].announcedCount }
    let version = try #require(world.nodes[0][key].versions.last).number
    #expect(world.change(.resume, by: world.nodes[0]) == .done)
    // What is known already, a resume, and what tells no version announce nothing; a later version does, though it is not there.
    for text in [
      #"{"action":"pauseService","origin":"z","version":\#(version)}"#, #"{"action":"resumeService","origin":"z","version":\#(version + 9)}"#,
      #"{"action":"pauseService","origin":"z"}"#,
    ] { world.publishForeign(text) }
    world.run(for: .milliseconds(100))
    #expect(world.nodes.map { $0[key].announcedCount } == before)
    world.publishForeign(#"{"action":"pauseService","origin":"z","version":\#(version + 9)}"#)
    #expect(world.runUntil { world.nodes.map { $0[key].announcedCount } == before.map { $0 + 1 } })
    // It is a wake-up, no command: nothing was paused by it.
    world.run(for: .milliseconds(100))
    #expect(world.isEnabledEverywhere)
  }

  @Test func ofTwoForeignCommandsTheLaterOneHolds() {
    #expect(world.startNodes(["a", "b"]))
    for _ in 0..<20 {
      world.publishForeign(#"{"action":"pauseService"}"#)
      world.publishForeign(#"{"action":"resumeService"}"#)
    }
    world.publishForeign(#"{"action":"pauseService"}"#)
    #expect(world.runUntil { world.isPausedEverywhere })
    world.run(for: .milliseconds(300))
    #expect(world.isPausedEverywhere)
  }

  /// The first by id has died, and its report has not expired yet: the next one takes its turn.
  @Test func theNextNodeCarriesOutWhatTheFirstDoesNot() {
    #expect(world.startNodes(["a", "b", "c"]))
    world.nodes[0].bus.stop {}
    world.nodes[0].store.disconnect()
    world.publishForeign(#"{"action":"pauseService"}"#)
    #expect(world.runUntil { world.nodes[1][key].isPaused == true && world.nodes[2][key].isPaused == true })
    world.run(for: .milliseconds(300))
    #expect(world.ensemble.writeCount == 1)
  }

  @Test func aNodeThatDoesNotHearIsPassedOver() {
    #expect(world.startNodes(["a", "b"]))
    let first = world.nodes[0]
    first.bus.stop {}
    first.coordinator.controlBus(first.bus, became: .down(reason: "test"))
    #expect(world.runUntil { world.nodes[1].coordinator.overview(of: key)?.nodes.first?.hearsBus == false })
    let start = Instant.nowUncached()
    world.publishForeign(#"{"action":"pauseService"}"#)
    #expect(world.runUntil { world.nodes[1][key].isPaused == true })
    #expect(Instant.nowUncached() - start < world.limits.foreignTurn)
  }

  @Test func aWakeUpNeverWrites() {
    #expect(world.startNodes(["a", "b"]))
    world.publishForeign(#"{"action":"pauseService","origin":"somebody","version":7}"#)
    world.run(for: .milliseconds(100))
    #expect(world.isEnabledEverywhere)
    #expect(world.ensemble.writeCount == 0)
    #expect(world.nodes.allSatisfy { $0.coordinator.statistics.messagesWaking == 1 })
  }

  @Test func malformedMessagesAreCountedAndHurtNobody() {
    #expect(world.startNodes(["a"]))
    for text in [
      "", "{", "[]", "null", "{\"action\":7}", "{\"action\":\"explode\"}", "\u{0}", String(repeating: "[", count: 100_000),
    ] {
      world.publishForeign(text)
    }
    #expect(world.nodes[0].coordinator.statistics.messagesMalformed == 8)
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
  }

  @Test func aForeignCommandOutlivesAShortAbsenceOfTheStore() {
    #expect(world.startNodes(["a", "b"]))
    world.ensemble.isUp = false
    world.publishForeign(#"{"action":"pauseService"}"#)
    world.run(for: .milliseconds(200))
    world.ensemble.isUp = true
    #expect(world.runUntil { world.isPausedEverywhere })
  }

  // MARK: States that vanish

  @Test func aDeletedEntryIsMadeAgainAsItWas() {
    #expect(world.startNodes(["a", "b"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    world.ensemble.delete(key)
    #expect(world.runUntil { world.ensemble.text(key) == #"{"paused":true,"scheduledResume":null}"# })
    world.run(for: .milliseconds(100))
    #expect(world.nodes.allSatisfy { !$0[key].told.dropFirst().contains(false) })
    #expect(world.change(.resume, by: world.nodes[0]) == .done)
  }

  /// Running stays running, paused stays paused, also for a node that starts right after the wipe and knows nothing.
  @Test func wipedDataIsMadeAgainByThoseWhoKnow() {
    #expect(world.startNodes(["a", "b"], keys: [key, world.other]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    world.ensemble.isUp = false
    world.ensemble.wipe()
    world.ensemble.isUp = true
    let late = world.startNode("z", keys: [key, world.other])
    #expect(world.runUntil { world.nodes.allSatisfy(\.coordinator.isReady) })
    world.run(for: .milliseconds(150))
    #expect(world.ensemble.text(key) == #"{"paused":true,"scheduledResume":null}"#)
    #expect(world.ensemble.text(world.other) == #"{"paused":false}"#)
    #expect(late[key].told == [true])
    #expect(late[world.other].told.allSatisfy { !$0 })
    #expect(world.nodes.dropLast().allSatisfy { !$0[key].told.dropFirst().contains(false) })
    #expect(world.change(.resume, by: late) == .done)
    #expect(world.isEnabledEverywhere)
  }

  @Test func pausedWinsOverAnEntryMadeByAnIgnorantNode() {
    #expect(world.startNodes(["a"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    world.ensemble.isUp = false
    world.ensemble.wipe()
    world.ensemble.put(key, #"{"paused":false}"#)
    world.ensemble.isUp = true
    #expect(world.runUntil { world.ensemble.text(key) == #"{"paused":true,"scheduledResume":null}"# })
    #expect(world.nodes[0][key].told == [false, true, true] || world.nodes[0][key].told == [false, true])
  }

  @Test func whatWasKeptOnDiskMakesALostStateAgain() throws {
    let directory = TemporaryDirectory()
    let first = world.startNode("a", kept: KeptStates(reactor: world.reactor, directory: directory.path))
    #expect(world.runUntil { first.coordinator.isReady })
    #expect(world.change(.pause, by: first) == .done)
    var isStopped = false
    first.coordinator.stop { isStopped = true }
    #expect(world.runUntil { isStopped })
    world.ensemble.wipe()
    let second = SimulatedNode("a", in: world, kept: KeptStates(reactor: world.reactor, directory: directory.path))
    second.add(key)
    second.coordinator.start()
    #expect(world.runUntil { second[key].told == [true] })
    #expect(world.ensemble.text(key) == #"{"paused":true,"scheduledResume":null}"#)
  }

  // MARK: Reads without the store

  @Test func withTheStoreAwayReadsAreAnsweredFromTheLastKnownState() {
    #expect(world.startNodes(["a"]))
    #expect(world.change(.pause, by: world.nodes[0]) == .done)
    world.ensemble.isUp = false
    #expect(world.runUntil { !world.nodes[0].coordinator.isReady })
    world.run(for: .milliseconds(1_100))
    guard case .states(let states, let staleSeconds) = world.states(by: world.nodes[0]) else {
      Issue.record("no answer")
      return
    }
    #expect(states == [key: PauseState(paused: true)])
    #expect(staleSeconds == 1)
    #expect(world.isPausedEverywhere, "it goes on as it was")
    world.ensemble.isUp = true
    #expect(world.runUntil { world.nodes[0].coordinator.isReady })
    #expect(world.states(by: world.nodes[0]) == .states([key: PauseState(paused: true)], staleSeconds: nil))
  }

  @Test func whatWasNeverReadIsUnavailable() {
    world.ensemble.isUp = false
    let node = world.startNode("a")
    guard case .unavailable(let text) = world.states(by: node) else {
      Issue.record("answered")
      return
    }
    #expect(text.contains("aws-east"))
  }

  @Test func afterARestartWithoutTheStoreTheDiskAnswersAndNothingRuns() {
    let directory = TemporaryDirectory()
    let first = world.startNode("a", kept: KeptStates(reactor: world.reactor, directory: directory.path))
    #expect(world.runUntil { first.coordinator.isReady })
    var isStopped = false
    first.coordinator.stop { isStopped = true }
    #expect(world.runUntil { isStopped })
    world.ensemble.isUp = false
    let second = SimulatedNode("a", in: world, kept: KeptStates(reactor: world.reactor, directory: directory.path))
    second.add(key)
    second.coordinator.start()
    #expect(
      world.runUntil {
        if case .states(let states, .some) = world.states(by: second) { return states == [key: PauseState(paused: false)] }
        return false
      })
    #expect(second[key].told.isEmpty)
  }

  /// Connected, but the watch is not proven again: the read goes to the store.
  @Test func whatIsNotProvenIsReadBeforeItIsAnswered() {
    #expect(world.startNodes(["a", "b"]))
    world.nodes[1].store.losesWatches = true
    world.nodes[1].store.disconnect()
    world.ensemble.put(key, #"{"paused":true}"#)
    world.run(for: .milliseconds(10))
    world.nodes[1].store.connect()
    #expect(world.states(by: world.nodes[1]) == .states([key: PauseState(paused: true)], staleSeconds: nil))
  }
}

@Suite struct ControlFreshnessTests {
  let world: SimulatedDeployment
  var key: LocationKey { world.key }

  init() throws { world = try SimulatedDeployment() }

  @Test func freshnessFollowsTheConnection() {
    world.ensemble.isUp = false
    let node = world.startNode("a")
    #expect(node.coordinator.freshness(of: key) == .unknown)
    world.ensemble.isUp = true
    #expect(world.runUntil { node.coordinator.freshness(of: key) == .current })
    world.ensemble.isUp = false
    world.run(for: .milliseconds(20))
    #expect(node.coordinator.freshness(of: key) == .stale(seconds: 0))
    #expect(node.coordinator.freshness(of: world.other) == .unknown)
  }

  @Test func theRevisionChangesWithTheStateAndNotWithoutReason() {
    #expect(world.startNodes(["a", "b"]))
    world.run(for: .milliseconds(50))
    let before = world.nodes[0].coordinator.revision
    world.run(for: .milliseconds(600))
    #expect(world.nodes[0].coordinator.revision == before, "audits and reports are no change")
    #expect(world.change(.pause, by: world.nodes[1]) == .done)
    #expect(world.nodes[0].coordinator.revision > before)
  }

  /// A location that nobody has stored yet is told as what it starts with, and does not spoil the answer for the others.
  @Test func aMissingLocationIsToldAsItStarts() {
    world.limits.graceForOthers = .seconds(30)
    #expect(world.startNodes([]))
    world.ensemble.put(world.other, #"{"paused":true}"#)
    let node = world.startNode("a", keys: [key, world.other])
    #expect(world.runUntil { node.coordinator.freshness(of: world.other) == .current })
    let expected = [key: PauseState(paused: false), world.other: PauseState(paused: true)]
    #expect(world.states(by: node, of: [key, world.other]) == .states(expected, staleSeconds: nil))
  }

  @Test func anUnreadableLocationIsToldAsPaused() {
    world.ensemble.put(key, "garbage")
    let node = world.startNode("a")
    #expect(world.runUntil { node.coordinator.storeConnection.isConnected })
    #expect(world.states(by: node) == .states([key: PauseState(paused: true)], staleSeconds: nil))
    #expect(node[key].told.isEmpty)
  }
}
