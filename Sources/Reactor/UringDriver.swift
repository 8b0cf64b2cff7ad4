// File operations on an io_uring, one ring for each reactor. Requests begun in a turn are submitted together before the
// loop sleeps (or when the submission queue is full); completions reach the loop through a registered eventfd.
//
// Invariants: never more steps in the kernel than the completion queue holds, so it cannot overflow; a request is answered
// when *all* its steps are, and it is retained here until then, so no operand is freed under the kernel.
// A step the kernel refuses to do through a ring, though the plain call would do it (an old kernel, a security module), is
// carried out plainly, its kind is plain from then on, and `reason` says so. It never waits for a completion.
internal import CLinux
internal import CUring
internal import Glibc

public final class UringDriver: CountingFileOperations {
  /// Submission queue entries; completions have twice as many.
  static let entriesMax = 256
  /// Steps in the kernel at once.
  static let inFlightMax = 256
  /// Requests waiting to be submitted; beyond it `begin` answers -ENOBUFS.
  public static let pendingMax = 4_096
  /// Kernel threads for what would block. Enough for the fsyncs of a worker's tasks to share journal commits.
  public static let workersMaxDefault = 8
  /// Completions taken from the ring in one go.
  private static let completionsBatch = 64

  public private(set) var reason: String?
  public internal(set) var runningCount = 0
  /// `io_uring_enter` calls made; tests compare it with the number of requests.
  public private(set) var submitCount: UInt64 = 0

  private let reactor: Reactor
  private let ring: UnsafeMutablePointer<io_uring>
  private let eventFD: OwnedFD
  private let completions: UnsafeMutablePointer<UnsafeMutablePointer<io_uring_cqe>?>
  private var source: UringEventSource?
  private var hook: HookToken?
  private var pool = FileRequestPool()
  private var pending = BoundedQueue<FileRequest>(countMax: UringDriver.pendingMax)
  /// Slot number = user data of the ring; nil when free.
  private var slots: [FileRequest?] = Array(repeating: nil, count: UringDriver.inFlightMax)
  private var freeSlots: [Int] = Array((0..<UringDriver.inFlightMax).reversed())
  private var stepsInFlight = 0
  private var plainKinds: Set<FileRequest.Kind> = []
  public private(set) var isClosed = false
  /// Tests play a kernel that refuses an operation: the answer to give instead of the real one.
  var interceptAnswer: ((FileRequest.Kind, Int32) -> Int32)?
  /// Tests play a kernel without memory: the answer to a submission that then does not happen; nil: let it happen.
  var interceptSubmission: (() -> Int32?)?

  /// - Errors: `Errno` when the kernel or container has no ring for us (EPERM, ENOSYS, ENOMEM …).
  init(reactor: Reactor, workersMax: Int) throws(Errno) {
    precondition(workersMax > 0)
    let event = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    guard event >= 0 else { throw Errno.last("eventfd") }
    eventFD = OwnedFD(adopting: event)
    ring = .allocate(capacity: 1)
    ring.initialize(to: io_uring())
    completions = .allocate(capacity: Self.completionsBatch)
    self.reactor = reactor
    let code = io_uring_queue_init(UInt32(Self.entriesMax), ring, 0)
    guard code == 0 else {
      isClosed = true
      throw Errno(-code, "io_uring_queue_init")
    }
    do throws(Errno) {
      try register(workersMax: workersMax)
    } catch {
      isClosed = true
      io_uring_queue_exit(ring)
      throw error
    }
  }

  deinit {
    if !isClosed { close() }
    completions.deallocate()
    ring.deallocate()
  }

  private func register(workersMax: Int) throws(Errno) {
    let code = io_uring_register_eventfd(ring, eventFD.raw)
    guard code == 0 else { throw Errno(-code, "io_uring_register_eventfd") }
    // Kernels before 5.15 cannot bound their workers: they then have at most the 256 entries of this ring to work on.
    var workers = [UInt32(workersMax), UInt32(workersMax)]
    _ = io_uring_register_iowq_max_workers(ring, &workers)
    // Saves the look-up of the ring's descriptor at each submit; without it everything works as well.
    _ = io_uring_register_ring_fd(ring)
    findMissingKinds()
    let source = UringEventSource(driver: self, fd: eventFD.raw)
    source.token = try reactor.register(fd: eventFD.raw, interest: .read, source: source)
    self.source = source
    hook = reactor.addBeforeSleep { [weak self] _ in self?.flush() }
  }

  /// Asks the kernel which operations it knows; kernels too old to answer (before 5.6) lack openat2 anyway.
  private func findMissingKinds() {
    guard let probe = io_uring_get_probe_ring(ring) else {
      for kind in FileRequest.Kind.allCases { plainKinds.insert(kind) }
      reason = "this kernel's io_uring cannot say which operations it has"
      return
    }
    defer { io_uring_free_probe(probe) }
    for kind in FileRequest.Kind.allCases where io_uring_opcode_supported(probe, Int32(kind.opcode.rawValue)) == 0 {
      becomePlain(kind, because: "not in this kernel")
    }
  }

  private func becomePlain(_ kind: FileRequest.Kind, because cause: String) {
    guard plainKinds.insert(kind).inserted, reason == nil else { return }
    reason = "io_uring without \(kind): \(cause); plain calls instead"
  }

  // MARK: Requests

  public func request() -> FileRequest { pool.take() }
  public func recycle(_ request: FileRequest) { pool.giveBack(request) }

  public func begin(_ request: FileRequest) {
    reactor.assertCurrent()
    precondition(!isClosed, "begun after close")
    request.seal()
    runningCount += 1
    if let code = request.refused {
      request.refuse(code)
      finish(request)
    } else if !pending.push(request) {
      request.refuse(ENOBUFS)
      finish(request)
    }
  }

