// Blocks, digests, shared directory syncs, statuses on a source.
internal import CLinux
internal import Glibc
import PipelineCore
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite struct PartsTests {
  @Test func digestsAreThePublishedOnes() throws {
    let md5 = MD5()
    func digest(_ text: String, pieces: Int = 1) -> String {
      let bytes = Array(text.utf8)
      let cut = bytes.count / pieces
      for index in 0..<pieces {
        let piece = Array(bytes[(index * cut)..<(index == pieces - 1 ? bytes.count : (index + 1) * cut)])
        piece.withUnsafeBytes { md5.add($0) }
      }
      return md5.finish().hex
    }
    // RFC 1321, A.5.
    #expect(digest("") == "d41d8cd98f00b204e9800998ecf8427e")
    #expect(digest("abc") == "900150983cd24fb0d6963f7d28e17f72")
    let long = String(repeating: "1234567890", count: 8)
    #expect(digest(long) == "57edf4a22be3c955ac49da2e2107b67a" && digest(long, pieces: 7) == digest(long))
    #expect(MD5Digest(hex: "900150983CD24FB0D6963F7D28E17F72")?.hex == "900150983cd24fb0d6963f7d28e17f72")
    #expect(MD5Digest(hex: "00000000000000000000000000000001")?.hex == "00000000000000000000000000000001")
    for bad in ["", "abc", "900150983cd24fb0d6963f7d28e17f7", "900150983cd24fb0d6963f7d28e17f72-4", "+00150983cd24fb0d6963f7d28e17f72"] {
      #expect(MD5Digest(hex: bad) == nil)
    }
    #expect(SHA256.hex(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test func blocksAreWaitedForInOrderAndUsedAgain() async throws {
    let worker = try ReactorWorker()
    defer { worker.end() }
    try await worker.run { _ in
      let pool = BlockPool(blocksMax: 2)
      var first: Block? = await pool.take()
      let second = pool.takeIfFree()
      #expect(pool.takeIfFree() == nil && pool.freeCount == 0)
      let address = first?.bytes.baseAddress
      first = nil
      let third = await pool.take()
      #expect(third.bytes.baseAddress == address)
      third.count = 3
      third.bytes.copyBytes(from: [0, 0, 0])
      #expect(third.isZero)
      third.bytes[2] = 1
      #expect(!third.isZero)
      withExtendedLifetime(second) {}
    }
  }

  /// Objects larger than the whole pool, more of them than it has blocks: nobody may wait for ever.
  @Test(arguments: CopyTests.modes) func transfersThatShareAFewBlocksAllEnd(mode: FileOperationsMode) async throws {
    let trees = Trees()
    let keys = (0..<12).map { "f\($0)" }
    for key in keys { trees.write(key, [UInt8](repeating: UInt8(key.utf8.last!), count: 9 * BlockPool.blockBytes + 1)) }
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files, blocks: 3)
      #expect(await copyAll(rig, keys, atOnce: 12) == 12)
      #expect(rig.pool.freeCount == 3)
    }
  }

  @Test func memoryStaysFlatWhileALargeFileIsCopied() async throws {
    let trees = Trees()
    let size = 192 << 20
    trees.source.write("x", "")
    let fd = open("\(trees.source.path)/x", O_WRONLY)
    let piece = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    for _ in 0..<(size >> 20) { #expect(write(fd, piece, piece.count) == piece.count) }
    close(fd)
    trees.age("x")
    try await onWorker(.automatic) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files, blocks: 32)
      let before = residentBytes()
      #expect(await rig.replicate("x") { $0.size = Int64(size) }.isCopied)
      // The pool's 8 MiB and whatever other tests do meanwhile; far from the file's size.
      #expect(residentBytes() - before < 96 << 20)
    }
    #expect(facts("\(trees.target.path)/x")?.st_size == off_t(size))
  }

  private func residentBytes() -> Int {
    let text = String(decoding: TestTree.read("/proc/self/statm") ?? [], as: UTF8.self)
    return (Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0) * 4_096
  }

  @Test func whoWaitsForADirectorySyncSharesTheNextOne() async throws {
    let target = TestTree()
    try await onWorker(.automatic) { files in
      let location = try FileLocation.openTarget(target.path, layout: .sameTree)
      let syncs = DirectorySync(location: location, files: files)
      #expect(await syncs.sync([]) == 0)
      #expect(syncs.syncCount == 1)
      #expect(await syncs.sync(Array("missing".utf8)) == -ENOENT)
      #expect(await syncAll(syncs, count: 40) == 40)
      #expect((1...20).contains(syncs.syncCount - 1), "\(syncs.syncCount)")
    }
  }

  // MARK: Statuses on a source

  private let whenCopied = ObjectInfo(size: 1, modifiedNs: 1_700_000_000_123_456_789)

  @Test func theWholeFollowsFromTheSites() throws {
    let trees = Trees()
    trees.write("bkt/x", "1")
    let status = try makeStatus(trees)
    func set(_ value: ReplicationStatus, _ site: String, info: ObjectInfo? = nil) throws -> ReplicationStatus? {
      try status.set(value, site: site, bucket: "bkt", key: "x", sites: ["a", "b"], info: info ?? whenCopied)
    }
    let path = "\(trees.source.path)/bkt/x"
    #expect(try set(.completed, "a") == .processing)
    #expect(attribute(path, "user.replication-status") == "PROCESSING")
    #expect(attribute(path, "user.b-replication-status") == "PENDING")
    #expect(try set(.failed, "b") == .failed)
    #expect(try set(.completed, "b") == .completed)
    #expect(try set(.failed, "b") == .completed, "COMPLETED is final")
    #expect(attribute(path, "user.replication-status") == "COMPLETED")
    // Of an earlier state of the file, and of one that has gone.
    #expect(try set(.failed, "a", info: ObjectInfo(size: 2, modifiedNs: 7)) == nil)
    trees.write("bkt/x", "22", aged: 1_700_000_005)
    #expect(try set(.completed, "a", info: ObjectInfo(size: 2, modifiedNs: 1_700_000_005_123_456_789)) == .processing)
    unlink(path)
    #expect(try set(.completed, "a") == nil)
  }

  @Test func twoSitesAtOnceEndWithTheRightWhole() async throws {
    let trees = Trees()
    let status = try makeStatus(trees)
    let sites = ["a", "b", "c", "d"]
    for index in 0..<40 { trees.write("bkt/f\(index)", "1") }
    await withTaskGroup(of: Void.self) { group in
      for site in sites {
        group.addTask {
          for index in 0..<40 {
            do {
              _ = try status.set(.completed, site: site, bucket: "bkt", key: "f\(index)", sites: sites, info: self.whenCopied)
            } catch {
              Issue.record(error)
            }
          }
        }
      }
    }
    for index in 0..<40 { #expect(attribute("\(trees.source.path)/bkt/f\(index)", "user.replication-status") == "COMPLETED") }
  }

  @Test func aSourceWithoutAttributesHasItsStatusesInTheStateDirectory() throws {
    guard let mount = Mount("ramfs") else { return }
    let state = TestTree()
    let notes = Notes()
    mkdir("\(mount.path)/bkt", 0o755)
    mount.directory.write("bkt/x", "1")
    let location = try FileLocation.openSource(mount.path, layout: .source)
    for round in 0..<2 {
      let status = FileSourceStatus(location: location, fallbackDirectory: "\(state.path)/status", note: notes.add)
      let site = ["a", "b"][round]
      let whole = try status.set(
        .completed, site: site, bucket: "bkt", key: "x", sites: ["a", "b"],
        info: ObjectInfo(size: 1, modifiedNs: nil))
      #expect(whole == [ReplicationStatus.processing, .completed][round])
    }
    #expect(notes.all.count { $0.contains("statuses are kept in") } == 2)
    #expect(state.files().count == 1)
  }

  private func makeStatus(_ trees: Trees) throws -> FileSourceStatus {
    FileSourceStatus(
      location: try FileLocation.openSource(trees.source.path, layout: .source), fallbackDirectory: trees.target.path + "/status",
      note: { _ in })
  }
}
