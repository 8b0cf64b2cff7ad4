// Changes of metadata and tags at a directory: the copy says what its object says now, and no byte of it moves.
internal import CLinux
internal import Glibc
import PipelineCore
import Synchronization
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite struct MetadataUpdateTests {
  private static let first = "98999999999999999999RG001  1"
  private static let second = "98999999999999999998RG001  2"

  private static func describe(
    _ request: inout ObjectRequest, _ version: String?, _ extent: ObjectRequest.Extent, colour: String?, tag: String? = nil
  ) {
    (request.versionId, request.extent) = (version, extent)
    if let colour { request.attributes.user = [.init("x-amz-meta-colour", colour)] }
    if let tag { request.attributes.tags = [.init("t", tag)] }
  }

  @Test(arguments: CopyTests.modes) func aChangeReachesTheCopyAndMovesNoBytes(mode: FileOperationsMode) async throws {
    let trees = Trees()
    try await onWorker(mode) { files in
      let memory = MemorySource()
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
      let copy = "\(trees.target.path)/k"
      memory.set("k", "text")
      #expect(await rig.replicate("k") { Self.describe(&$0, Self.first, .whole, colour: "red", tag: "1") }.isCopied)
      let before = try #require(facts(copy))
      let record = attribute(copy, "user.downbeat")
      // Nobody asks the source for the bytes again.
      memory.objects = [:]
      #expect(await rig.replicate("k") { Self.describe(&$0, Self.first, .metadata, colour: "blue", tag: "1") }.isCopied)
      #expect(attribute(copy, "user.downbeat.object") == #"{"user":{"x-amz-meta-colour":"blue"},"tags":{"t":"1"}}"#)
      let changed = try #require(facts(copy))
      #expect(await rig.replicate("k") { Self.describe(&$0, Self.first, .metadata, colour: "blue", tag: "1") }.isSkipped)
      let again = try #require(facts(copy))
      #expect(again.st_ctim.tv_sec == changed.st_ctim.tv_sec && again.st_ctim.tv_nsec == changed.st_ctim.tv_nsec, "a redelivery writes nothing")
      #expect(await rig.replicate("k") { Self.describe(&$0, Self.first, .tags, colour: "blue", tag: "2") }.isCopied)
      #expect(attribute(copy, "user.downbeat.object") == #"{"user":{"x-amz-meta-colour":"blue"},"tags":{"t":"2"}}"#)
      #expect(await rig.replicate("k") { Self.describe(&$0, Self.first, .tags, colour: nil) }.isCopied)
      #expect(attribute(copy, "user.downbeat.object") == "{}")
      let after = try #require(facts(copy))
      #expect(after.st_ino == before.st_ino && after.st_mtim.tv_nsec == before.st_mtim.tv_nsec && after.st_size == 4)
      #expect(attribute(copy, "user.downbeat") == record && attribute(copy, "user.b-replication-status") == "COMPLETED")
    }
  }

  @Test(arguments: CopyTests.modes, [false, true]) func permissionBitsFollowAndMoveNoBytes(mode: FileOperationsMode, inSidecar: Bool) async throws {
    let trees = Trees()
    trees.write("k", "text")
    let (source, copy) = ("\(trees.source.path)/k", "\(trees.target.path)/k")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      if inSidecar { rig.location.refusesAttributes.store(true, ordering: .relaxed) }
      let probe = FileCopyProbe(location: rig.location, bucket: "bkt")
      func isUpToDate() throws -> Bool {
        let now = try #require(facts(source))
        let file = WalkedFile(path: "k", size: 4, modifiedNs: 1_700_000_000_123_456_789, permissions: UInt32(now.st_mode & 0o777))
        return probe.isUpToDate(bucket: "bkt", key: "k", file: file)
      }
      #expect(chmod(source, 0o600) == 0)
      #expect(await rig.replicate("k").isCopied)
      let before = try #require(facts(copy))
      #expect(try isUpToDate())
      // What somebody does to the copy alone is his business.
      #expect(chmod(copy, 0o640) == 0)
      #expect(await rig.replicate("k").isSkipped)
      #expect(try isUpToDate())
      for bits: mode_t in [0o755, 0o400, 0o600] {
        #expect(chmod(source, bits) == 0)
        #expect(try !isUpToDate())
        #expect(await rig.replicate("k").isCopied)
        let after = try #require(facts(copy))
        #expect(after.st_mode & 0o7777 == bits && after.st_ino == before.st_ino && after.st_mtim.tv_nsec == before.st_mtim.tv_nsec)
        #expect(try isUpToDate())
        #expect(await rig.replicate("k").isSkipped)
      }
    }
  }

  /// What the copy has, wherever it is kept.
  private static func kept(_ rig: StorageRig, _ key: String) throws -> String? {
    let path = try rig.location.objectPath(bucket: "bkt", key: key)
    let raw = open("\(rig.location.path)/\(key)", O_RDONLY)
    let file = OwnedFD(adopting: raw)
    let stat = try #require(FileStat.of(file.raw))
    guard case .ours(let record) = rig.destination.records.state(file.raw, stat, path) else { return nil }
    return rig.destination.records.metadata(file.raw, path, record).json?.description
  }

  @Test(arguments: [false, true]) func longAndShortOnesReplaceEachOther(hasAttributes: Bool) async throws {
    let mount = hasAttributes ? nil : Mount("ramfs")
    guard hasAttributes || mount != nil else { return }
    let trees = Trees(targetIn: mount?.path ?? "/tmp")
    try await onWorker(.automatic) { files in
      let memory = MemorySource()
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
      memory.set("k", "text")
      let long = String(repeating: "x", count: 20_000)
      var version = Self.first
      // The whole of a version, and changes of it: each value after each other.
      for (index, colour) in ["red", long, "blue", "\(long)y", long, "red", nil, "green", nil, long, nil].enumerated() {
        for extent in [ObjectRequest.Extent.metadata, .whole] where extent == .metadata || index % 3 == 2 {
          if extent == .whole { version = "989999999999999999\(98 - index)RG001  2" }
          let outcome = await rig.replicate("k") { [version] in Self.describe(&$0, version, index == 0 ? .whole : extent, colour: colour) }
          #expect(outcome.isCopied, "\(index) \(extent): \(outcome)")
          let expected = colour.map { #"{"user":{"x-amz-meta-colour":"\#($0)"}}"# }
          let kept = try Self.kept(rig, "k")
          #expect(kept == expected || (expected == nil && kept == "{}"), "\(index) \(extent): \(kept?.prefix(60) ?? "nothing")")
          let again = await rig.replicate("k") { [version] in Self.describe(&$0, version, .metadata, colour: colour) }
          #expect(again.isSkipped)
          let next = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
          let later = await next.replicate("k") { [version] in Self.describe(&$0, version, .metadata, colour: colour) }
          #expect(later.isSkipped)
        }
      }
    }
  }

  @Test(arguments: CopyTests.modes) func onlyACopyOfThatVersionIsChanged(mode: FileOperationsMode) async throws {
    let trees = Trees()
    try await onWorker(mode) { files in
      let memory = MemorySource()
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
      let copy = "\(trees.target.path)/k"
      // Nothing there: all of it is copied.
      memory.set("k", "text")
      #expect(await rig.replicate("k") { Self.describe(&$0, Self.second, .tags, colour: nil, tag: "1") }.isCopied)
      #expect(trees.target.read("k") == Array("text".utf8) && attribute(copy, "user.downbeat.object") == #"{"tags":{"t":"1"}}"#)
      // An older version: the newer one keeps what it has.
      #expect(await rig.replicate("k") { Self.describe(&$0, Self.first, .tags, colour: nil, tag: "old") } == .skippedNewerThere)
      #expect(attribute(copy, "user.downbeat.object") == #"{"tags":{"t":"1"}}"#)
      // A redelivery of the whole, from before the change of the tags, brings no old ones back.
      #expect(await rig.replicate("k") { Self.describe(&$0, Self.second, .tags, colour: nil, tag: "2") }.isCopied)
      #expect(await rig.replicate("k") { Self.describe(&$0, Self.second, .whole, colour: nil, tag: "1") }.isSkipped)
      #expect(attribute(copy, "user.downbeat.object") == #"{"tags":{"t":"2"}}"#)
      // Other bytes under the same id.
      memory.set("k", "TEXT")
      let other = await rig.replicate("k") {
        Self.describe(&$0, Self.second, .metadata, colour: "red")
        $0.md5 = MD5Digest(hex: md5Hex(Array("TEXT".utf8)))
      }
      #expect(other.isCopied)
      #expect(trees.target.read("k") == Array("TEXT".utf8))
      // Without versions the source is asked, and what it has now is copied.
      memory.set("u", "one", modifiedNs: 5)
      #expect(await rig.replicate("u").isCopied)
      #expect(await rig.replicate("u") { Self.describe(&$0, nil, .metadata, colour: "red") }.isCopied)
      #expect(attribute("\(trees.target.path)/u", "user.downbeat.object") == #"{"user":{"x-amz-meta-colour":"red"}}"#)
      memory.set("u", "two", modifiedNs: 6)
      #expect(await rig.replicate("u") { Self.describe(&$0, nil, .metadata, colour: "blue") }.isCopied)
      #expect(trees.target.read("u") == Array("two".utf8))
      // Changed by somebody, and by nobody of ours.
      trees.target.write("k", "local")
      #expect(await rig.replicate("k") { Self.describe(&$0, Self.second, .tags, colour: nil, tag: "3") }.reason == .targetChanged)
      trees.target.write("theirs", "text")
      memory.set("theirs", "text")
      #expect(await rig.replicate("theirs") { Self.describe(&$0, Self.second, .tags, colour: nil, tag: "3") }.isAdopted)
      #expect(attribute("\(trees.target.path)/theirs", "user.downbeat.object") == #"{"tags":{"t":"3"}}"#)
    }
  }

  @Test func aCopyUnderItsOtherNameIsFoundAndKeepsItsMetadata() async throws {
    for hasAttributes in [true, false] {
      let mount = hasAttributes ? nil : Mount("ramfs")
      guard hasAttributes || mount != nil else { return }
      let trees = Trees(targetIn: mount?.path ?? "/tmp")
      try await onWorker(.automatic) { files in
        let memory = MemorySource()
        let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
        for key in ["a", "a/b"] { memory.set(key, "contents of \(key)") }
        #expect(await rig.replicate("a") { Self.describe(&$0, Self.first, .whole, colour: "red") }.isCopied)
        // Makes the first give way, with all it has.
        #expect(await rig.replicate("a/b") { Self.describe(&$0, Self.first, .whole, colour: nil) }.isCopied)
        #expect(await rig.replicate("a") { Self.describe(&$0, Self.first, .metadata, colour: "red") }.isSkipped)
        #expect(await rig.replicate("a") { Self.describe(&$0, Self.first, .metadata, colour: "blue") }.isCopied)
        let removed = await rig.replicate("a/b") {
          $0.versionId = Self.second
          $0.isDeleteMarker = true
        }
        #expect(removed == .removed)
        #expect(trees.copies == ["a"])
        #expect(await rig.replicate("a") { Self.describe(&$0, Self.first, .metadata, colour: "blue") }.isSkipped)
        #expect(try Self.kept(rig, "a") == #"{"user":{"x-amz-meta-colour":"blue"}}"#)
      }
    }
  }

  /// A process dies at each step of a change in turn. The copy stays ours and whole, with the old metadata or the new, and the
  /// entry, which comes again, ends right.
  @Test(arguments: [false, true], [false, true]) func afterADeathAtAnyStepTheNextRunEndsRight(isSidecar: Bool, isLong: Bool) async throws {
    let mount = isSidecar ? Mount("ramfs") : nil
    guard !isSidecar || mount != nil else { return }
    let worker = try ReactorWorker()
    defer { worker.end() }
    var deaths = 0
    for step in 0..<100 {
      let trees = Trees(targetIn: mount?.path ?? "/tmp")
      let colour = isLong ? String(repeating: "x", count: 20_000) : "blue"
      let target = trees.target.path
      let hasFinished = try await worker.run { _ in try await Self.dies(at: step, target, colour) }
      try await worker.run { _ in
        let rig = try StorageRig(from: MemorySource(), trees.source.path, to: trees.target.path, layout: .keyOnly, files: FaultyFileOperations())
        let (red, new) = (#"{"user":{"x-amz-meta-colour":"red"}}"#, #"{"user":{"x-amz-meta-colour":"\#(colour)"}}"#)
        let left = try Self.kept(rig, "k")
        #expect(left == red || left == new, "died at step \(step): \(left?.prefix(60) ?? "not ours")")
        let outcome = await rig.replicate("k") { Self.describe(&$0, Self.first, .metadata, colour: colour) }
        #expect(outcome.isCopied || outcome.isSkipped, "died at step \(step): \(outcome)")
        let now = try Self.kept(rig, "k")
        #expect(now == new && trees.target.read("k") == Array("text".utf8), "died at step \(step)")
        #expect(trees.temporaries == [])
      }
      if hasFinished { break }
      deaths += 1
    }
    #expect((3..<100).contains(deaths))
  }

  /// - Returns: whether the change was made before that step.
  private static func dies(at step: Int, _ target: String, _ colour: String) async throws -> Bool {
    let memory = MemorySource()
    memory.set("k", "text")
    let rig = try StorageRig(from: memory, target, to: target, layout: .keyOnly, files: FaultyFileOperations())
    let whole = await rig.replicate("k") { describe(&$0, first, .whole, colour: "red") }
    #expect(whole.isCopied)
    let dying = FaultyFileOperations()
    dying.diesAt = step
    let second = try StorageRig(from: memory, target, to: target, layout: .keyOnly, files: dying)
    let outcome = await second.replicate("k") { describe(&$0, first, .metadata, colour: colour) }
    return dying.steps <= step && outcome.isCopied
  }
}
