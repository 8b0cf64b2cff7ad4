// The same file operations with ordinary calls. Everything begun in a turn is carried out at the turn's end, so a large
// copy cannot starve the loop and the fsyncs of one turn are done together: write-back is started for all of them first,
// so the first fsync's journal commit covers the rest.
//
// The calls block the worker thread: that is the price where rings are refused, and why it is said.
internal import CLinux
internal import CUring
internal import Glibc

public final class PlainFileOperations: CountingFileOperations {
  public let reason: String?
  public internal(set) var runningCount = 0
  public private(set) var isClosed = false

  private let reactor: Reactor
  private var hook: HookToken?
  private var pool = FileRequestPool()
  private var pending: [FileRequest] = []
  private var batch: [FileRequest] = []

  init(reactor: Reactor, reason: String) {
    self.reactor = reactor
    self.reason = reason
    hook = reactor.addBeforeSleep { [weak self] _ in self?.runPending() }
  }

  public func request() -> FileRequest { pool.take() }
  public func recycle(_ request: FileRequest) { pool.giveBack(request) }

  public func begin(_ request: FileRequest) {
    reactor.assertCurrent()
    precondition(!isClosed, "begun after close")
    request.seal()
    runningCount += 1
    if let code = request.refused ?? (pending.count >= UringDriver.pendingMax ? ENOBUFS : nil) {
      request.refuse(code)
      finish(request)
    } else {
      pending.append(request)
    }
  }

  public func close() {
    while !pending.isEmpty { runPending() }
    if let hook { reactor.removeBeforeSleep(hook) }
    hook = nil
    isClosed = true
  }

  private func runPending() {
    guard !pending.isEmpty else { return }
    swap(&pending, &batch)
    let syncs = batch.count { request in request.steps.contains { $0.kind == .sync } }
    if syncs > 1 { for request in batch { request.startWriteBack() } }
    for request in batch {
      request.isSubmitted = true
      request.runPlainly()
      finish(request)
    }
    batch.removeAll(keepingCapacity: true)
  }
}

extension FileRequest {
  /// Carries out all steps as a ring would, the rules of links included.
  func runPlainly() {
    var isCancelled = false
    for index in 0..<count {
      if isCancelled {
        answer(index, -ECANCELED)
      } else {
        answer(index, runStepPlainly(index))
      }
      // As in the kernel: a cancelled step cancels its follower whatever the link between them.
      isCancelled = isCancelled || (steps[index].link == .onSuccess && !didSucceed(index))
    }
  }

  func didSucceed(_ index: Int) -> Bool {
    let step = steps[index]
    switch step.kind {
    case .read, .write: return step.value == Int32(bitPattern: step.length)
    default: return step.value >= 0
    }
  }

  /// Answers every step with an error the kernel was not asked for.
  func refuse(_ code: Int32, from first: Int = 0) { for index in first..<count { answer(index, -code) } }

  /// A close that nobody waits for and that found no room is done here and now: else the descriptor would be lost.
  func closeWhatWasRefused() {
    for index in 0..<count where steps[index].kind == .close && steps[index].value == -ENOBUFS { _ = runStepPlainly(index) }
  }

  /// Starts writing to disk what the sync steps will wait for, without waiting. Errors are left to the sync itself.
  func startWriteBack() {
    for step in steps where step.kind == .sync {
      _ = db_start_write_back(step.fd)
    }
  }

  func runStepPlainly(_ index: Int) -> Int32 {
    let step = steps[index]
    while true {
      let result = call(step, index)
      if result >= 0 { return Int32(clamping: result) }
      let code = errno
      // A close is never tried again: Linux has freed the number even when it answers EINTR.
      if code != EINTR || step.kind == .close { return -code }
    }
  }

  private func call(_ step: Step, _ index: Int) -> Int {
    switch step.kind {
    case .openAt:
      let how = openHow(index).pointee
      return Int(db_openat2(step.fd, step.path, how.flags, how.mode, how.resolve))
    case .read: return pread(step.fd, step.data, Int(step.length), off_t(step.offset))
    case .write: return pwrite(step.fd, step.data, Int(step.length), off_t(step.offset))
    case .sync: return Int(fsync(step.fd))
    case .rename: return Int(db_renameat2(step.fd, step.path, step.otherFD, step.otherPath, step.flags))
    case .status:
      return Int(statx(step.fd, step.path!, Int32(step.flags), UInt32(STATX_BASIC_STATS), statusBuffer(index)))
    case .close: return Int(Glibc.close(step.fd))
    case .makeDirectory: return Int(mkdirat(step.fd, step.path!, mode_t(step.length)))
    case .unlink: return Int(unlinkat(step.fd, step.path!, Int32(step.flags)))
    case .setAttribute: return Int(fsetxattr(step.fd, step.path!, step.data, Int(step.length), 0))
    }
  }
}
