import Pipeline
import PipelineCore
import Testing

@Suite struct StatePathsTests {
  @Test func pathsAreBackbeats() {
    #expect(StatePaths.state(LocationKey(.crr, "aws-east")) == "/backbeat/replication/state/aws-east")
    #expect(StatePaths.state(LocationKey(.ingestion, "ring-1")) == "/backbeat/ingestion/state/ring-1")
    #expect(StatePaths.replayState(topic: "t-0", site: "s") == "/backbeat/replication/replayState/t-0/s")
    #expect(StatePaths.report(LocationKey(.crr, "s"), nodeId: "n") == "/backbeat/replication/nodes/s/n")
  }

  @Test func ancestorsAreOutermostFirstAndWithoutThePathItself() {
    #expect(StatePaths.ancestors(of: "/a/b/c") == ["/a", "/a/b"])
    #expect(StatePaths.ancestors(of: "/a") == [])
  }

  @Test(arguments: ["", ".", "..", "a/b", "a\0b"]) func noSegment(_ name: String) { #expect(!StatePaths.isSegment(name)) }
  @Test(arguments: ["a", "...", "aws east", "é"]) func segment(_ name: String) { #expect(StatePaths.isSegment(name)) }

  @Test func versionsOfDifferentIncarnationsAreNeverCompared() {
    let old = StateVersion(epoch: 7, number: 57)
    let new = StateVersion(epoch: 9, number: 0)
    #expect(!new.includes(old) && !old.includes(new))
    #expect(!new.isOlder(than: old) && !old.isOlder(than: new))
    #expect(StateVersion(epoch: 9, number: 1).includes(new))
    #expect(new.isOlder(than: StateVersion(epoch: 9, number: 1)))
  }
}
