import PipelineCore
import Testing

@testable import Pipeline

private let v1 = StateVersion(epoch: 7, number: 1)
private let v2 = StateVersion(epoch: 7, number: 2)
private func stored(_ text: String) -> StoredState {
  do throws(JSONValue.Malformed) { return try StoredState(parsing: Array(text.utf8)) } catch { preconditionFailure("\(error)") }
}

private let enabled = stored(#"{"paused":false,"scheduledResume":null}"#)
private let paused = stored(#"{"paused":true,"scheduledResume":null}"#)

private func reading(_ state: StoredState, _ version: StateVersion = v1) -> StateReading {
  .entry(StoredEntry(json: state.bytes, version: version), state)
}

@Suite struct StateCommandTests {
  /// Every command on every kind of state. Dates are Unix ms 5, 6 and 9.
  @Test func effectOfEveryCommand() {
    func date(_ ms: Int) -> String { "1970-01-01T00:00:00.00\(ms)Z" }
    let fresh = stored(#"{"paused":false}"#)
    let scheduled = stored("{\"paused\":true,\"scheduledResume\":\"\(date(5))\"}")
    let later = stored("{\"paused\":true,\"scheduledResume\":\"\(date(9))\"}")
    // Backbeat's two writes of a resume, interrupted: counts as paused (backbeat-behaviour 2.5).
    let leftover = stored("{\"paused\":false,\"scheduledResume\":\"\(date(5))\"}")
    let table: [(StateCommand, [StoredState?])] = [
      // on: fresh, enabled, paused, scheduled, leftover
      (.pause, [paused, paused, nil, paused, paused]),
      (.resume, [enabled, nil, enabled, enabled, enabled]),
      (.schedule(atMs: 9), [nil, nil, later, later, later]),
      (.schedule(atMs: 5), [nil, nil, scheduled, nil, scheduled]),
      (.unschedule, [enabled, nil, nil, paused, paused]),
      (.fire(atMs: 5), [nil, nil, nil, enabled, enabled]),
      (.fire(atMs: 6), [nil, nil, nil, nil, nil]),
      (.restore(scheduled, over: v1), [scheduled, scheduled, scheduled, nil, scheduled]),
      (.restore(scheduled, over: v2), [nil, nil, nil, nil, nil]),
    ]
    for (command, expected) in table {
      for (state, result) in zip([fresh, enabled, paused, scheduled, leftover], expected) {
        #expect(command.applied(to: state, at: v1) == result, "\(command) on \(state.json)")
        // Its own result is not changed by it.
        if let result { #expect(command.applied(to: result, at: v1) == nil) }
      }
    }
  }

  @Test func membersOfOthersAreKept() {
    let foreign = stored(#"{"owner":{"a":[1,2.50]},"paused":false,"note":"x"}"#)
    #expect(
      StateCommand.pause.applied(to: foreign, at: v1)?.json.description
        == #"{"owner":{"a":[1,2.50]},"paused":true,"note":"x","scheduledResume":null}"#)
  }
}

@Suite struct CommandMachineTests {
  private let pausedText = paused.bytes

  @Test func aKnownStateIsReplacedWithoutReadingFirst() {
    var machine = CommandMachine(.pause, initial: enabled)
    #expect(machine.handle(.begin(known: reading(enabled))) == .replace(json: pausedText, expecting: v1))
    #expect(machine.handle(.writeEnded(.success(v2))) == .finish(.stored(StoredEntry(json: pausedText, version: v2), paused)))
  }

  /// What this node knows may be older than what another has acknowledged: nothing is called unchanged without asking.
  @Test func unchangedIsAnsweredOnlyAfterReading() {
    var machine = CommandMachine(.pause, initial: enabled)
    #expect(machine.handle(.begin(known: reading(paused))) == .read)
    guard case .finish(.unchanged(_, paused)) = machine.handle(.readEnded(.success(reading(paused)))) else {
      Issue.record("\(machine.state)")
      return
    }
    var other = CommandMachine(.pause, initial: enabled)
    #expect(other.handle(.begin(known: reading(paused))) == .read)
    #expect(other.handle(.readEnded(.success(reading(enabled, v2)))) == .replace(json: pausedText, expecting: v2))
  }

  @Test func aLostRaceIsReadAndTriedAgain() {
    var machine = CommandMachine(.pause, initial: enabled)
    _ = machine.handle(.begin(known: reading(enabled)))
    for _ in 0..<50 {
      #expect(machine.handle(.writeEnded(.failure(.versionMismatch))) == .read)
      #expect(machine.handle(.readEnded(.success(reading(enabled, v2)))) == .replace(json: pausedText, expecting: v2))
    }
    #expect(machine.handle(.writeEnded(.failure(.notFound))) == .read)
    #expect(machine.handle(.readEnded(.success(.absent))) == .create(json: pausedText))
    #expect(machine.handle(.writeEnded(.failure(.alreadyExists))) == .read)
  }

  @Test func anAbsentEntryIsMadeAlsoByACommandThatChangesNothing() {
    var machine = CommandMachine(.unschedule, initial: enabled)
    #expect(machine.handle(.begin(known: nil)) == .read)
    #expect(machine.handle(.readEnded(.success(.absent))) == .create(json: enabled.bytes))
  }

  @Test func anUnreadableEntryIsReplaced() {
    var machine = CommandMachine(.pause, initial: enabled)
    _ = machine.handle(.begin(known: nil))
    let garbage = StoredEntry(json: Array("garbage".utf8), version: v1)
    #expect(machine.handle(.readEnded(.success(.unreadable(garbage, "why")))) == .replace(json: pausedText, expecting: v1))
  }

  @Test func withoutAConnectionNothingIsSentAndThatIsSaid() {
    var machine = CommandMachine(.pause, initial: enabled)
    _ = machine.handle(.begin(known: nil))
    #expect(machine.handle(.readEnded(.failure(.unavailable("away")))) == .awaitRetry)
    #expect(machine.handle(.retry) == .read)
    #expect(machine.handle(.readEnded(.failure(.unavailable("away")))) == .awaitRetry)
    #expect(machine.handle(.timeIsOver) == .finish(.failed("state store not reachable: away", maybe: false)))
    #expect(machine.handle(.retry) == nil)
  }

  @Test func aWriteWithoutAnswerAtTheEndMayHaveHappened() {
    var machine = CommandMachine(.pause, initial: enabled)
    _ = machine.handle(.begin(known: reading(enabled)))
    #expect(machine.handle(.timeIsOver) == .finish(.failed("no answer in time", maybe: true)))
    #expect(machine.handle(.writeEnded(.success(v2))) == nil)
  }

  /// The lost write had happened; it is not taken for certain before another write was answered.
  @Test func afterAnUnknownOutcomeAWriteIsMadeCertain() {
    var machine = CommandMachine(.pause, initial: enabled)
    _ = machine.handle(.begin(known: reading(enabled)))
    #expect(machine.handle(.writeEnded(.failure(.outcomeUnknown("lost")))) == .awaitRetry)
    #expect(machine.handle(.retry) == .read)
    #expect(machine.handle(.readEnded(.success(reading(paused, v2)))) == .replace(json: pausedText, expecting: v2))
    #expect(machine.handle(.timeIsOver) == .finish(.failed("no answer in time", maybe: true)))
  }

  @Test func anUnknownOutcomeThatStaysUnknownIsSaid() {
    var machine = CommandMachine(.pause, initial: enabled)
    _ = machine.handle(.begin(known: reading(enabled)))
    _ = machine.handle(.writeEnded(.failure(.outcomeUnknown("lost"))))
    #expect(machine.handle(.timeIsOver) == .finish(.failed("outcome unknown: lost", maybe: true)))
  }

  @Test func aRefusalEndsIt() {
    var machine = CommandMachine(.pause, initial: enabled)
    _ = machine.handle(.begin(known: reading(enabled)))
    #expect(
      machine.handle(.writeEnded(.failure(.refused("NOAUTH"))))
        == .finish(.failed("refused by the state store: NOAUTH", maybe: false)))
  }
}
