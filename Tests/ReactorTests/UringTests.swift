// The file operations, each test through the ring and through plain calls.
internal import CLinux
internal import Glibc
import TestSupport
import Testing

@testable import Reactor

private let atWorkingDirectory = Int32(-100)
/// What owns memory that the test itself keeps alive.
private final class Keeper {}

@Suite struct UringTests {
  static let modes: [FileOperationsMode] = [.automatic, .plain]

  private func with<Value: Sendable>(
    _ mode: FileOperationsMode, _ body: @escaping @Sendable (any FileOperations) async throws -> Value
  ) async throws -> Value {
    let worker = try ReactorWorker()
    defer { worker.end() }
    return try await worker.run { reactor in
      let files = reactor.makeFileOperations(mode: mode)
      defer { files.close() }
      return try await body(files)
    }
  }

  @Test func theRingIsUsedWhereTheKernelHasOne() async throws {
    let reason = try await with(.automatic) { $0.reason }
    #expect(reason == nil)
    let plain = try await with(.plain) { $0.reason }
    #expect(plain == "plain file calls were asked for")
  }

  @Test(arguments: modes) func aFileIsMadeWrittenReadRenamedAndRemoved(mode: FileOperationsMode) async throws {
    let directory = TestTree()
    try await with(mode) { files in
      let root = await files.openAt(
        atWorkingDirectory, Array(directory.path.utf8), flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC, resolve: 0)
      try #require(root >= 0)
      #expect(await files.makeDirectory(root, Array("d".utf8), mode: 0o755) == 0)
      let fd = await files.openAt(
        root, Array("d/x".utf8), flags: O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode: 0o600, resolve: ResolveRule.beneath)
      try #require(fd >= 0)
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
      defer { buffer.deallocate() }
      buffer.copyBytes(from: Array("downbeat".utf8))
      #expect(await files.write(fd, from: UnsafeRawBufferPointer(buffer), at: 0, keep: Keeper()) == 8)
      #expect(await files.setAttribute(fd, "user.test", Array("value".utf8)) == 0)
      #expect(await files.sync(fd) == 0)
      #expect(try await files.status(fd).get().size == 8)
      buffer.initializeMemory(as: UInt8.self, repeating: 0)
      #expect(await files.read(fd, into: buffer, at: 0, keep: Keeper()) == 8)
      #expect(Array(buffer) == Array("downbeat".utf8))
      #expect(await files.rename(root, Array("d/x".utf8), to: root, Array("y".utf8), noReplace: true) == 0)
      #expect(try await files.status(root, Array("y".utf8)).get().isRegular)
      #expect(await files.unlink(root, Array("y".utf8)) == 0)
      #expect(await files.unlink(root, Array("d".utf8), isDirectory: true) == 0)
      #expect(await files.status(root, Array("y".utf8)) == .failure(FileCallFailure(code: ENOENT)))
      files.closeLater(fd)
      files.closeLater(root)
    }
    #expect(directory.files() == [])
  }

