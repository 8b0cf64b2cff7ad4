import PipelineCore
import TestSupport
import Testing

@testable import Pipeline

@Suite struct ReportTextTests {
  let report = NodeReport(
    nodeId: "node-a", state: .disabled, inFlight: 0, sinceMs: 1_530_164_420_600, version: StateVersion(epoch: 17, number: 4),
    hearsBus: true, lastSeenMs: 99)

  private func decode(_ text: String) -> NodeReport? {
    ReportText.decode(RawNodeReport(nodeId: "node-a", json: bytes(text), writtenAtMs: 99))
  }

  @Test func theMembersAreTheContractsAndTheIncarnation() {
    #expect(
      String(decoding: ReportText.encode(report), as: UTF8.self)
        == #"{"state":"disabled","inFlight":0,"since":"2018-06-28T05:40:20.600Z","version":4,"redis":true,"epoch":17}"#)
  }

  @Test func whatIsWrittenIsReadBack() {
    var report = report
    for state in EffectiveState.allCases {
      for isObserver in [false, true] {
        report.state = state
        report.isObserver = isObserver
        report.inFlight = isObserver ? 0 : 12
        report.queued = isObserver ? 0 : 5
        report.partitions = isObserver ? [] : [0, 1, 2, 7, 9, 10]
        #expect(ReportText.decode(RawNodeReport(nodeId: "node-a", json: ReportText.encode(report), writtenAtMs: 99)) == report)
      }
    }
  }

  @Test func partitionsAreRangesAndTooManyOfThemAreLeftOut() {
    #expect(PartitionRanges.text([7, 2, 0, 1, 2]) == "0-2,7")
    #expect(PartitionRanges.text([]) == nil)
    #expect(PartitionRanges.text(stride(from: 0, to: 2_000, by: 2).map { Int32($0) }) == nil)
    #expect(PartitionRanges.partitions("0-2,7") == [0, 1, 2, 7])
    #expect(PartitionRanges.partitions("2147483647") == [.max])
    #expect(PartitionRanges.text([.max, .max - 1]) == "2147483646-2147483647")
    for foreign in ["", "-", "1-", "-1", "3-1", "a", "1,,2", "1-2-3", "0-2147483647", "0-99999,100000-100001"] {
      #expect(PartitionRanges.partitions(foreign) == [], "\(foreign)")
    }
  }

  /// A report without an incarnation promises nothing about versions; one without `redis` hears nothing.
  @Test func whatIsMissingPromisesTheLeast() {
    let sparse = decode(#"{"state":"disabled","version":4}"#)
    #expect(sparse?.version.includes(StateVersion(epoch: 17, number: 4)) == false)
    #expect(sparse?.hearsBus == false)
  }

  @Test(arguments: ["", "{", "[]", "null", "{}", #"{"state":"broken"}"#, #"{"state":7}"#]) func whatIsNoReportIsNone(
    _ text: String
  ) {
    #expect(decode(text) == nil)
  }

  @Test func mutatedReportsNeverTrap() {
    var random = SeededGenerator(seed: testSeed)
    let good = ReportText.encode(report)
    for _ in 0..<5_000 {
      var bad = good
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        bad[Int.random(in: 0..<bad.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      _ = ReportText.decode(RawNodeReport(nodeId: "node-a", json: bad, writtenAtMs: 0))
    }
    #expect(decode(#"{"state":"disabled","inFlight":-5}"#)?.inFlight == 0)
  }
}
