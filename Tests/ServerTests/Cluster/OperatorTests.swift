// Operators at different nodes at the same time, and one who looks elsewhere after each answer.
import Reactor
import TestSupport
import Testing

@testable import Pipeline

/// What one operator was last told, and when it had asked.
private struct LastAnswer: Sendable {
  var isPaused = false
  var askedAt = Instant(ns: 0)
  var answeredAt = Instant(ns: 0)
  var failures = 0
  var isDone = false
}

extension ClusterTests {
  @Suite struct Operators {
    private static var count: Int { ClusterServers.isLong ? 1_000 : 100 }

    /// One operator on a thread of its own: `count` commands at one node, at random.
    private func operate(_ port: UInt16, seed: UInt64, into last: SharedAnswer) throws -> ReactorThread {
      try ReactorThread.start(name: "operator") { reactor in
        reactor.schedule(after: .zero) { _ in
          var random = SeededGenerator(seed: seed)
          for _ in 0..<Self.count {
            let isPaused = Bool.random(using: &random)
            let askedAt = Instant.nowUncached()
            let answer = try? request("POST", "/_/crr/\(isPaused ? "pause" : "resume")/east", port: port)  // counted below
            last.value.withLock {
              guard answer?.status == 200 else {
                $0.failures += 1
                return
              }
              ($0.isPaused, $0.askedAt, $0.answeredAt) = (isPaused, askedAt, .nowUncached())
            }
          }
          last.value.withLock { $0.isDone = true }
        }
      }
    }

    private final class SharedAnswer: Sendable {
      let value = Lock(LastAnswer())
    }

    @Test func twoAtDifferentNodesEndInTheLastAcknowledgedState() throws {
      let cluster = try Cluster("a", "b", "c")
      try cluster.start()
      let probe = try ClusterProbe(cluster)
      let answers = [SharedAnswer(), SharedAnswer()]
      let threads = try answers.enumerated().map { try operate(cluster.node($0).port, seed: testSeed &+ UInt64($0), into: $1) }
      #expect(eventually(within: .seconds(600)) { answers.allSatisfy { $0.value.withLock { $0.isDone } } })
      for thread in threads {
        thread.handle.stop()
        thread.join()
      }
      let lasts = answers.map { $0.value.withLock { $0 } }
      #expect(lasts.allSatisfy { $0.failures == 0 }, "\(lasts)")
      let isPaused = try #require(try probe.text()).contains(#""paused":true"#)
      // One that was asked after the other had been answered comes last; else either may.
      let (early, late) = lasts[0].answeredAt < lasts[1].answeredAt ? (lasts[0], lasts[1]) : (lasts[1], lasts[0])
      #expect(early.answeredAt > late.askedAt || late.isPaused == isPaused, "seed \(testSeed)")
      #expect([early.isPaused, late.isPaused].contains(isPaused), "seed \(testSeed)")
      let state = isPaused ? "disabled" : "enabled"
      #expect(cluster.allTell(state))
      #expect(eventually(within: Cluster.patience) { cluster.all(state) }, "in effect as well")
      probe.close()
      cluster.stop()
    }

    /// Read your writes: whoever asks any node after an answer is told what was answered.
    @Test func everyNodeTellsWhatWasAcknowledged() throws {
      let cluster = try Cluster("a", "b", "c")
      try cluster.start()
      var random = SeededGenerator(seed: testSeed)
      for turn in 0..<Self.count {
        let isPaused = Bool.random(using: &random)
        let node = cluster.node(Int.random(in: 0..<3, using: &random))
        #expect(try node.post("/_/crr/\(isPaused ? "pause" : "resume")/east").status == 200)
        #expect(cluster.allTell(isPaused ? "disabled" : "enabled"), "turn \(turn), seed \(testSeed)")
      }
      cluster.stop()
    }

    @Test func everyNodeTellsWhoConsumesWhat() throws {
      let cluster = try Cluster("a", "b")
      try cluster.start()
      let isTold = { (node: ClusterNode) in
        guard let body = try? node.get("/_/crr/locations/east").body else { return false }  // asked again
        return body.contains(#""node":"a"}"#) && body.contains(#""node":"b"}"#) && !body.contains(#""node":null"#)
      }
      for index in 0..<2 {
        #expect(eventually(within: Cluster.patience) { isTold(cluster.node(index)) }, "node \(index)")
      }
      cluster.stop()
    }
  }
}
