// What is counted of copies: reads and writes that ended well, with their bytes and times, and nothing else.
import PipelineCore
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite struct CopyFiguresTests {
  private static let version = "98999999999999999999RG001  1"

  @Test(arguments: CopyTests.modes) func readsAndWritesAreCountedOnceEach(mode: FileOperationsMode) async throws {
    let trees = Trees()
    try await onWorker(mode) { files in
      let memory = MemorySource()
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
      let figures = CopyFigures()
      rig.replicator.figures = figures
      func describe(_ request: inout ObjectRequest, _ extent: ObjectRequest.Extent, _ colour: String) {
        (request.versionId, request.extent) = (Self.version, extent)
        request.attributes.user = [.init("x-amz-meta-colour", colour)]
      }
      memory.set("k", "text")
      memory.set("empty", "")
      #expect(await rig.replicate("k") { describe(&$0, .whole, "red") }.isCopied)
      #expect(await rig.replicate("empty").isCopied)
      var seen = figures.figures
      #expect(seen.reads.count == 1 && seen.reads.bytes == 4, "nothing is read of an empty object")
      #expect(seen.dataWrites.count == 2 && seen.dataWrites.bytes == 4 && seen.metadataWrites.count == 0)
      #expect(seen.dataWrites.times.counts.reduce(0, +) == 2)
      // A redelivery writes nothing, a change of metadata alone moves no bytes.
      #expect(await rig.replicate("k") { describe(&$0, .whole, "red") }.isSkipped)
      #expect(await rig.replicate("k") { describe(&$0, .metadata, "blue") }.isCopied)
      #expect(await rig.replicate("gone").reason == .sourceNotFound)
      seen = figures.figures
      #expect(seen.reads.count == 1 && seen.dataWrites.count == 2 && seen.metadataWrites.count == 1)
      #expect(seen.metadataWrites.bytes == UInt64("x-amz-meta-colourblue".utf8.count))
      memory.objects = [:]
      #expect(
        await rig.replicate("empty") {
          $0.isDeleteMarker = true
          $0.lastModified = "2099-01-01T00:00:00.000Z"
        } == .removed)
      #expect(figures.figures.metadataWrites.count == 2)
    }
  }

  @Test func agesAndEndingsAreCountedByKind() {
    let figures = CopyFigures()
    figures.begins(lastModified: ISO8601.string(ms: WallClock.nowMs() - 45_000))
    figures.begins(lastModified: "yesterday")
    figures.ended(isFailure: false, hasData: true)
    figures.ended(isFailure: true, hasData: false)
    let seen = figures.figures
    #expect(seen.ages.counts == [0, 0, 0, 1, 0, 0, 0, 0])
    #expect(seen.data.completed == 1 && seen.data.failed == 0 && seen.metadata.completed == 1 && seen.metadata.failed == 1)
  }
}
