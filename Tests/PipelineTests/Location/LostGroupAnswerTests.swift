// A group's answers that never come: to a join, to a sync, to the question for the offsets, to a leave. The request may not have got
// to the broker, the connection may go in the place of the answer, or the answer is lost alone and the connection stays. No
// entry is lost or done twice, the location goes on within a bound, and says meanwhile what it waits for.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite(.serialized) struct LostGroupAnswerTests {
  enum Loss: CaseIterable {
    /// The broker has not heard the question, and its connection is gone.
    case request
    case cut
    case silence
  }

  private static let sessionMs = 4_500
  /// The bound for a join; librdkafka waits three seconds more.
  private static let pollMs = 6_000
  /// The bound for the question for the offsets.
  private static let socketMs = 4_000
  private static let user = [
    "session.timeout.ms": "\(sessionMs)", "max.poll.interval.ms": "\(pollMs)", "socket.timeout.ms": "\(socketMs)", "heartbeat.interval.ms": "200",
    "reconnect.backoff.max.ms": "300",
  ]

  /// A location whose group loses one answer.
  private final class Bench {
    let request: EmbeddedBroker.Request
    let loss: Loss
    let bench: LocationBench
    private(set) var reasons: Set<String> = []
    /// When all of the second lot was done, in a second assignment.
    private(set) var doneAgain: Instant?

    init(_ request: EmbeddedBroker.Request, _ loss: Loss, mode: PauseMode) throws {
      (self.request, self.loss) = (request, loss)
      bench = try LocationBench(mode: mode, proxied: true, joins: true, user: LostGroupAnswerTests.user) { $0.fetchStallAfter = .milliseconds(1_500) }
    }

    var name: String { "\(request) \(loss)" }
    var location: LocationController { bench.location }

    func lose() {
      switch loss {
      case .request: bench.broker.failNext(request, with: [.transport])
      case .cut: bench.proxy?.loseNext(request.rawValue, .cut)
      case .silence: bench.proxy?.loseNext(request.rawValue, .silence)
      }
    }

    /// The group is told to assemble again, and loses the answer. Entries come while it assembles. The answer to the question for the
    /// offsets is lost only when nobody else can ask it, for want of partitions.
    func rebalance() throws {
      if request != .offsetFetch { lose() }
      bench.broker.failNext(.heartbeat, with: [.rebalanceInProgress])
      #expect(bench.runUntil { !location.hasAssignment }, "\(description)")
      try bench.produce((0..<20).map { entryText("b\($0)") })
      if request == .offsetFetch { lose() }
    }

    func turn() {
      bench.reactor.runOnce(waitMax: .milliseconds(1))
      if doneAgain == nil, location.counters.done >= 40, location.consumer.statistics.assignments >= 2 { doneAgain = .nowUncached() }
      if let reason = location.notReadyReason { reasons.insert(String(reason.prefix(28))) }
    }

    var description: String {
      let lines = bench.lines.all.suffix(30).joined(separator: "\n")
      return "\(name): \(location.counters) \(location.notReadyReason ?? "ready")\n\(lines)"
    }
  }

  /// Turns all their loops until the condition holds for each.
  private func until(_ benches: [Bench], _ what: String, _ condition: (Bench) -> Bool) -> Bool {
    let end = Instant.nowUncached() + .seconds(60)
    while !benches.allSatisfy(condition) {
      for bench in benches { bench.turn() }
      if Instant.nowUncached() > end {
        Issue.record("\(what): \(benches.filter { !condition($0) }.map(\.description).joined(separator: "\n"))")
        return false
      }
    }
    return true
  }

  /// In the middle of its life, all done and committed: the group is told to assemble again, and one answer on the way there is lost.
  @Test func anAnswerLostInARebalanceCostsNoEntry() throws {
    let requests: [EmbeddedBroker.Request] = [.joinGroup, .syncGroup, .offsetFetch]
    let benches = try requests.flatMap { request in try Loss.allCases.map { try Bench(request, $0, mode: .hold) } }
    for bench in benches {
      try bench.bench.produce((0..<20).map { entryText("a\($0)") })
      bench.bench.paused(false, version: 0)
    }
    try #require(until(benches, "the start") { $0.location.counters.done == 20 })
    for bench in benches { #expect(bench.bench.runUntil { bench.bench.isAllCommitted() }, "\(bench.description)") }
    let began = Instant.nowUncached()
    for bench in benches {
      try bench.rebalance()
    }
    try #require(until(benches, "a lost answer") { $0.doneAgain != nil })
    print("lost answers, ms until all goes on: \(benches.map { "\($0.name) \(($0.doneAgain ?? began) - began)" })")
    for bench in benches {
      #expect(bench.bench.runUntil { bench.bench.isAllCommitted() && bench.bench.isLocationReady }, "\(bench.description)")
      #expect(bench.location.counters.done == 40 && bench.location.counters.taken == 40, "repeated: \(bench.description)")
      #expect(bench.loss == .request || bench.bench.proxy?.lostCount == 1, "\(bench.description)")
      bench.bench.end()
    }
    // The one that waits for the whole of its bound says so.
    let silent = try #require(benches.first { $0.request == .joinGroup && $0.loss == .silence })
    #expect(silent.reasons.contains("no partitions from the group"), "\(silent.reasons)")
    #expect(silent.bench.lines.contain("no partitions and no answer from the group"), "\(silent.description)")
    #expect(silent.bench.lines.contain("the group has answered"), "\(silent.description)")
  }

  /// A pause that leaves the group ends all the same, and the resume after it finds its way back.
  @Test func aLeaveThatIsNotAnsweredHoldsNoPauseUp() throws {
    let benches = try Loss.allCases.map { try Bench(.leaveGroup, $0, mode: .unsubscribe) }
    for bench in benches {
      try bench.bench.produce((0..<20).map { entryText("a\($0)") })
      bench.bench.paused(false, version: 0)
    }
    try #require(until(benches, "the start") { $0.location.counters.done == 20 })
    for bench in benches {
      bench.lose()
      bench.bench.paused(true, version: 1)
    }
    try #require(until(benches, "the pause") { $0.location.effective == .disabled || $0.location.leaveTimer != nil })
    for bench in benches { bench.location.allNodesDrained() }
    try #require(until(benches, "the pause") { $0.location.effective == .disabled })
    for bench in benches {
      try bench.bench.produce((0..<20).map { entryText("b\($0)") })
      bench.bench.paused(false, version: 2)
    }
    try #require(until(benches, "the resume") { $0.location.counters.done >= 40 })
    for bench in benches {
      #expect(bench.bench.runUntil { bench.bench.isAllCommitted() }, "\(bench.description)")
      #expect(bench.location.counters.done == 40 && bench.location.counters.taken == 40, "repeated: \(bench.description)")
      bench.bench.end()
    }
  }
}
