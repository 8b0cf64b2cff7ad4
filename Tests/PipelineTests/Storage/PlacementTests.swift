// Keys that are directories as well, versions in and out of order, trees without attributes, the lister's probe.
internal import CLinux
internal import Glibc
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite struct PlacementTests {
  private static let layouts: [FileLocation.Layout] = [.keyOnly, .sameTree]

  @Test(arguments: CopyTests.modes, layouts)
  func aKeyThatIsAlsoADirectoryHasBothInAnyOrder(mode: FileOperationsMode, layout: FileLocation.Layout) async throws {
    for order in [["a", "a/b"], ["a/b", "a"]] {
      let trees = Trees()
      try await onWorker(mode) { files in
        let memory = MemorySource()
        let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: layout, files: files)
        let probe = FileCopyProbe(location: rig.location, bucket: "bkt")
        for key in order {
          memory.set(key, "contents of \(key)", modifiedNs: 5)
          #expect(await rig.replicate(key).isCopied, "\(key) of \(order)")
        }
        #expect(trees.copies == [".a", "a%2F", "a/b"].filter { $0 != ".a" })
        for key in order {
          #expect(await rig.replicate(key).isSkipped)
          #expect(probe.check(bucket: "bkt", key: key, size: Int64("contents of \(key)".utf8.count), modifiedNs: 5) == .upToDate)
          #expect(probe.hasCopy(of: ObjectName(bucket: "bkt", key: key)))
        }
        #expect(probe.path(ofCopyOf: ObjectName(bucket: "bkt", key: "a")) == "a%2F")
        #expect(probe.path(ofCopyOf: ObjectName(bucket: "bkt", key: "a/b")) == "a/b")
        #expect(probe.object(ofCopyAt: "a%2F") == ObjectName(bucket: "bkt", key: "a"))
        #expect(probe.object(ofCopyAt: "a/b") == ObjectName(bucket: "bkt", key: "a/b"))
        memory.set("a", "later", modifiedNs: 6)
        #expect(await rig.replicate("a").isCopied)
        #expect(trees.target.read("a%2F") == Array("later".utf8))

        // Found by a new process too; and when the directory goes, the copy has its own name again.
        let next = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: layout, files: files)
        #expect(await next.replicate("a").isSkipped)
        memory.objects["a/b"] = nil
        #expect(await next.replicate("a/b") { $0.isDeleteMarker = true } == .removed)
        #expect(trees.copies == ["a"])
        #expect(await next.replicate("a").isSkipped)
      }
    }
  }

  @Test func aFileThatIsNotOursKeepsItsNameAndADirectoryItsFiles() async throws {
    let trees = Trees()
    trees.target.write("a", "theirs")
    trees.target.write("d/theirs", "theirs")
    try await onWorker(.automatic) { files in
      let memory = MemorySource()
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
      for key in ["a/b", "d"] { memory.set(key, "ours") }
      #expect(await rig.replicate("a/b").reason == .targetOccupied)
      #expect(await rig.replicate("a/b") { $0.force = true }.reason == .targetOccupied)
      #expect(await rig.replicate("d").isCopied)
    }
    #expect(trees.copies == ["a", "d%2F", "d/theirs"])
  }

  @Test func aVerbatimNameThatLooksDisplacedStaysWhatItIs() async throws {
    let trees = Trees()
    trees.write("a%2F", "literal")
    trees.write("x%3a", "escaped")
    try await onWorker(.automatic) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      #expect(await rig.replicate("a%2F").isCopied)
      #expect(await rig.replicate("x%3a").isCopied)
      let probe = FileCopyProbe(location: rig.location, bucket: "bkt")
      #expect(probe.object(ofCopyAt: "a%2F") == ObjectName(bucket: "bkt", key: "a%2F"))
      #expect(await rig.replicate("a%2F").isSkipped)
    }
    #expect(trees.copies == ["a%2F", "x%3a"])
  }

  @Test func anEmptyDirectoryMakesRoom() async throws {
    let trees = Trees()
    trees.write("a", "file")
    mkdir("\(trees.target.path)/a", 0o755)
    try await onWorker(.automatic) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      #expect(await rig.replicate("a").isCopied)
    }
    #expect(trees.copies == ["a"])
  }

  @Test(arguments: CopyTests.modes) func keysOfEveryKindComeBack(mode: FileOperationsMode) async throws {
    let keys = [
      "", "/", "a//b", "dir/", "../x", "ü/ß €", "%41", "with space+plus:colon", "nul\0in", String(repeating: "ä", count: 512),
      // More than the kernel takes as one path.
      Array(repeating: String(repeating: "p", count: 250), count: 20).joined(separator: "/"), String(repeating: "/", count: 40),
    ]
    let trees = Trees()
    try await onWorker(mode) { files in
      let memory = MemorySource()
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .bucketThenKey, files: files)
      for key in keys {
        memory.set(key, "contents of \(key)")
        let outcome = await rig.replicate(key)
        #expect(outcome.isCopied, "\(key.prefix(40)): \(outcome)")
        #expect(await rig.replicate(key).isSkipped)
      }
      let probe = FileCopyProbe(location: rig.location, bucket: "")
      let names = trees.copies.compactMap { probe.object(ofCopyAt: $0)?.key }
      // Paths beyond the kernel's limit cannot be looked at with one plain call, so the probe leaves them to a worker.
      #expect(Set(names).isSuperset(of: keys.filter { $0.utf8.count < 1_000 }))
    }
  }

  // MARK: Versions

  @Test func anOlderVersionNeverReplacesANewerOne() async throws {
    let trees = Trees()
    // Ids count down: the later version has the smaller one.
    let (first, second) = ("98999999999999999999RG001  1", "98999999999999999998RG001  2")
    try await onWorker(.automatic) { files in
      let memory = MemorySource()
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
      func put(_ text: String, _ version: String?, _ lastModified: String = "", delete: Bool = false) async -> ReplicationOutcome {
        memory.set("k", text)
        return await rig.replicate("k") {
          $0.versionId = version
          $0.lastModified = lastModified
          $0.isDeleteMarker = delete
        }
      }
      #expect(await put("two", second).isCopied)
      #expect(await put("one", first) == .skippedNewerThere)
      #expect(await put("", first, delete: true) == .skippedNewerThere)
      #expect(await put("two", second).isSkipped)
      #expect(trees.target.read("k") == Array("two".utf8))
      #expect(await put("", "98999999999999999997RG001  3", delete: true) == .removed)

      // Ids of another form are ordered by their time.
      #expect(await put("new", "b", "2026-01-02T00:00:00.000Z").isCopied)
      #expect(await put("old", "a", "2026-01-01T00:00:00.000Z") == .skippedNewerThere)
      #expect(await put("newer", "c", "2026-01-03T00:00:00.000Z").isCopied)
    }
  }

  @Test func metadataIsKeptWithTheCopy() async throws {
    let trees = Trees()
    try await onWorker(.automatic) { files in
      let memory = MemorySource()
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
      memory.set("k", "text")
      #expect(
        await rig.replicate("k") {
          $0.versionId = "v"
          $0.attributes.system = [.init("content-type", "text/plain")]
          $0.attributes.user = [.init("x-amz-meta-a", "ü")]
          $0.attributes.tags = [.init("k", "v")]
        }.isCopied)
      #expect(
        attribute("\(trees.target.path)/k", "user.downbeat.object")
          == #"{"system":{"content-type":"text/plain"},"user":{"x-amz-meta-a":"ü"},"tags":{"k":"v"}}"#)
      // More than attributes can hold: kept beside the copy.
      let long = String(repeating: "x", count: 6_000)
      #expect(
        await rig.replicate("k") {
          $0.versionId = "w"
          $0.attributes.user = [.init("x-amz-meta-long", long)]
        }.isCopied)
      let sidecar = CopyRecords.sidecarPath(try rig.location.objectPath(bucket: "bkt", key: "k"))
      let text = String(decoding: trees.target.read(String(decoding: sidecar, as: UTF8.self)) ?? [], as: UTF8.self)
      #expect(text.contains(long) && text.contains(#""versionId":"w""#))
      #expect(await rig.replicate("k") { $0.versionId = "w" }.isSkipped)
    }
  }

  /// What S3 allows: 2 KB of metadata, and ten tags of 128 and 256 characters.
  @Test(arguments: CopyTests.modes, [false, true]) func asMuchMetadataAsS3AllowsIsKept(mode: FileOperationsMode, hasAttributes: Bool) async throws {
    let mount = hasAttributes ? nil : Mount("ramfs")
    guard hasAttributes || mount != nil else { return }
    let trees = Trees(targetIn: mount?.path ?? "/tmp")
    try await onWorker(mode) { files in
      let memory = MemorySource()
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
      memory.set("k", "text")
      // The second is beyond S3, but what a service like it might hold.
      for (version, metadataBytes) in [("v", 2_000), ("w", 100_000)] {
        func described(_ request: inout ObjectRequest) {
          request.versionId = version
          request.attributes.user = [.init("x-amz-meta-a", String(repeating: "m", count: metadataBytes))]
          request.attributes.tags = (0..<10).map { .init("\($0)" + String(repeating: "€", count: 127), String(repeating: "€", count: 256)) }
        }
        let outcome = await rig.replicate("k", described)
        #expect(outcome.isCopied, "\(outcome)")
        let sidecar = CopyRecords.sidecarPath(try rig.location.objectPath(bucket: "bkt", key: "k"))
        let text = String(decoding: trees.target.read(String(decoding: sidecar, as: UTF8.self)) ?? [], as: UTF8.self)
        #expect(text.contains(String(repeating: "m", count: metadataBytes)) && text.contains(String(repeating: "€", count: 256)))
        #expect(await rig.replicate("k", described).isSkipped)
        let next = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
        #expect(await next.replicate("k", described).isSkipped, "the record of the copy is found again")
      }
    }
  }

  @Test(arguments: CopyTests.modes, [false, true])
  func moreMetadataThanCanBeKeptFailsTheObjectAndTouchesNothing(mode: FileOperationsMode, hasAttributes: Bool) async throws {
    let mount = hasAttributes ? nil : Mount("ramfs")
    guard hasAttributes || mount != nil else { return }
    let trees = Trees(targetIn: mount?.path ?? "/tmp")
    trees.target.write("theirs", "text")
    try await onWorker(mode) { files in
      let memory = MemorySource()
      // One block: whatever is written beyond it is nobody's.
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files, blocks: 1)
      let changes: [@Sendable (inout ObjectRequest) -> Void] = [
        { $0.attributes.user = [.init("x-amz-meta-a", String(repeating: "m", count: 300_000))] },
        { $0.attributes.tags = (0..<300).map { .init("\($0)", String(repeating: "\u{1}", count: 1_000)) } },
        { $0.versionId = String(repeating: "v", count: 300_000) }, { $0.lastModified = String(repeating: "2", count: 300_000) },
      ]
      for key in ["k", "theirs"] {
        memory.set(key, "text")
        for change in changes {
          let outcome = await rig.replicate(key, change)
          #expect(outcome.reason == .targetRefused, "\(outcome.reason?.rawValue ?? "")")
          if case .failed(let error) = outcome { #expect(!error.isRetryable && error.message.utf8.count < 1_000) }
        }
      }
      #expect(rig.pool.freeCount == 1)
      #expect(await rig.replicate("k").isCopied)
    }
    #expect(trees.copies == ["k", "theirs"] && trees.temporaries == [])
    #expect(attribute("\(trees.target.path)/theirs", "user.downbeat") == nil)
  }

  // MARK: Without attributes

  @Test(arguments: CopyTests.modes) func withoutAttributesRecordsAreBesideTheCopies(mode: FileOperationsMode) async throws {
    guard let mount = Mount("ramfs") else { return }
    let trees = Trees(targetIn: mount.path)
    let notes = Notes()
    trees.write("x", "one")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files, note: notes.add)
      #expect(await rig.replicate("x").isCopied)
      #expect(await rig.replicate("x").isSkipped)
      trees.write("x", "two", aged: 1_700_000_001)
      #expect(await rig.replicate("x").isCopied)
      let next = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      #expect(await next.replicate("x").isSkipped)
      trees.target.write("x", "changed")
      #expect(await next.replicate("x").reason == .targetChanged)
      #expect(await next.replicate("x") { $0.force = true }.isCopied)
      unlink("\(trees.source.path)/x")
      #expect(await next.replicate("x") { $0.isDeleteMarker = true } == .removed)
      trees.target.write("x", "theirs")
      trees.write("x", "ours again")
      #expect(await next.replicate("x").reason == .targetOccupied)
    }
    #expect(notes.all.count { $0.contains("extended attributes are refused") } == 1)
    #expect(trees.temporaries == [] && trees.copies == ["x"])
    #expect(trees.target.files() == ["x"])
  }

  // MARK: The probe

  @Test func theProbeTellsTheFiveCases() async throws {
    let trees = Trees()
    for name in ["copied", "older", "changed"] { trees.write(name, "bytes") }
    trees.target.write("theirs", "x")
    try await onWorker(.automatic) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      for name in ["copied", "older", "changed"] { #expect(await rig.replicate(name).isCopied) }
      trees.target.write("changed", "other")
      let probe = FileCopyProbe(location: rig.location, bucket: "bkt")
      func check(_ key: String, _ size: Int64 = 5, _ ns: Int64 = 1_700_000_000_123_456_789) -> CopyCheck {
        probe.check(bucket: "bkt", key: key, size: size, modifiedNs: ns)
      }
      #expect(check("copied") == .upToDate)
      #expect(check("older", 6) == .stale && check("older", 5, 1) == .stale)
      #expect(check("changed") == .changed)
      #expect(check("theirs") == .foreign)
      #expect(check("none") == .missing && check("none/below") == .missing && check("copied/below") == .missing)
      #expect(!probe.hasCopy(of: ObjectName(bucket: "bkt", key: "changed")))
      #expect(probe.object(ofCopyAt: "theirs") == nil && probe.object(ofCopyAt: ".downbeat/tmp") == nil)
    }
  }
}
