// Disks that are full, read-only or broken; and processes that die at any step.
internal import CLinux
internal import Glibc
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

/// Per thread, unlike setuid; declared by hand because the header is not part of the Glibc module.
@_silgen_name("setfsuid") private func setfsuid(_ user: UInt32) -> Int32

@Suite struct FailureTests {
  @Test(arguments: CopyTests.modes) func aFullDiskFailsTheObjectAndLeavesNothingBehind(mode: FileOperationsMode) async throws {
    guard let mount = Mount("tmpfs", "size=2m") else { return }
    let trees = Trees(targetIn: mount.path)
    trees.write("large", [UInt8](repeating: 7, count: 5 << 20))
    trees.write("small", "fits")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      for _ in 0..<3 {
        let outcome = await rig.replicate("large") { $0.size = 5 << 20 }
        #expect(outcome.reason == .targetFull)
        if case .failed(let error) = outcome {
          #expect(error.isRetryable && error.message.contains("\(trees.target.path)/large") && error.message.contains("space"))
        }
        #expect(trees.temporaries == [])
      }
      // The kernel frees the room of what failed when it has closed the file, which nobody waits for.
      var outcome = await rig.replicate("small")
      for _ in 0..<200 where outcome.reason == .targetFull {
        await Reactor.current?.pause(for: .milliseconds(10))
        outcome = await rig.replicate("small")
      }
      #expect(outcome.isCopied, "\(outcome)")
      #expect(rig.pool.freeCount == 32)
    }
    #expect(trees.copies == ["small"])
  }

  @Test(arguments: CopyTests.modes) func aReadOnlyTargetSaysSo(mode: FileOperationsMode) async throws {
    guard let mount = Mount("tmpfs", "size=2m") else { return }
    let trees = Trees(targetIn: mount.path)
    trees.write("x", "1")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      #expect(mount.remount(readOnly: true))
      #expect(await rig.replicate("x").reason == .targetReadOnly)
      #expect(mount.remount(readOnly: false))
      #expect(await rig.replicate("x").isCopied)
    }
  }

  @Test(arguments: CopyTests.modes) func anotherFileSystemInsideTheTargetIsNamed(mode: FileOperationsMode) async throws {
    let trees = Trees()
    trees.write("inner/x", "1")
    mkdir("\(trees.target.path)/inner", 0o755)
    guard mount("none", "\(trees.target.path)/inner", "tmpfs", 0, "size=1m") == 0 else {
      print("skipped: cannot mount tmpfs: \(Errno.last("mount"))")
      return
    }
    defer { umount2("\(trees.target.path)/inner", 2) }
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      #expect(await rig.replicate("inner/x").reason == .targetOtherFileSystem)
    }
    #expect(trees.temporaries == [])
  }

  @Test(arguments: CopyTests.modes) func whatThisUserMayNotTouchIsNamed(mode: FileOperationsMode) async throws {
    guard geteuid() == 0 else {
      print("skipped: not root, so there is no other user to be")
      return
    }
    let trees = Trees()
    trees.write("secret", "1")
    trees.write("public", "2")
    chmod("\(trees.source.path)/secret", 0o600)
    chmod(trees.source.path, 0o755)
    chmod(trees.target.path, 0o777)
    mkdir("\(trees.target.path)/closed", 0o755)
    trees.write("closed/x", "3")
    try await onWorker(mode) { files in
      // Of this thread only, and of what it asks the ring to do.
      _ = setfsuid(65_534)
      defer { _ = setfsuid(0) }
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      let unreadable = await rig.replicate("secret")
      #expect(unreadable.reason == .sourceUnreadable && "\(unreadable)".contains("\(trees.source.path)/secret"))
      let denied = await rig.replicate("closed/x")
      #expect(denied.reason == .targetDenied && "\(denied)".contains("closed/x"))
      #expect(await rig.replicate("public").isCopied)
    }
    #expect(trees.copies == ["public"] && trees.temporaries == [])
  }

  @Test(arguments: [
    (FileRequest.Kind.write, ENOSPC, StoreError.Reason.targetFull, true), (.write, EDQUOT, .targetFull, true),
    (.write, EFBIG, .fileTooLarge, false), (.write, EIO, .targetUnwritable, true), (.sync, EIO, .targetUnwritable, true),
    (.sync, ENOSPC, .targetFull, true), (.rename, EACCES, .targetDenied, false), (.rename, EROFS, .targetReadOnly, true),
    (.openAt, EMFILE, .tooManyOpenFiles, true), (.openAt, ENOMEM, .outOfMemory, true), (.read, EIO, .sourceUnreadable, true),
    (.makeDirectory, EACCES, .targetDenied, false), (.makeDirectory, ENOSPC, .targetFull, true),
  ]) func everyFailedStepHasItsReasonAndIsCleanedUp(
    kind: FileRequest.Kind, code: Int32, reason: StoreError.Reason, isRetryable: Bool
  ) async throws {
    let trees = Trees()
    trees.write("d/x", "contents")
    let worker = try ReactorWorker()
    defer { worker.end() }
    try await worker.run { _ in
      let files = FaultyFileOperations()
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      files.fault = { $0 == kind ? code : nil }
      let outcome = await rig.replicate("d/x")
      files.fault = { _ in nil }
      guard case .failed(let error) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(error.reason == reason && error.isRetryable == isRetryable, "\(error)")
      #expect(error.message.contains("/d"), "\(error) names no file")
      #expect(trees.temporaries == [] && trees.copies == [])
      #expect(await rig.replicate("d/x").isCopied)
    }
  }

  @Test func attributesThatDoNotFitGoIntoASidecar() async throws {
    let trees = Trees()
    trees.write("x", "contents")
    let worker = try ReactorWorker()
    defer { worker.end() }
    try await worker.run { _ in
      let files = FaultyFileOperations()
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      files.fault = { $0 == .setAttribute ? ENOSPC : nil }
      #expect(await rig.replicate("x").isCopied)
      files.fault = { _ in nil }
      #expect(attribute("\(trees.target.path)/x", "user.downbeat") == nil)
      #expect(await rig.replicate("x").isSkipped)
      let next = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      #expect(await next.replicate("x").isSkipped)
    }
  }

  /// A process dies at each step in turn, at the first copy and while replacing one. Afterwards the target has the old
  /// copy, the new one, or none, never a part; and a new process completes the work and takes nothing for somebody's change.
  @Test(arguments: [false, true], [false, true])
  func afterADeathAtAnyStepTheNextRunEndsRight(isReplacing: Bool, isSidecar: Bool) async throws {
    var mount: Mount?
    if isSidecar {
      // ramfs has no extended attributes.
      mount = Mount("ramfs")
      guard mount != nil else { return }
    }
    let parent = mount?.path ?? "/tmp"
    let (old, new) = (Array("old contents".utf8), Array("new and longer contents".utf8))
    let worker = try ReactorWorker()
    defer { worker.end() }
    var deaths = 0
    for step in 0..<200 {
      let trees = Trees(targetIn: parent)
      trees.write("d/x", old)
      let hasFinished = try await worker.run { _ in
        let files = FaultyFileOperations()
        if isReplacing {
          let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
          #expect(await rig.replicate("d/x").isCopied)
        }
        trees.write("d/x", new, aged: 1_700_000_999)
        let dying = FaultyFileOperations()
        let rig = try StorageRig(trees.source.path, to: trees.target.path, files: dying)
        dying.diesAt = step
        let outcome = await rig.replicate("d/x")
        return dying.steps <= step && outcome.isCopied
      }
      let present = trees.target.read("d/x")
      #expect(present == nil || present == new || (isReplacing && present == old), "died at step \(step)")
      if isReplacing { #expect(present != nil, "died at step \(step): the old copy is gone") }

      try await worker.run { _ in
        let rig = try StorageRig(trees.source.path, to: trees.target.path, files: FaultyFileOperations())
        #expect(trees.temporaries == [], "died at step \(step): temporary files are not swept")
        let outcome = await rig.replicate("d/x")
        #expect(outcome.isCopied || outcome.isSkipped, "died at step \(step): \(outcome)")
        #expect(trees.target.read("d/x") == new)
        // And once more after a change: the records are in order.
        trees.write("d/x", old, aged: 1_700_002_000)
        #expect(await rig.replicate("d/x").isCopied, "died at step \(step)")
      }
      if hasFinished { break }
      deaths += 1
    }
    #expect((8..<200).contains(deaths))
  }

  @Test func temporaryFilesOfADeadRunAreSweptButNotThoseOfALiveOne() async throws {
    let target = TestTree()
    let notes = Notes()
    let first = try FileLocation.openTarget(target.path, layout: .sameTree)
    target.write(".downbeat/tmp/left-1", "x")
    let second = try FileLocation.openTarget(target.path, layout: .sameTree)
    #expect(TestTree.names(target.path + "/.downbeat/tmp") == ["left-1"])
    withExtendedLifetime((first, second)) {}
    _ = consume first
    _ = consume second
    let third = try FileLocation.openTarget(target.path, layout: .sameTree, note: notes.add)
    #expect(TestTree.names(target.path + "/.downbeat/tmp") == [])
    #expect(notes.all.contains { $0.contains("removed 1 temporary file") })
    withExtendedLifetime(third) {}
  }

  @Test func aLocationIsOpenOnlyWhenNobodySweepsItAnyMore() async throws {
    let target = TestTree()
    _ = try FileLocation.openTarget(target.path, layout: .sameTree)
    func descriptor() -> OwnedFD { OwnedFD(adopting: open("\(target.path)/.downbeat/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) }
    let sweeper = descriptor()
    #expect(db_flock(sweeper.raw, LOCK_EX | LOCK_NB) == 0)
    let worker = try ReactorWorker()
    defer { worker.end() }
    let (path, done) = (target.path, Notes())
    // Started on the worker's thread: the test runner's own may all be held by other tests while this one waits.
    let opened = Task.detached(executorPreference: worker.handle.executor) {
      defer { done.add("opened") }
      return try FileLocation.openTarget(path, layout: .sameTree)
    }
    // Waiting for the lock, as the kernel shows it.
    #expect(eventually { !done.all.isEmpty || Self.waitsForLock() })
    #expect(done.all.isEmpty, "open while it is swept")
    #expect(db_flock(sweeper.raw, LOCK_UN) == 0)
    let location = try await opened.value
    let other = descriptor()
    #expect(db_flock(other.raw, LOCK_EX | LOCK_NB) != 0, "open, and anybody may sweep it")
    withExtendedLifetime(location) {}
  }

  private static func waitsForLock() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let file = OwnedFD(adopting: open("/proc/locks", O_RDONLY))
    let text = String(decoding: bytes[..<max(0, read(file.raw, &bytes, bytes.count))], as: UTF8.self)
    return text.split(separator: "\n").contains { $0.contains("-> FLOCK") && $0.contains(" \(getpid()) ") }
  }

  @Test func aDirectoryThatCannotBeMadeIsNotRemembered() async throws {
    let trees = Trees()
    for index in 0..<20 { trees.write("d\(index)/x", "contents") }
    let worker = try ReactorWorker()
    defer { worker.end() }
    try await worker.run { _ in
      let files = FaultyFileOperations()
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      files.fault = { $0 == .makeDirectory ? EACCES : nil }
      for index in 0..<20 { #expect(await rig.replicate("d\(index)/x").reason == .targetDenied) }
      for index in 0..<20 { #expect(rig.location.freshOnTheWay(to: Array("d\(index)".utf8)).isEmpty) }
      files.fault = { $0 == .rename ? EIO : nil }
      #expect(await rig.replicate("d0/x").reason == .targetUnwritable)
      #expect(rig.location.freshOnTheWay(to: Array("d0".utf8)).count == 1, "made, and its name not durable yet")
      files.fault = { _ in nil }
      #expect(await rig.replicate("d0/x").isCopied)
      #expect(rig.location.freshOnTheWay(to: Array("d0".utf8)).isEmpty)
    }
  }

  @Test func aMissingOrUnusableTargetIsNamed() throws {
    let tree = TestTree()
    tree.write("file", "x")
    #expect(throws: StoreError(.targetMissing, isRetryable: false, "\(tree.path)/none: no such directory; make it")) {
      try FileLocation.openTarget("\(tree.path)/none", layout: .sameTree)
    }
    #expect(throws: StoreError.self) { try FileLocation.openTarget("\(tree.path)/file", layout: .sameTree) }
    tree.write("t/.downbeat", "a file, not a directory")
    #expect(throws: StoreError.self) { try FileLocation.openTarget("\(tree.path)/t", layout: .sameTree) }
  }
}

final class Notes: Sendable {
  private let lines = Lock<[String]>([])
  var all: [String] { lines.withLock { $0 } }
  @Sendable func add(_ line: String) { lines.withLock { $0.append(line) } }
}