  @Test(arguments: modes) func aChainRunsInOrderAndAFailureCancelsWhatHangsOnIt(mode: FileOperationsMode) async throws {
    let directory = TestTree()
    directory.write("a", "12345")
    try await with(mode) { files in
      let fd = await files.openAt(
        atWorkingDirectory, Array("\(directory.path)/a".utf8), flags: O_RDONLY, resolve: UInt64(0))
      try #require(fd >= 0)
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 8)
      defer { buffer.deallocate() }

      // A short read does not stop what follows `.always`.
      let good = files.request()
      good.status(fd, link: .always)
      good.read(fd, into: buffer, at: 0, keep: Keeper(), link: .always)
      good.status(fd, link: .always)
      good.close(fd)
      await files.perform(good)
      #expect((0..<4).map { good.value($0) } == [0, 5, 0, 0])
      #expect(good.stat(0) == good.stat(2))
      files.recycle(good)

      let path = Array("\(directory.path)/a".utf8)
      let bad = files.request()
      bad.unlink(atWorkingDirectory, Array("\(directory.path)/missing".utf8))
      bad.unlink(atWorkingDirectory, path)
      bad.unlink(atWorkingDirectory, path)
      await files.perform(bad)
      #expect((0..<3).map { bad.value($0) } == [-ENOENT, -ECANCELED, -ECANCELED])
      files.recycle(bad)
    }
    #expect(directory.files() == ["a"])
  }

  @Test(arguments: modes) func aFailedSyncStopsTheRenameBehindIt(mode: FileOperationsMode) async throws {
    let directory = TestTree()
    directory.write("a", "x")
    try await with(mode) { files in
      var pair: [Int32] = [0, 0]
      #expect(pipe(&pair) == 0)
      defer { for fd in pair { close(fd) } }
      let chain = files.request()
      chain.sync(pair[1])  // a pipe cannot be synced: EINVAL
      chain.rename(
        atWorkingDirectory, Array("\(directory.path)/a".utf8), to: atWorkingDirectory, Array("\(directory.path)/b".utf8),
        noReplace: false, link: .always)
      chain.unlink(atWorkingDirectory, Array("\(directory.path)/a".utf8))
      await files.perform(chain)
      #expect((0..<3).map { chain.value($0) } == [-EINVAL, -ECANCELED, -ECANCELED])
    }
    #expect(directory.files() == ["a"])
  }

  @Test func whatOnlyTheRingRefusesIsDonePlainlyAndSaid() async throws {
    let directory = TestTree()
    let reason = try await with(.automatic) { files in
      let driver = try #require(files as? UringDriver)
      let name = Array("\(directory.path)/d".utf8)
      for round in 0..<2 {
        // The kernel refuses mkdirat, so nothing was made; the test's part of the kernel only says so afterwards.
        driver.interceptAnswer = { kind, value in
          guard kind == .makeDirectory else { return value }
          #expect(round == 0, "the ring is not asked again")
          rmdir("\(directory.path)/d")
          return -EPERM
        }
        let chain = files.request()
        chain.makeDirectory(atWorkingDirectory, name, mode: 0o755)
        chain.status(atWorkingDirectory, name)
        chain.unlink(atWorkingDirectory, name, isDirectory: true)
        await files.perform(chain)
        #expect((0..<3).map { chain.value($0) } == [0, 0, 0])
        #expect(chain.stat(1).isDirectory)
        files.recycle(chain)
      }
      return files.reason
    }
    #expect(reason == "io_uring without makeDirectory: the kernel answers Operation not permitted; plain calls instead")
  }

  @Test(arguments: modes) func openBeneathFollowsNoLinkAndLeavesNoRoot(mode: FileOperationsMode) async throws {
    let directory = TestTree()
    directory.write("inner/file", "x")
    directory.write("outside", "secret")
    symlink("../outside", "\(directory.path)/inner/link")
    symlink("..", "\(directory.path)/inner/up")
    try await with(mode) { files in
      let root = await files.openAt(
        atWorkingDirectory, Array("\(directory.path)/inner".utf8), flags: O_RDONLY | O_DIRECTORY, resolve: 0)
      try #require(root >= 0)
      func open(_ path: String) async -> Int32 {
        await files.openAt(root, Array(path.utf8), flags: O_RDONLY | O_NONBLOCK, resolve: ResolveRule.beneath)
      }
      #expect(await open("../outside") == -EXDEV)
      #expect(await open("\(directory.path)/outside") == -EXDEV)
      #expect(await open("link") == -ELOOP)
      #expect(await open("up/outside") == -ELOOP)
      let fd = await open("file")
      #expect(fd >= 0)
      files.closeLater(fd)
      files.closeLater(root)
    }
  }

  @Test(arguments: modes) func operandsTheKernelCannotTakeAreRefusedWithoutAskingIt(mode: FileOperationsMode) async throws {
    try await with(mode) { files in
      let long = [UInt8](repeating: 97, count: 20_000)
      #expect(await files.openAt(atWorkingDirectory, long, flags: O_RDONLY, resolve: 0) == -ENAMETOOLONG)
      #expect(await files.openAt(atWorkingDirectory, [97, 0, 98], flags: O_RDONLY, resolve: 0) == -EINVAL)
      #expect(files.runningCount == 0)
    }
  }

  @Test(arguments: modes) func moreRequestsThanTheRingHoldsAllGetTheirAnswer(mode: FileOperationsMode) async throws {
    let count = 600
    let directory = TestTree()
    try await with(mode) { files in
      let requests = (0..<count).map { index in
        let request = files.request()
        request.makeDirectory(atWorkingDirectory, Array("\(directory.path)/\(index)".utf8), mode: 0o755)
        request.unlink(atWorkingDirectory, Array("\(directory.path)/\(index)".utf8), isDirectory: true)
        files.begin(request)
        return request
      }
      #expect(files.runningCount == count)
      for request in requests {
        await files.finished(request)
        #expect(request.value(0) == 0 && request.value(1) == 0)
        files.recycle(request)
      }
      #expect(files.runningCount == 0)
    }
  }

  @Test(arguments: modes) func beyondTheBoundARequestIsAnsweredAtOnce(mode: FileOperationsMode) async throws {
    try await with(mode) { files in
      let requests = (0..<UringDriver.pendingMax + 1).map { _ in
        let request = files.request()
        request.status(atWorkingDirectory, Array("/".utf8))
        files.begin(request)
        return request
      }
      #expect(requests.last!.value() == -ENOBUFS)
      for request in requests.dropLast() {
        await files.finished(request)
        #expect(request.value() == 0)
      }
    }
  }

  @Test func whatTheKernelHadNoMemoryForIsSubmittedAgain() async throws {
    try await with(.automatic) { files in
      let driver = try #require(files as? UringDriver)
      var refusalsLeft = 3
      driver.interceptSubmission = {
        refusalsLeft -= 1
        return refusalsLeft >= 0 ? -EAGAIN : nil
      }
      #expect(try await files.status(atWorkingDirectory, Array("/".utf8)).get().isDirectory)
      #expect(refusalsLeft == -1)
    }
  }

  @Test(arguments: modes) func aDescriptorIsClosedAlsoWhereNoRequestHasRoom(mode: FileOperationsMode) async throws {
    try await with(mode) { files in
      var ends: [Int32] = [-1, -1]
      try #require(pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0)
      defer { close(ends[0]) }
      let requests = (0..<UringDriver.pendingMax).map { _ in
        let request = files.request()
        request.status(atWorkingDirectory, Array("/".utf8))
        files.begin(request)
        return request
      }
      files.closeLater(ends[1])
      // The end of the pipe, not EAGAIN: nobody can write any more.
      var byte: UInt8 = 0
      #expect(read(ends[0], &byte, 1) == 0)
      for request in requests { await files.finished(request) }
    }
  }

  @Test func requestsOfOneTurnAreSubmittedTogether() async throws {
    try await with(.automatic) { files in
      let driver = try #require(files as? UringDriver)
      let before = driver.submitCount
      let requests = (0..<100).map { _ in
        let request = files.request()
        request.status(atWorkingDirectory, Array("/".utf8))
        files.begin(request)
        return request
      }
      for request in requests { await files.finished(request) }
      #expect(driver.submitCount == before + 1)
    }
  }

  @Test(arguments: modes) func closeWaitsForWhatRuns(mode: FileOperationsMode) async throws {
    let directory = TestTree()
    directory.write("a", [UInt8](repeating: 1, count: 1 << 20))
    let worker = try ReactorWorker()
    defer { worker.end() }
    let answers = try await worker.run { reactor in
      let files = reactor.makeFileOperations(mode: mode)
      let fd = open("\(directory.path)/a", O_RDWR)
      defer { close(fd) }
      let requests = (0..<50).map { _ in
        let request = files.request()
        request.sync(fd)
        files.begin(request)
        return request
      }
      files.close()
      #expect(files.runningCount == 0)
      return requests.map { $0.value() }
    }
    #expect(answers == [Int32](repeating: 0, count: 50))
  }

  @Test func kernelThreadsStayWithinTheirBoundAndDescriptorsAreGivenBack() async throws {
    let directory = TestTree()
    let threadsMax = try await with(.automatic) { files in
      var threadsMax = 0
      for _ in 0..<20 {
        let requests = (0..<100).map { index in
          let request = files.request()
          request.makeDirectory(atWorkingDirectory, Array("\(directory.path)/\(index)".utf8), mode: 0o755)
          request.unlink(atWorkingDirectory, Array("\(directory.path)/\(index)".utf8), isDirectory: true)
          files.begin(request)
          return request
        }
        for request in requests {
          await files.finished(request)
          files.recycle(request)
        }
        threadsMax = max(threadsMax, ringWorkers())
      }
      return threadsMax
    }
    #expect(threadsMax <= UringDriver.workersMaxDefault)
    #expect(eventually { descriptors(below: directory.path) == 0 })
  }
}

/// Kernel threads that work for rings of the calling thread: they carry its number in their name.
private func ringWorkers() -> Int {
  var target = [UInt8](repeating: 0, count: 64)
  let count = "/proc/thread-self".withCString { readlink($0, &target, target.count) }
  guard count > 0, let thread = String(decoding: target[..<count], as: UTF8.self).split(separator: "/").last else { return 0 }
  return entries("/proc/self/task").count { task in
    // One that has ended meanwhile counts as none.
    (try? readFile("/proc/self/task/\(task)/comm")).map { String(decoding: $0, as: UTF8.self).hasPrefix("iou-wrk-\(thread)") } ?? false
  }
}

/// Open descriptors of this process on files below `directory`: other tests run beside and have their own.
private func descriptors(below directory: String) -> Int {
  var count = 0
  for number in 0..<4_096 {
    var target = [UInt8](repeating: 0, count: 512)
    let length = target.withUnsafeMutableBytes {
      readlink("/proc/self/fd/\(number)", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    if length > 0, String(decoding: target.prefix(length), as: UTF8.self).hasPrefix(directory) { count += 1 }
  }
  return count
}
