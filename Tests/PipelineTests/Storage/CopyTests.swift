// Copies from tree to tree: what arrives, what is written twice, what is overwritten. Each through the ring and plainly.
internal import CLinux
internal import Glibc
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite struct CopyTests {
  static let modes: [FileOperationsMode] = [.automatic, .plain]
  static let sizes = [
    0, 1, 4_096, BlockPool.blockBytes - 1, BlockPool.blockBytes, BlockPool.blockBytes + 1, 3 * BlockPool.blockBytes + 17,
    20 * BlockPool.blockBytes,
  ]

  @Test(arguments: modes) func bytesModeAndTimeArriveAndTheCopyKnowsWhatItIs(mode: FileOperationsMode) async throws {
    let trees = Trees()
    trees.write("d/e/file", "hello")
    chmod("\(trees.source.path)/d/e/file", 0o4750)
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, site: "dr", files: files)
      let outcome = await rig.replicate("d/e/file")
      guard case .copied(let receipt) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(receipt.bytes == 5 && receipt.md5?.hex == "5d41402abc4b2a76b9719d911017c592")
      #expect(receipt.source?.size == 5 && receipt.source?.modifiedNs == 1_700_000_000_123_456_789)
    }
    let copy = "\(trees.target.path)/d/e/file"
    #expect(trees.copies == ["d/e/file"] && trees.temporaries == [])
    #expect(trees.target.read("d/e/file") == Array("hello".utf8))
    let stat = try #require(facts(copy))
    #expect(stat.st_mode & 0o7777 == 0o750)
    #expect(stat.st_mtim.tv_sec == 1_700_000_000 && stat.st_mtim.tv_nsec == 123_456_789)
    #expect(attribute(copy, "user.dr-replication-status") == "COMPLETED")
    let record = try #require(attribute(copy, "user.downbeat"))
    #expect(
      record == """
        {"v":1,"size":5,"mtime":1700000000123456789,"mode":488,"md5":"5d41402abc4b2a76b9719d911017c592",\
        "copySize":5,"copyMtime":1700000000123456789}
        """)
  }

  @Test(arguments: modes, sizes) func everySizeArrivesWhole(mode: FileOperationsMode, size: Int) async throws {
    var random = SeededGenerator(seed: testSeed)
    let bytes = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
    let trees = Trees()
    trees.write("x", bytes)
    // With a wrong hint, a right one, and none.
    for hint in [0, Int64(size), 1 << 40] {
      try await onWorker(mode) { files in
        let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files, blocks: 8)
        let outcome = await rig.replicate("x") { $0.size = hint }
        #expect(outcome.isCopied || outcome.isSkipped, "size \(size), hint \(hint): \(outcome)")
        #expect(rig.pool.freeCount == 8)
      }
      let isEqual = trees.target.read("x") == bytes
      #expect(isEqual, "size \(size), hint \(hint)")
      unlink("\(trees.target.path)/x")
    }
  }

  @Test(arguments: modes) func aRedeliveryWritesNothing(mode: FileOperationsMode) async throws {
    let trees = Trees()
    trees.write("x", "one")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      #expect(await rig.replicate("x").isCopied)
      let before = try #require(facts("\(trees.target.path)/x"))
      #expect(await rig.replicate("x").isSkipped)
      let after = try #require(facts("\(trees.target.path)/x"))
      #expect(before.st_ino == after.st_ino && before.st_ctim.tv_nsec == after.st_ctim.tv_nsec)
      // Another worker, another process: the record is on the copy.
      let other = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      #expect(await other.replicate("x").isSkipped)

      trees.write("x", "two", aged: 1_700_000_001)
      #expect(await rig.replicate("x").isCopied)
      #expect(trees.target.read("x") == Array("two".utf8))
    }
    #expect(trees.copies == ["x"] && trees.temporaries == [])
  }

  @Test(arguments: modes) func whatIsNotOursIsAdoptedIfEqualAndElseLeftAlone(mode: FileOperationsMode) async throws {
    let trees = Trees()
    for name in ["equal", "other", "longer"] { trees.write(name, "bytes") }
    trees.target.write("equal", "bytes")
    trees.target.write("other", "BYTES")
    trees.target.write("longer", "bytes and more")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      let inode = facts("\(trees.target.path)/equal")?.st_ino
      #expect(chmod("\(trees.target.path)/equal", 0o600) == 0)
      #expect(await rig.replicate("equal").isAdopted)
      #expect(facts("\(trees.target.path)/equal")?.st_ino == inode)
      let (source, copy) = (facts("\(trees.source.path)/equal"), facts("\(trees.target.path)/equal"))
      #expect(source?.st_mode == copy?.st_mode && source?.st_mtim.tv_sec == copy?.st_mtim.tv_sec, "as if we had written it")
      #expect(await rig.replicate("equal").isSkipped)
      for name in ["other", "longer"] {
        let before = trees.target.read(name)
        #expect(await rig.replicate(name).reason == .targetOccupied)
        #expect(trees.target.read(name) == before)
        #expect(attribute("\(trees.target.path)/\(name)", "user.downbeat") == nil)
        #expect(await rig.replicate(name) { $0.force = true }.isCopied)
        #expect(trees.target.read(name) == Array("bytes".utf8))
      }
    }
    #expect(trees.temporaries == [])
  }

  @Test(arguments: modes) func aCopySomebodyChangedIsKeptUnlessForced(mode: FileOperationsMode) async throws {
    let trees = Trees()
    trees.write("x", "first")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      #expect(await rig.replicate("x").isCopied)
      trees.target.write("x", "local")
      trees.write("x", "later", aged: 1_700_000_100)
      let outcome = await rig.replicate("x")
      #expect(outcome.reason == .targetChanged)
      #expect("\(outcome)".contains("\(trees.target.path)/x") && "\(outcome)".contains("--force"))
      #expect(trees.target.read("x") == Array("local".utf8))
      #expect(
        await rig.replicate("x") {
          $0.isDeleteMarker = true
          $0.versionId = "v"
        }.reason == .targetChanged)
      #expect(await rig.replicate("x") { $0.force = true }.isCopied)
      #expect(trees.target.read("x") == Array("later".utf8))

      // Only touched: the bytes are equal, so it is ours again.
      var times = [timespec](repeating: timespec(tv_sec: 5, tv_nsec: 0), count: 2)
      utimensat(Int32(-100), "\(trees.target.path)/x", &times, 0)
      #expect(await rig.replicate("x").isAdopted)
      #expect(await rig.replicate("x").isSkipped)
    }
  }

  @Test(arguments: modes) func aDeleteMarkerRemovesOursOnlyAndDirectoriesItEmptied(mode: FileOperationsMode) async throws {
    let trees = Trees()
    trees.write("a/b/one", "1")
    trees.write("a/two", "2")
    trees.target.write("a/c/theirs", "3")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      func remove(_ key: String) async -> ReplicationOutcome { await rig.replicate(key) { $0.isDeleteMarker = true } }
      #expect(await rig.replicate("a/b/one").isCopied)
      #expect(await rig.replicate("a/two").isCopied)
      #expect(await remove("a/b/one") == .skippedPresentAgain)
      unlink("\(trees.source.path)/a/b/one")
      #expect(await remove("a/b/one") == .removed)
      #expect(facts("\(trees.target.path)/a/b") == nil)
      #expect(await remove("a/b/one") == .nothingToRemove)
      #expect(await remove("a/c/theirs") == .nothingToRemove)
    }
    #expect(trees.copies == ["a/c/theirs", "a/two"])
  }

  @Test(arguments: modes) func theEntrysMD5MustMatch(mode: FileOperationsMode) async throws {
    let trees = Trees()
    trees.write("x", "hello")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      let wrong = await rig.replicate("x") { $0.md5 = MD5Digest(hex: "00000000000000000000000000000000") }
      #expect(wrong.reason == .checksumMismatch)
      #expect(trees.copies == [] && trees.temporaries == [])
      #expect(await rig.replicate("x") { $0.md5 = MD5Digest(hex: "5D41402ABC4B2A76B9719D911017C592") }.isCopied)
    }
  }

  @Test(arguments: modes) func manyAtOnceShareSyncsAndLeaveNothingOpen(mode: FileOperationsMode) async throws {
    let count = 120
    let trees = Trees()
    for index in 0..<count { trees.write("d\(index % 3)/f\(index)", "content \(index)") }
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      let copied = await copyAll(rig, (0..<count).map { "d\($0 % 3)/f\($0)" }, atOnce: 16)
      #expect(copied == count)
      #expect(rig.destination.syncs.syncCount < count)
      #expect(rig.pool.freeCount == 32)
    }
    #expect(openFiles(under: trees.source.path) == [] && openFiles(under: trees.target.path) == [])
    for index in 0..<count { #expect(trees.target.read("d\(index % 3)/f\(index)") == Array("content \(index)".utf8)) }
    #expect(trees.copies.count == count && trees.temporaries == [])
  }

  @Test(arguments: modes) func holesStayHoles(mode: FileOperationsMode) async throws {
    let trees = Trees()
    let size = 40 * BlockPool.blockBytes
    trees.source.write("x", "head")
    #expect(truncate("\(trees.source.path)/x", size) == 0)
    trees.age("x")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      #expect(await rig.replicate("x") { $0.size = Int64(size) }.isCopied)
    }
    let copy = try #require(facts("\(trees.target.path)/x"))
    #expect(copy.st_size == size && copy.st_blocks * 512 < size / 4)
    let isEqual = trees.target.read("x") == trees.source.read("x")
    #expect(isEqual)
  }
}
