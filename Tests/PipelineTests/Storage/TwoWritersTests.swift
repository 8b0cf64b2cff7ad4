// Two writers of one key that know nothing of each other: a location and its replay, or an old and a new owner of a partition.
internal import CLinux
internal import Glibc
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite struct TwoWritersTests {
  private static let first = "98999999999999999999RG001  1"
  private static let second = "98999999999999999998RG001  2"

  /// What the other writer has done between the look at the target and the rename.
  enum Meanwhile: CaseIterable, Sendable {
    case sameVersion, newerVersion, olderVersion, equalForeign, otherForeign
  }

  @Test(arguments: Meanwhile.allCases) func whatAppearedMeanwhileIsJudgedAsIfItHadBeenThere(_ meanwhile: Meanwhile) async throws {
    let trees = Trees()
    let worker = try ReactorWorker()
    defer { worker.end() }
    try await worker.run { _ in
      let memory = MemorySource()
      let (own, other) = meanwhile == .olderVersion ? (Self.second, Self.first) : (Self.first, meanwhile == .newerVersion ? Self.second : Self.first)
      memory.set("k", "ours")
      let (place, aside) = ("\(trees.target.path)/k", "\(trees.target.path)/aside")
      switch meanwhile {
      case .equalForeign: trees.target.write("aside", "ours")
      case .otherForeign: trees.target.write("aside", "theirs")
      case .sameVersion, .newerVersion, .olderVersion:
        let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: FaultyFileOperations())
        #expect(await rig.replicate("k") { $0.versionId = other }.isCopied)
        #expect(rename(place, aside) == 0)
      }

      let files = FaultyFileOperations()
      let rig = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .keyOnly, files: files)
      files.fault = { kind in
        // Only before the first.
        if kind == .rename { _ = rename(aside, place) }
        return nil
      }
      let outcome = await rig.replicate("k") { $0.versionId = own }
      #expect(trees.temporaries == [])
      switch meanwhile {
      case .sameVersion: #expect(outcome.isSkipped, "\(outcome)")
      case .newerVersion: #expect(outcome == .skippedNewerThere, "\(outcome)")
      case .olderVersion: #expect(outcome.isCopied, "\(outcome)")
      case .otherForeign: #expect(outcome.reason == .targetOccupied, "\(outcome)")
      case .equalForeign:
        // Comparing takes the bytes once more: the next attempt's work.
        guard case .failed(let error) = outcome, error.isRetryable else {
          Issue.record("\(outcome)")
          return
        }
        #expect(await rig.replicate("k") { $0.versionId = own }.isAdopted)
      }
    }
    #expect(trees.target.read("k") == Array((meanwhile == .otherForeign ? "theirs" : "ours").utf8))
    #expect(trees.copies == ["k"])
  }

  /// Both are through with a round before either begins the next: a sidecar names four states, and no more.
  private final class Meeting: Sendable {
    let arrived = Lock([0, 0])
    let lost = Lock<[String]>([])
  }

  /// Two processes that add a state to one sidecar at the same moment: each has a location of its own, and neither leaves the other's
  /// state out.
  @Test(arguments: CopyTests.modes) func neitherLosesTheStateTheOtherAddsToASidecar(mode: FileOperationsMode) async throws {
    let trees = Trees()
    let rounds = 25
    @Sendable func record(_ writer: Int, _ round: Int) -> CopyRecord {
      let md5 = "0cc175b9c0f1b6a831c399e269772661"
      return CopyRecord(bytes: Array(#"{"v":1,"size":\#(writer),"md5":"\#(md5)","copySize":\#(writer),"copyMtime":\#(round)}"#.utf8))!
    }
    let meeting = Meeting()
    @Sendable func write(_ writer: Int) async throws {
      defer { meeting.arrived.withLock { $0[writer] = .max } }
      try await onWorker(mode) { files in
        let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
        let object = try rig.location.objectPath(bucket: "bkt", key: "k")
        for round in 1...rounds {
          try await rig.destination.writeSidecar(object, record(writer, round), nil)
          meeting.arrived.withLock { $0[writer] = round }
          while meeting.arrived.withLock({ $0[1 - writer] }) < round { await Reactor.current?.pause(for: .milliseconds(1)) }
          let copies = CopyRecords(location: rig.location).copies(object)
          for other in 0...1 where !copies.contains(record(other, round)) { meeting.lost.withLock { $0.append("\(round): \(other)") } }
        }
      }
    }
    async let one: Void = write(0)
    async let two: Void = write(1)
    _ = try await (one, two)
    #expect(meeting.lost.withLock { $0 } == [])
  }

  @Test func aLockThatIsNotLetGoOfIsGivenUpWhenTheTaskIs() async throws {
    let trees = Trees()
    let worker = try ReactorWorker()
    defer { worker.end() }
    @Sendable func cancelThisTask() { withUnsafeCurrentTask { $0?.cancel() } }
    let isBusy = try await worker.run { _ in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: FaultyFileOperations())
      let object = try rig.location.objectPath(bucket: "bkt", key: "k")
      let held = try await rig.destination.lockSidecars(beside: object)
      defer { held?.release() }
      let path = "\(trees.target.path)/\(String(decoding: parentDirectory(CopyRecords.sidecarPath(object)), as: UTF8.self))"
      let other = open(path, O_RDONLY | O_DIRECTORY)
      defer { close(other) }
      #expect(flock(other, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      held?.release()
      #expect(flock(other, LOCK_EX | LOCK_NB) == 0)
      cancelThisTask()
      do throws(StoreError) {
        _ = try await rig.destination.lockSidecars(beside: object)
        return false
      } catch {
        return error.reason == .busy && error.isRetryable
      }
    }
    #expect(isBusy)
  }

  @Test(arguments: CopyTests.modes, [false, true]) func bothEndWell(mode: FileOperationsMode, hasAttributes: Bool) async throws {
    let mount = hasAttributes ? nil : Mount("ramfs")
    guard hasAttributes || mount != nil else { return }
    let trees = Trees(targetIn: mount?.path ?? "/tmp")
    let keys = (0..<150).map { "d\($0 % 7)/k\($0)" }
    for key in keys { trees.write(key, "contents of \(key)") }
    @Sendable func write() async throws {
      try await onWorker(mode) { files in
        let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
        for key in keys {
          let outcome = await rig.replicate(key)
          #expect(outcome.isCopied || outcome.isSkipped, "\(key): \(outcome)")
        }
      }
    }
    async let one: Void = write()
    async let two: Void = write()
    _ = try await (one, two)
    for key in keys { #expect(trees.target.read(key) == Array("contents of \(key)".utf8)) }
    #expect(trees.copies == keys.sorted() && trees.temporaries == [])
  }
}
