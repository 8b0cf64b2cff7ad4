import PipelineCore
import Testing

@testable import Pipeline

private func version(_ epoch: Int64, _ number: Int64) -> StateVersion { .init(epoch: epoch, number: number) }
private let enabled = StoredState(paused: false)
private let paused = StoredState(paused: true)

private func entry(_ state: StoredState, _ version: StateVersion) -> StoredEntry {
  StoredEntry(json: state.bytes, version: version)
}

private func observed(_ state: StoredState, _ version: StateVersion) -> LocationKnowledge.Event {
  .observed(.entry(entry(state, version), state))
}

@Suite struct LocationKnowledgeTests {
  var knowledge = LocationKnowledge(initial: enabled)

  @Test mutating func whatTheStoreTellsIsDeliveredOnceAndKept() {
    #expect(
      knowledge.handle(observed(paused, version(7, 3))) == [
        .deliver(PauseState(paused: true), version(7, 3)), .keep(entry(paused, version(7, 3))),
      ])
    #expect(knowledge.isConfirmed)
    #expect(knowledge.handle(observed(paused, version(7, 3))) == [])
  }

  @Test mutating func whatTheDiskTellsIsKnownAndNotDelivered() {
    #expect(knowledge.handle(.loaded(entry(paused, version(7, 3)), paused)) == [])
    #expect(knowledge.stored == paused)
    #expect(!knowledge.isConfirmed && knowledge.delivered == nil)
    // The store confirms it: nothing new to keep, but now it is acted on.
    #expect(knowledge.handle(observed(paused, version(7, 3))) == [.deliver(PauseState(paused: true), version(7, 3))])
  }

  @Test mutating func anOlderVersionOfTheSameIncarnationIsIgnored() {
    _ = knowledge.handle(observed(paused, version(7, 3)))
    #expect(knowledge.handle(observed(enabled, version(7, 2))) == [])
    #expect(knowledge.stored == paused)
  }

  @Test mutating func aLostConnectionUnconfirmsAndTheNextReadingConfirms() {
    _ = knowledge.handle(observed(paused, version(7, 3)))
    #expect(knowledge.handle(.connectionLost) == [])
    #expect(!knowledge.isConfirmed)
    #expect(knowledge.handle(observed(paused, version(7, 3))) == [])
    #expect(knowledge.isConfirmed)
  }

  @Test mutating func anUnknownMissingEntryIsMadeAfterTheGrace() {
    #expect(knowledge.handle(.observed(.absent)) == [.startGrace])
    #expect(knowledge.handle(.observed(.absent)) == [])
    let make = [LocationKnowledge.Action.create(json: enabled.bytes)]
    #expect(knowledge.handle(.graceEnded) == make)
    // The attempt failed, the audit sees it missing still.
    #expect(knowledge.handle(.observed(.absent)) == make)
  }

  @Test mutating func whoeverMakesItWithinTheGraceIsHeard() {
    _ = knowledge.handle(.observed(.absent))
    #expect(knowledge.handle(observed(paused, version(9, 0))).first == .deliver(PauseState(paused: true), version(9, 0)))
    #expect(knowledge.handle(.graceEnded) == [])
  }

  @Test mutating func aKnownEntryThatVanishedIsMadeAtOnceAsItWas() {
    _ = knowledge.handle(observed(paused, version(7, 3)))
    #expect(knowledge.handle(.observed(.absent)) == [.create(json: entry(paused, version(7, 3)).json)])
    #expect(!knowledge.isConfirmed)
    #expect(knowledge.handle(observed(paused, version(9, 0))).first == .deliver(PauseState(paused: true), version(9, 0)))
  }

  @Test mutating func aNodeMadeAnewByAnIgnorantOneIsPutBackAndNeverDelivered() {
    _ = knowledge.handle(observed(paused, version(7, 3)))
    #expect(knowledge.handle(observed(enabled, version(9, 0))) == [.restore(paused, over: version(9, 0))])
    #expect(knowledge.stored == paused && knowledge.delivered == version(7, 3))
    #expect(knowledge.handle(observed(paused, version(9, 1))).first == .deliver(PauseState(paused: true), version(9, 1)))
  }

  @Test mutating func theSameHoldsForAStateFromTheDisk() {
    _ = knowledge.handle(.loaded(entry(paused, version(7, 3)), paused))
    guard case .restore = knowledge.handle(observed(enabled, version(9, 0))).first else {
      Issue.record("not restored")
      return
    }
  }

  @Test mutating func aNodeMadeAnewAndWrittenSinceIsWhatSomebodyWanted() {
    _ = knowledge.handle(observed(paused, version(7, 3)))
    #expect(knowledge.handle(observed(enabled, version(9, 1))).first == .deliver(PauseState(paused: false), version(9, 1)))
  }

  @Test mutating func pausedWinsOverEnabledOfAnotherIncarnation() {
    _ = knowledge.handle(observed(enabled, version(7, 3)))
    #expect(knowledge.handle(observed(paused, version(2, 0))).first == .deliver(PauseState(paused: true), version(2, 0)))
  }

  @Test mutating func unreadableTextChangesNothingAndIsComplainedOfOnce() {
    _ = knowledge.handle(observed(paused, version(7, 3)))
    let garbage = StoredEntry(json: Array("x".utf8), version: version(7, 4))
    #expect(knowledge.handle(.observed(.unreadable(garbage, "why"))) == [.complainUnreadable(garbage, "why")])
    #expect(knowledge.handle(.observed(.unreadable(garbage, "why"))) == [])
    #expect(knowledge.stored == paused && knowledge.isUnreadable)
    #expect(knowledge.handle(observed(enabled, version(7, 5))).first == .deliver(PauseState(paused: false), version(7, 5)))
    #expect(!knowledge.isUnreadable)
  }
}

