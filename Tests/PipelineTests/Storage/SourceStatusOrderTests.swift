// A kill between two attributes of a source file: what stands there then is put right by whoever does what is not COMPLETED again.
import PipelineCore
import Testing

@testable import Pipeline

/// Every state a file can be left in, with each number of attributes written.
@Test(arguments: ["now", "before"]) func aKillBetweenTwoAttributesLeavesNothingUndone(_ stateBefore: String) {
  let all: [ReplicationStatus] = [.pending, .completed, .failed]
  for (a, b) in all.flatMap({ a in all.map { (a, $0) } }) {
    // COMPLETED is final for a state of the file.
    for status in [ReplicationStatus.completed, .failed] where stateBefore != "now" || a != .completed || status == .completed {
      let known = ["a": status, "b": b]
      let whole = ReplicationStatus.overall(Array(known.values))
      var file: [String: String] = [:]
      for (name, value) in FileSourceStatus.writes(["a": a, "b": b], whole: .overall([a, b]), state: stateBefore) { file[name] = value }
      let writes = FileSourceStatus.writes(known, whole: whole, state: "now")
      #expect(writes.count == 4)
      for count in 0...writes.count {
        if count > 0 { file[writes[count - 1].name] = writes[count - 1].value }
        guard file[FileSourceStatus.stateName] == "now" else { continue }
        let sites = ["a", "b"].map { file[statusAttributeName($0)] }
        // Nobody comes back to such a file.
        if sites == ["COMPLETED", "COMPLETED"] { #expect(file[FileSourceStatus.wholeName] == "COMPLETED", "\(a) \(b) \(status) \(count)") }
      }
    }
  }
}
