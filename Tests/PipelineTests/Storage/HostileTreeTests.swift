// Trees that try to lead a copy out of its root, or change under it.
internal import CLinux
internal import Glibc
internal import Synchronization
import TestSupport
import Testing

@testable import Pipeline
@testable import Reactor

@Suite struct HostileTreeTests {
  @Test(arguments: CopyTests.modes) func noKeyLeavesTheRoot(mode: FileOperationsMode) async throws {
    let trees = Trees()
    trees.source.write("inside", "x")
    trees.age("inside")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      for key in ["../outside", "/etc/passwd", "a/../../outside", "./inside", "a//b", ".downbeat/tmp/x", "inside\0.txt"] {
        #expect(await rig.replicate(key).reason == .keyNotMappable, "\(key)")
      }
      // Mapped names take any key, below the root.
      let memory = MemorySource()
      let mapped = try StorageRig(from: memory, trees.source.path, to: trees.target.path, layout: .bucketThenKey, files: files)
      for key in ["../outside", "/etc/passwd", "a/../../outside", ".downbeat/x", "inside\0.txt"] {
        memory.set(key, "contents of \(key)")
        #expect(await mapped.replicate(key).isCopied, "\(key)")
      }
    }
    #expect(
      trees.copies
        == ["%2E%2E/outside", "%00/etc/passwd", ".downbeat/x", "a/%2E%2E/%2E%2E/outside", "inside%00.txt"]
        .map { "bkt/\($0)" }.sorted())
  }

  @Test(arguments: CopyTests.modes) func linksAndSpecialFilesOfTheSourceAreRefused(mode: FileOperationsMode) async throws {
    let trees = Trees()
    trees.source.write("real/file", "x")
    trees.age("real/file")
    symlink("real/file", "\(trees.source.path)/link")
    symlink("/etc/passwd", "\(trees.source.path)/absolute")
    symlink("real", "\(trees.source.path)/linked")
    symlink("/etc", "\(trees.source.path)/etc")
    mkfifo("\(trees.source.path)/pipe", 0o600)
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      for key in ["link", "absolute", "linked/file", "etc/passwd", "pipe", "real"] {
        #expect(await rig.replicate(key).reason == .sourceNotAFile, "\(key)")
      }
      #expect(await rig.replicate("missing").reason == .sourceNotFound)
      #expect(await rig.replicate("real/file/below").reason == .sourceNotFound)
      #expect(await rig.replicate("real/file").isCopied)
    }
    #expect(trees.copies == ["real/file"] && trees.temporaries == [])
  }

  @Test(arguments: CopyTests.modes) func linksInTheTargetAreNeverFollowed(mode: FileOperationsMode) async throws {
    let trees = Trees()
    let outside = TestTree()
    outside.write("victim", "untouched")
    for name in ["d/file", "file", "dangling"] { trees.write(name, "x") }
    symlink(outside.path, "\(trees.target.path)/d")
    symlink("\(outside.path)/victim", "\(trees.target.path)/file")
    symlink("\(outside.path)/new", "\(trees.target.path)/dangling")
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      for key in ["d/file", "file", "dangling"] {
        #expect(await rig.replicate(key).reason == .targetOccupied, "\(key)")
        #expect(
          await rig.replicate(key) {
            $0.isDeleteMarker = true
            $0.versionId = "v"
          } != .removed)
      }
      // Forced, the link itself gives way; a linked directory never does.
      #expect(await rig.replicate("file") { $0.force = true }.isCopied)
      #expect(await rig.replicate("d/file") { $0.force = true }.reason == .targetOccupied)
    }
    #expect(outside.files() == ["victim"] && outside.read("victim") == Array("untouched".utf8))
    #expect(trees.target.read("file") == Array("x".utf8))
    #expect(trees.temporaries == [])
  }

  /// A directory of the target is swapped with a link to the outside, and one of the source likewise, all the time.
  @Test(arguments: CopyTests.modes) func aSwapRaceLeadsNobodyOut(mode: FileOperationsMode) async throws {
    let trees = Trees()
    let outside = TestTree()
    let count = 60
    for index in 0..<count {
      trees.write("s/f\(index)", "inside")
      outside.write("f\(index)", "SECRET")
    }
    mkdir("\(trees.target.path)/s", 0o755)
    symlink(outside.path, "\(trees.source.path)/link")
    symlink(outside.path, "\(trees.target.path)/link")
    let swapper = Swapper(trees)
    defer { swapper.end() }
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      for _ in 0..<3 {
        for index in 0..<count {
          let outcome = await rig.replicate("s/f\(index)")
          let isExpected: Set<StoreError.Reason?> = [nil, .sourceNotAFile, .sourceChanged, .targetOccupied, .sourceNotFound, .busy, .targetMissing]
          #expect(isExpected.contains(outcome.reason), "\(outcome)")
        }
      }
    }
    swapper.end()
    #expect(swapper.swaps > 0)
    #expect(outside.files().count == count)
    for index in 0..<count {
      #expect(outside.read("f\(index)") == Array("SECRET".utf8))
      if let bytes = trees.target.read("s/f\(index)") { #expect(bytes == Array("inside".utf8)) }
    }
    #expect(trees.temporaries == [])
  }

  /// The file is rewritten as a whole, each time with one letter only: a mixed copy would show two letters.
  @Test(arguments: CopyTests.modes) func aFileRewrittenMeanwhileIsCopiedWholeOrNotAtAll(mode: FileOperationsMode) async throws {
    let trees = Trees()
    let size = 3 * BlockPool.blockBytes
    trees.source.write("x", [UInt8](repeating: 65, count: size))
    let writer = Rewriter("\(trees.source.path)/x", size: size)
    defer { writer.end() }
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      for _ in 0..<12 {
        let outcome = await rig.replicate("x") { $0.size = Int64(size) }
        #expect(outcome.reason == nil || outcome.reason == .sourceChanged, "\(outcome)")
        if let bytes = trees.target.read("x") {
          let isWhole = Set(bytes).count == 1 && bytes.count == size
          #expect(isWhole, "a mixture: \(Set(bytes)), \(bytes.count) bytes")
        }
      }
      writer.end()
      // At rest it is copied, and the copy is what is there.
      #expect(await rig.replicate("x").reason == nil)
    }
    let isEqual = trees.target.read("x") == trees.source.read("x")
    #expect(isEqual)
    #expect(trees.temporaries == [])
  }

  /// The change comes exactly between two reads, the first so many times.
  @Test(arguments: [1, 2, 3], [1, 3 * BlockPool.blockBytes])
  func aChangedSourceIsCopiedAgainAFewTimes(changes: Int, size: Int) async throws {
    let trees = Trees()
    trees.write("x", [UInt8](repeating: 1, count: size))
    let worker = try ReactorWorker()
    defer { worker.end() }
    try await worker.run { _ in
      let files = FaultyFileOperations()
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      var changesLeft = changes
      // Once in each attempt: with the first read after the opens.
      var isAttemptNew = false
      files.fault = { kind in
        if kind == .openAt { isAttemptNew = true }
        guard kind == .read, isAttemptNew, changesLeft > 0 else { return nil }
        isAttemptNew = false
        changesLeft -= 1
        trees.write("x", [UInt8](repeating: UInt8(2 + changesLeft), count: size), aged: 1_700_000_100 - changesLeft)
        return nil
      }
      let outcome = await rig.replicate("x") { $0.size = Int64(size) }
      if changes < Replicator.triesMax {
        #expect(outcome.isCopied, "\(outcome)")
        #expect(Set(trees.target.read("x") ?? []) == [2])
      } else {
        #expect(outcome.reason == .sourceChanged)
        #expect(trees.copies == [])
      }
      #expect(trees.temporaries == [])
    }
  }

  @Test(arguments: CopyTests.modes) func aFileJustWrittenRestsUntilAChangeWouldShow(mode: FileOperationsMode) async throws {
    let trees = Trees()
    try await onWorker(mode) { files in
      let rig = try StorageRig(trees.source.path, to: trees.target.path, files: files)
      let start = Instant.nowUncached()
      trees.source.write("x", "young")
      #expect(await rig.replicate("x").isCopied)
      #expect(Instant.nowUncached() - start >= FileSource.timeGrain)
      // One write call may still be at work on a larger one: the kernel sets the time when it begins.
      let size = 32 * Int64(BlockPool.blockBytes)
      let startOfLarge = Instant.nowUncached()
      trees.source.write("z", [UInt8](repeating: 1, count: Int(size)))
      #expect(await rig.replicate("z") { $0.size = size }.isCopied)
      #expect(Instant.nowUncached() - startOfLarge >= .milliseconds(size / FileSource.writeBytesPerMs))
      // A time in the future is somebody's doing, not the clock's.
      trees.write("y", "later", aged: 4_000_000_000)
      #expect(await rig.replicate("y").isCopied)
    }
  }
}

