// A node whose static name in the group another process has taken: it ends, says who and what to do, and with the code that a service
// manager does not start again, or the two would take the name from each other for ever.
import CLinux
import Glibc
import Pipeline
import TestSupport
import Testing

@Suite(.serialized) struct FencedNodeTests {
  @Test func aFencedNodeEndsNamingTheOtherAndIsNotStartedAgain() throws {
    let directory = TemporaryDirectory()
    let broker = try EmbeddedBroker(topics: [
      .init("backbeat-replication"), .init("backbeat-replication-dead-letter"), .init("backbeat-replication-status"),
    ])
    let port = try freeLoopbackPort()
    try writeFile(
      "\(directory.path)/config.yaml",
      """
      node: { id: one }
      server: { port: \(port) }
      kafka:
        hosts: "\(broker.bootstrapServers)"
        staticMembership: true
        properties: { session.timeout.ms: 4500, heartbeat.interval.ms: 200, fetch.wait.max.ms: 50 }
      extensions:
        replication:
          destination: { bootstrapList: [{ site: east, type: noop }] }
      """)
    let process = try ChildProcess(
      try downbeatBinary(),
      [
        "serve", "--embedded", "--config", "\(directory.path)/config.yaml", "--state-dir", "\(directory.path)/state",
        "--roles", "api,queue-processor",
      ],
      outputPath: "\(directory.path)/out")
    // Nobody listens at first: not an error while starting.
    let isReady = eventually(within: .seconds(30)) { (try? request("GET", "/_/ready", port: port).status) == 200 || process.poll() != nil }
    #expect(isReady && process.poll() == nil, "\(process.output)")
    // As the broker tells the member whose place was taken. Which of the node's consumers hears it does not matter.
    broker.failNext(.heartbeat, with: [.fencedInstance])
    #expect(process.wait(within: .seconds(60)) == .exited(2), "\(process.output)")
    let output = process.output
    #expect(output.contains("“one/backbeat-replication") && output.contains("end it, or give one of the two another node.id"), "\(output)")
    #expect(output.contains(#""level":"fatal""#) && output.contains("backbeat-replication-group-"), "\(output)")
  }
}
