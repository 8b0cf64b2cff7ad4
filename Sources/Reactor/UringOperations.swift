// File operations as a worker sees them: begin a request, go on with something else, await its answer. Two
// implementations with the same meaning: `UringDriver` (the kernel's ring) and `PlainFileOperations` (ordinary calls, for
// kernels and containers that refuse rings). Callers never need to know which they have.
internal import CLinux
internal import Glibc

/// - Thread: all of it on the thread of the reactor it was made for.
public protocol FileOperations: AnyObject {
  /// Nil while everything goes through the ring; else why calls are plain, for the log and for operators.
  var reason: String? { get }
  /// True after `close`.
  var isClosed: Bool { get }
  /// Requests begun and not answered yet.
  var runningCount: Int { get }
  /// An empty request, from the pool.
  func request() -> FileRequest
  /// Queues the request; it starts at the end of this turn at the latest.
  /// - Blocking: never. When `UringDriver.pendingMax` requests wait already it is answered with -ENOBUFS.
  func begin(_ request: FileRequest)
  /// Gives an answered request back to the pool. The caller must not use it any more.
  func recycle(_ request: FileRequest)
  /// Waits for everything begun, then frees the ring. Nothing may be begun afterwards.
  /// - Blocking: until the kernel has let go of every operand (a running fsync cannot be cancelled).
  func close()
}

/// What the implementations share.
protocol CountingFileOperations: FileOperations {
  var runningCount: Int { get set }
}

extension CountingFileOperations {
  /// All steps are answered: wakes who waits; a request nobody waits for goes back to the pool.
  func finish(_ request: FileRequest) {
    runningCount -= 1
    request.finish()
    guard request.isForgotten else { return }
    request.closeWhatWasRefused()
    recycle(request)
  }
}

/// Which implementation to use.
public enum FileOperationsMode: String, Sendable {
  /// The ring if there is one.
  case automatic
  /// Never the ring: `DOWNBEAT_FILE_CALLS=plain`, and tests.
  case plain

  /// - Parameter environment: the value of `DOWNBEAT_FILE_CALLS`, if it is set.
  public static func from(environment: String?) -> FileOperationsMode { environment == "plain" ? .plain : .automatic }
}

extension Reactor {
  /// The file operations of this reactor; make them once per worker.
  /// - Parameter workersMax: kernel threads (io-wq) that carry out what would block; they end when idle.
  public func makeFileOperations(
    mode: FileOperationsMode = .automatic, workersMax: Int = UringDriver.workersMaxDefault
  ) -> any FileOperations {
    guard mode == .automatic else { return PlainFileOperations(reactor: self, reason: "plain file calls were asked for") }
    do throws(Errno) {
      return try UringDriver(reactor: self, workersMax: workersMax)
    } catch {
      return PlainFileOperations(reactor: self, reason: "no io_uring here: \(error)")
    }
  }
}

extension FileOperations {
  /// Begins the request and waits for all of its answers.
  public func perform(_ request: FileRequest) async {
    begin(request)
    await finished(request)
  }

  /// Waits for a request that was begun. One waiter only.
  public func finished(_ request: FileRequest) async {
    precondition(request.isSealed && request.waiter == nil, "wait once, for a request that was begun")
    guard !request.isDone else { return }
    // Unsafe only in that nobody checks for a second resume; `FileRequest.finish` takes the waiter out before resuming.
    await withUnsafeContinuation { waiter in
      // Asked again: the runtime may queue this task once more before it runs this body, and the answer come in between.
      if request.isDone { waiter.resume() } else { request.waiter = waiter }
    }
  }

  /// Begins a request nobody waits for. Its answers are lost, so only for what cannot matter (closing what was only read).
  public func forget(_ request: FileRequest) {
    request.isForgotten = true
    begin(request)
  }

  // MARK: One step each. The result is the call's, or the negative errno.

  public func openAt(_ directory: Int32, _ path: PathBytes, flags: Int32, mode: UInt32 = 0, resolve: UInt64) async -> Int32 {
    await single { $0.openAt(directory, path, flags: flags, mode: mode, resolve: resolve) }
  }

  public func read(_ fd: Int32, into bytes: UnsafeMutableRawBufferPointer, at offset: Int64, keep: AnyObject) async -> Int32 {
    await single { $0.read(fd, into: bytes, at: offset, keep: keep) }
  }

  public func write(_ fd: Int32, from bytes: UnsafeRawBufferPointer, at offset: Int64, keep: AnyObject) async -> Int32 {
    await single { $0.write(fd, from: bytes, at: offset, keep: keep) }
  }

  public func sync(_ fd: Int32) async -> Int32 { await single { $0.sync(fd) } }

  public func rename(
    _ fromDirectory: Int32, _ from: PathBytes, to directory: Int32, _ name: PathBytes, noReplace: Bool
  ) async -> Int32 {
    await single { $0.rename(fromDirectory, from, to: directory, name, noReplace: noReplace) }
  }

  public func makeDirectory(_ directory: Int32, _ name: PathBytes, mode: UInt32) async -> Int32 {
    await single { $0.makeDirectory(directory, name, mode: mode) }
  }

  public func unlink(_ directory: Int32, _ name: PathBytes, isDirectory: Bool = false) async -> Int32 {
    await single { $0.unlink(directory, name, isDirectory: isDirectory) }
  }

  public func setAttribute(_ fd: Int32, _ name: String, _ value: [UInt8]) async -> Int32 {
    await single { $0.setAttribute(fd, name, value) }
  }

  public func status(_ fd: Int32) async -> Result<FileStat, FileCallFailure> { await status { $0.status(fd) } }

  public func status(_ directory: Int32, _ name: PathBytes) async -> Result<FileStat, FileCallFailure> {
    await status { $0.status(directory, name) }
  }

  /// Closes without waiting: for descriptors whose close can report nothing that matters.
  public func closeLater(_ fd: Int32) {
    guard !isClosed else {
      _ = Glibc.close(fd)
      return
    }
    let request = request()
    request.close(fd)
    forget(request)
  }

  private func single(_ add: (FileRequest) -> Void) async -> Int32 {
    let request = request()
    add(request)
    await perform(request)
    let value = request.value()
    recycle(request)
    return value
  }

  private func status(_ add: (FileRequest) -> Void) async -> Result<FileStat, FileCallFailure> {
    let request = request()
    add(request)
    await perform(request)
    defer { recycle(request) }
    guard request.value() == 0 else { return .failure(FileCallFailure(code: -request.value())) }
    return .success(request.stat())
  }
}

/// The errno of a call that answers with more than a number.
public struct FileCallFailure: Error, Hashable, Sendable {
  public let code: Int32
  public init(code: Int32) { self.code = code }
}

/// Requests ready for use again.
struct FileRequestPool {
  /// Kept at the most; beyond it they are freed.
  static let spareMax = 512
  private var spare: [FileRequest] = []

  mutating func take() -> FileRequest { spare.popLast() ?? FileRequest() }

  mutating func giveBack(_ request: FileRequest) {
    request.reset()
    if spare.count < Self.spareMax { spare.append(request) }
  }
}