@Suite struct NodeTableTests {
  private func report(
    _ id: String, _ state: EffectiveState, _ inFlight: Int = 0, version number: Int64 = 5, hears: Bool = true,
    observer: Bool = false
  ) -> NodeReport {
    NodeReport(
      nodeId: id, state: state, inFlight: inFlight, sinceMs: 1, version: version(7, number), hearsBus: hears, isObserver: observer
    )
  }

  private func table(_ reports: NodeReport...) -> NodeTable {
    var table = NodeTable()
    table.setOwn(reports.first)
    table.setOthers(reports, except: reports.first?.nodeId ?? "")
    return table
  }

  @Test func theWholeIsAsDesiredOnlyWhenEveryNodeIs() {
    #expect(table(report("a", .disabled), report("b", .disabled)).effectiveState(desired: true) == .disabled)
    #expect(table(report("a", .disabled), report("b", .pausing, 3)).effectiveState(desired: true) == .pausing)
    #expect(table(report("a", .disabled), report("b", .enabled)).effectiveState(desired: true) == .pausing)
    #expect(table(report("a", .enabled), report("b", .enabled)).effectiveState(desired: false) == .enabled)
    #expect(table(report("a", .enabled), report("b", .resuming)).effectiveState(desired: false) == .resuming)
    #expect(table(report("a", .enabled), report("b", .disabled)).effectiveState(desired: false) == .resuming)
    #expect(NodeTable().effectiveState(desired: true) == .disabled)
    #expect(NodeTable().effectiveState(desired: false) == .enabled)
  }

  @Test func drainedNeedsANodeAndTheVersionAndNoEntry() {
    #expect(!NodeTable().allDrained(by: version(7, 5)))
    #expect(table(report("a", .disabled)).allDrained(by: version(7, 5)))
    #expect(!table(report("a", .disabled, 1)).allDrained(by: version(7, 5)))
    #expect(!table(report("a", .disabled), report("b", .disabled, version: 4)).allDrained(by: version(7, 5)))
    #expect(!table(report("a", .disabled)).allDrained(by: version(8, 1)), "another incarnation")
    #expect(!table(report("api", .disabled, observer: true)).allDrained(by: version(7, 5)), "no node runs the location")
    #expect(table(report("api", .enabled, observer: true), report("b", .disabled)).allDrained(by: version(7, 5)))
  }

  @Test func theOwnReportIsTheOneInMemory() {
    var table = NodeTable()
    table.setOwn(report("a", .disabled))
    table.setOthers([report("a", .enabled, version: 1), report("b", .disabled)], except: "a")
    #expect(table.all.map(\.nodeId) == ["a", "b"])
    #expect(table.allActOn(version(7, 5)))
  }

  @Test func theFirstHearingNodeCarriesOut() {
    let nodes = table(report("b", .enabled), report("a", .enabled, hears: false), report("c", .enabled))
    #expect(nodes.rankAmongHearing(of: "a") == nil)
    #expect(nodes.rankAmongHearing(of: "b") == 0)
    #expect(nodes.rankAmongHearing(of: "c") == 1)
  }
}