  // MARK: Submission, once per turn

  private func flush() {
    // Left over by a submission the kernel had no memory for.
    if io_uring_sq_ready(ring) > 0 {
      submit()
      reap()
    }
    // Short operations complete inside the submission: taking them now saves their tasks a turn.
    var progressed = true
    while progressed, !pending.isEmpty {
      progressed = fillQueue()
      submit()
      reap()
    }
    // Left over again: the next turn tries once more, instead of the loop sleeping on it.
    if io_uring_sq_ready(ring) > 0, let source { reactor.markReady(source.token!) }
  }

  /// - Returns: whether anything was taken from `pending`.
  private func fillQueue() -> Bool {
    var progressed = false
    while let request = pending.first {
      if plainKinds.contains(request.steps[request.stepsDone].kind) {
        _ = pending.pop()
        progressed = true
        request.isSubmitted = true
        request.answer(request.stepsDone, request.runStepPlainly(request.stepsDone))
        request.stepsDone += 1
        goOn(request)
        continue
      }
      let stepCount = request.chooseSection(without: plainKinds)
      guard stepsInFlight + stepCount <= Self.inFlightMax else { break }
      // A chain must not be split between two submissions.
      if Int(io_uring_sq_space_left(ring)) < stepCount {
        submit()
        if Int(io_uring_sq_space_left(ring)) < stepCount { break }
      }
      _ = pending.pop()
      progressed = true
      enter(request)
    }
    return progressed
  }

  /// Hands the request's next section to the kernel.
  private func enter(_ request: FileRequest) {
    let section = request.section
    let slot = freeSlots.removeLast()
    slots[slot] = request
    request.isSubmitted = true
    request.answersMissing = section.count
    stepsInFlight += section.count
    for index in section {
      let entry = io_uring_get_sqe(ring)!
      request.prepare(index, entry)
      io_uring_sqe_set_data64(entry, UInt64(slot) << 8 | UInt64(index))
      if index + 1 < section.upperBound { io_uring_sqe_set_flags(entry, request.steps[index].link.entryFlags) }
    }
  }

  private func submit() {
    guard io_uring_sq_ready(ring) > 0 else { return }
    submitCount += 1
    let code = interceptSubmission?() ?? io_uring_submit(ring)
    // EAGAIN, EBUSY, EINTR: the entries stay in the queue, `flush` comes again. Anything else is a broken ring.
    precondition(code >= 0 || [-EAGAIN, -EBUSY, -EINTR].contains(code), "io_uring_submit: \(Errno(-code, "io_uring_enter"))")
  }

  // MARK: Completion

  /// - Thread: reactor, phase 1 and before sleeping. Takes what is there, never waits.
  fileprivate func reap() {
    while true {
      let count = Int(io_uring_peek_batch_cqe(ring, completions, UInt32(Self.completionsBatch)))
      for index in 0..<count {
        let completion = completions[index]!
        take(slot: Int(completion.pointee.user_data >> 8), step: Int(completion.pointee.user_data & 0xff), completion.pointee.res)
      }
      io_uring_cq_advance(ring, UInt32(count))
      if count < Self.completionsBatch { return }
    }
  }

  private func take(slot: Int, step: Int, _ value: Int32) {
    guard let request = slots[slot] else { preconditionFailure("a completion for nobody: slot \(slot)") }
    request.answer(step, interceptAnswer?(request.steps[step].kind, value) ?? value)
    request.answersMissing -= 1
    guard request.answersMissing == 0 else { return }
    slots[slot] = nil
    freeSlots.append(slot)
    let section = request.section
    stepsInFlight -= section.count
    repairRefused(request, section)
    request.stepsDone = section.upperBound
    goOn(request)
  }

  /// After a section: the next one, or the end.
  private func goOn(_ request: FileRequest) {
    if request.cancelRestAfterFailure() {
      finish(request)
    } else if !pending.push(request) {
      request.refuse(ENOBUFS, from: request.stepsDone)
      finish(request)
    }
  }

  /// EINVAL and its kin may mean "not through a ring" or that the call is wrong in itself. The plain call tells which.
  private func repairRefused(_ request: FileRequest, _ section: Range<Int>) {
    for index in section {
      let value = request.value(index)
      guard value < 0, [-EINVAL, -ENOSYS, -EOPNOTSUPP, -EPERM].contains(value) else { continue }
      let plain = request.runStepPlainly(index)
      guard plain != value else { continue }
      becomePlain(request.steps[index].kind, because: "the kernel answers \(Errno(-value, "").reason)")
      request.answer(index, plain)
      request.runRestPlainly(after: index, before: section.upperBound)
      return
    }
  }

  // MARK: End

  public func close() {
    guard !isClosed else { return }
    while runningCount > 0 {
      flush()
      if stepsInFlight > 0 { _ = io_uring_submit_and_wait(ring, 1) }
      reap()
    }
    isClosed = true
    if let hook { reactor.removeBeforeSleep(hook) }
    if let source { reactor.scheduleClose(source.token!) }
    source?.driver = nil
    source = nil
    io_uring_queue_exit(ring)
  }
}

/// What the reactor keeps: it must not keep the driver itself, whose owner decides how long it lives.
private final class UringEventSource: EventSource {
  weak var driver: UringDriver?
  var token: SourceToken?
  /// The driver's; not touched once the driver has gone.
  private let fd: Int32

  init(driver: UringDriver, fd: Int32) {
    self.driver = driver
    self.fd = fd
  }

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    guard let driver else { return }
    var count: UInt64 = 0
    // EAGAIN: taken already; the completions are in the ring either way.
    _ = Glibc.read(fd, &count, 8)
    driver.reap()
  }
}
