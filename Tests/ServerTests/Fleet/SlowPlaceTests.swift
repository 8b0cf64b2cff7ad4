// A location whose every task takes five seconds, beside one that is fast: the fast one does not notice, and the slow one's
// tasks are named by the API of the real daemon.
import PipelineCore
import Reactor
import TestSupport
import Testing

@Suite(.serialized) struct SlowPlaceTests {
  @Test func aSlowPlaceTakesNothingFromAFastOneAndItsTasksAreNamed() throws {
    var shape = Fleet.Shape()
    shape.slowTaskMs = 5_000
    let fleet = try Fleet(shape)
    let node = try fleet.addNode("a")
    try fleet.start(node)
    let count = 800
    /// Entries a second of one batch, from the first start to the last end.
    func round() throws -> Double {
      let first = fleet.produced
      try fleet.produce(count)
      let isDone = fleet.run(within: .seconds(60)) {
        (first..<first + count).allSatisfy { fleet.trace.runs[$0]?.first?.endNs != nil }
      }
      #expect(isDone, "\(fleet.logs)")
      let runs = (first..<first + count).compactMap { fleet.trace.runs[$0]?.first }
      let (start, end) = (runs.map(\.startNs).min() ?? 0, runs.compactMap(\.endNs).max() ?? 0)
      return Double(count) * 1e9 / Double(max(1, end - start))
    }
    let alone = try (0..<3).map { _ in try round() }.max() ?? 0
    // Enough for minutes; all its slots are taken.
    try fleet.produce(300, site: "slow")
    let path = "/_/crr/locations/slow"
    /// What the daemon answers; nothing while it is too busy to.
    func ask(_ path: String) -> String {
      (try? request("GET", path, port: node.port).body) ?? ""  // asked again until it says what is waited for
    }
    #expect(fleet.run(within: .seconds(30)) { ask(path).contains(#""inFlight":16"#) }, "\(fleet.logs)")
    var beside = try round()
    // On a busy machine a batch may have bad luck; what the slow place took away, it would take from each of them.
    for _ in 0..<5 where beside < 0.95 * alone { beside = max(beside, try round()) }
    print("fast place alone \(Int(alone)) entries/s, beside a slow one \(Int(beside)): \(beside / alone)")
    #expect(beside >= 0.95 * alone, "\(beside) of \(alone) entries a second")
    // stuckTaskS is 1 here.
    let isNamed = fleet.run(within: .seconds(30)) {
      let body = ask(path)
      return body.contains(#""stuck":[{"bucket":"photos","key":"k"#) && body.contains(#""topic":"backbeat-replication","partition":"#)
    }
    #expect(isNamed, "\(fleet.logs)")
    let metrics = try request("GET", "/metrics", port: node.port).body
    #expect(metrics.contains("s3_backbeat_queue_slowTasks_count{topic=\"backbeat-replication\",group=\"backbeat-replication-group-slow\""))
    // librdkafka's figures come every 15 seconds.
    let hasFigures = fleet.run(within: .seconds(40)) { ask("/metrics").contains("downbeat_kafka_requests_total{location=\"east\"} ") }
    #expect(hasFigures)
    fleet.kill(node)  // not waiting for the slow tasks
  }
}
