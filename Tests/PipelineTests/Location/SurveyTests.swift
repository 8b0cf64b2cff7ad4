// What an operator who looks at a location waits for the brokers, and what is told when they are slow.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct SurveyTests {
  /// Questions wait behind the fetches that are open on their connections, half a second each. Ten consumers of one topic ask
  /// for its ends once.
  @Test func consumersOfOneTopicShareItsEnds() throws {
    let fixture = try KafkaFixture([.init("t", partitions: 4)])
    let owners = try (0..<10).map { index in
      var configuration = fixture.configuration(group: "g\(index)", standalone: 4)
      configuration.fetchWaitMs = 500
      return try ConsumerOwner(configuration, fixture.reactor)
    }
    for owner in owners { try owner.consumer.subscribe() }
    try fixture.fill(3)
    #expect(fixture.wait { owners.allSatisfy { $0.taken.count == 3 } })
    func seconds(_ asked: [ConsumerOwner]) -> Double {
      let start = Instant.nowUncached()
      var answers: [PartitionSurvey] = []
      for owner in asked {
        owner.consumer.survey { result in if case .success(let surveys) = result { answers += surveys } }
      }
      #expect(fixture.wait(60) { answers.count == 4 * asked.count })
      #expect(answers.map(\.high.value).reduce(0, +) == 3 * Int64(asked.count))
      return Double((Instant.nowUncached() - start).nanoseconds) / 1e9
    }
    // One alone takes up to a second and a half, ten one after the other ten times that.
    #expect(seconds(owners) < 5)
    // Nobody is told what was asked before: the ends are right at once after three more entries.
    try fixture.fill(3, partition: 1)
    var lag: Int64?
    owners[0].consumer.survey { result in if case .success(let surveys) = result { lag = surveys.map(\.lag).reduce(0, +) } }
    #expect(fixture.wait(60) { lag != nil })
    #expect(lag == 6)
    for owner in owners { #expect(owner.close(fixture)) }
  }

  @Test func whoAsksSlowBrokersIsToldWhatTheySaidLast() throws {
    let bench = try LocationBench(partitions: 2)
    func ask() -> (answer: [PartitionSurvey]?, ms: Int64) {
      let start = Instant.nowUncached()
      var answer: [PartitionSurvey]??
      bench.location.survey { answer = .some($0) }
      #expect(bench.runUntil { answer != nil })
      return (answer ?? nil, (Instant.nowUncached() - start).nanoseconds / 1_000_000)
    }
    let wait = LocationController.surveyWaitMax.nanoseconds / 1_000_000
    try bench.broker.setRoundTrip(milliseconds: 4_000)
    let slow = ask()
    #expect(slow.answer == nil && slow.ms >= wait && slow.ms < wait + 1_500, "\(slow)")
    try bench.broker.setRoundTrip(milliseconds: 0)
    var known: [PartitionSurvey]?
    #expect(
      bench.runUntil {
        known = bench.location.keptSurvey.waiting.isEmpty ? ask().answer : nil
        return known != nil
      })
    try bench.broker.setRoundTrip(milliseconds: 4_000)
    // The first may still be answered by what was on its way.
    _ = ask()
    let again = ask()
    #expect(again.answer == known && again.ms >= wait, "\(again)")
    try bench.broker.setRoundTrip(milliseconds: 0)
    bench.end()
  }

  @Test func manyWhoAskAtOnceAreOneQuestion() throws {
    let bench = try LocationBench(partitions: 2)
    var answers = 0
    for _ in 0..<100 { bench.location.survey { if $0 != nil { answers += 1 } } }
    #expect(bench.runUntil { answers == 100 })
    bench.end()
  }
}