/// Something a thread of its own does again and again until it is ended.
private class Repeater {
  private let isEnding = Atomic<Bool>(false)
  private let count = Atomic<Int>(0)
  private var thread = pthread_t()
  private var hasEnded = false

  var swaps: Int { count.load(ordering: .relaxed) }

  init() {}

  fileprivate func start() {
    pthread_create(&thread, nil, repeaterMain, Unmanaged.passRetained(self).toOpaque())
  }

  func turn(_ number: Int) {}

  fileprivate func run() {
    while !isEnding.load(ordering: .relaxed) {
      turn(count.load(ordering: .relaxed))
      count.add(1, ordering: .relaxed)
    }
  }

  func end() {
    guard !hasEnded else { return }
    hasEnded = true
    isEnding.store(true, ordering: .relaxed)
    pthread_join(thread, nil)
  }
}

private nonisolated func repeaterMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  Unmanaged<Repeater>.fromOpaque(argument!).takeRetainedValue().run()
  return nil
}

private final class Swapper: Repeater, @unchecked Sendable {  // immutable, and what it inherits is guarded by atomics and the join
  private let paths: [String]

  init(_ trees: Trees) {
    paths = [trees.source.path, trees.target.path]
    super.init()
    start()
  }

  override func turn(_ number: Int) {
    let exchange: UInt32 = 2
    for path in paths { _ = db_renameat2(-100, "\(path)/s", -100, "\(path)/link", exchange) }
    sched_yield()
  }

  override func end() {
    super.end()
    for path in paths where facts("\(path)/s").map({ $0.st_mode & S_IFMT == S_IFLNK }) == true {
      _ = db_renameat2(-100, "\(path)/s", -100, "\(path)/link", 2)
    }
  }
}

private final class Rewriter: Repeater, @unchecked Sendable {  // as Swapper
  private let path: String
  private let size: Int

  init(_ path: String, size: Int) {
    self.path = path
    self.size = size
    super.init()
    start()
  }

  override func turn(_ number: Int) {
    let fd = open(path, O_WRONLY)
    let bytes = [UInt8](repeating: UInt8(65 + number % 26), count: 65_536)
    var offset = 0
    while offset < size {
      _ = pwrite(fd, bytes, min(bytes.count, size - offset), off_t(offset))
      offset += bytes.count
    }
    close(fd)
    // Long enough for some copies to begin in peace.
    poll(nil, 0, Int32(number % 40))
  }
}
