// A control plane in memory: remembers what it was asked, answers as the test says. The edge the routes are tested against.
import Pipeline
import PipelineCore

@testable import Server

final class MemoryControlService: ControlService {
  var names: [ControlledService: [String]] = [
    .crr: ["S1", "S2", "a/b", "é"], .ingestion: ["IS1", "IS2"], .lifecycle: ["C"],
  ]
  var states: [LocationKey: DesiredState] = [:] { didSet { revision += 1 } }
  var knowledgeByLocation: [LocationKey: StateKnowledge] = [:] { didSet { revision += 1 } }
  var revision: UInt64 = 1
  /// How often a state was asked for: a cached answer asks for none.
  var reads = 0

  struct Asked: Equatable {
    var command: ControlCommand
    var locations: [LocationKey]
  }
  var asked: [Asked] = []
  var origins: [ControlOrigin] = []
  /// nil: the replies are kept in `pending`.
  var outcome: ControlOutcome? = .done
  var pending: [(ControlOutcome) -> Void] = []

  var confirming: [LocationKey] = []
  /// What a location is known as after `confirm`.
  var knowledgeConfirmed = StateKnowledge.current
  var details: [String: LocationView] = [:]

  func locations(of service: ControlledService) -> [String] { names[service] ?? [] }
  func knowledge(of location: LocationKey) -> StateKnowledge { knowledgeByLocation[location] ?? .current }

  func desiredState(of location: LocationKey) -> DesiredState {
    reads += 1
    return states[location] ?? DesiredState(isPaused: false, scheduledResumeMs: nil)
  }

  func confirm(_ locations: [LocationKey], _ reply: @escaping () -> Void) {
    confirming += locations
    for location in locations { knowledgeByLocation[location] = knowledgeConfirmed }
    reply()
  }

  func carryOut(
    _ command: ControlCommand, on locations: [LocationKey], for origin: ControlOrigin,
    _ reply: @escaping (ControlOutcome) -> Void
  ) {
    asked.append(Asked(command: command, locations: locations))
    origins.append(origin)
    if let outcome { reply(outcome) } else { pending.append(reply) }
  }

  func views(of locations: [LocationKey], _ reply: @escaping ([LocationView]) -> Void) {
    reply(locations.compactMap { details[$0.location] ?? LocationView(location: $0.location, state: .enabled) })
  }
}
