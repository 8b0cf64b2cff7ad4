// The event loop: one thread, raw epoll, level-triggered. It owns every source registered with it and calls them, and
// nobody else calls them. Phases of one tick:
//
//   wait            until something happens or the next timer is due; not at all if the ready list is not empty
//   now             the clock is read once and reused by the whole tick
//   1 fd events     by token; stale ones are counted and dropped; handlers read, parse, mark ready
//   2 mailbox       posts of other threads and executor jobs, taken by swapping arrays
//   3 ready turns   each listed source once with bounded work, listed again if it wants more
//   4 timers        those due at `now`; timers made here run in a later tick
//   5 before sleep  hooks (write flushes, offset stores, ring submits), then deferred closes
//
// It does not own threads (see ReactorThread) and knows nothing of HTTP or Kafka.
internal import CLinux
internal import Glibc

public final class Reactor {
  /// Events taken from the kernel in one go; more stay there for the next tick.
  static let eventsPerTickMax = 256
  /// Executor jobs run in one tick, so that a chatty task cannot starve the descriptors.
  static let jobsPerTickMax = 1_024

  public struct Statistics: Sendable {
    public var ticks: UInt64 = 0
    public var staleEvents: UInt64 = 0
    public var posts: UInt64 = 0
    /// Longest time from waking up to going to sleep again, in nanoseconds.
    public var busyNsMax: Int64 = 0
  }

  public let name: String
  public let handle: ReactorHandle
  /// Monotonic time of this tick.
  public private(set) var now: Instant
  public private(set) var statistics = Statistics()

  let mailbox: Mailbox
  private let epollFD: OwnedFD
  private let events: UnsafeMutablePointer<epoll_event>
  private let owner: pthread_t
  private var sources = SourceTable()
  private var readyList: [SourceToken] = []
  private var readySpare: [SourceToken] = []
  private var timers: TimerWheel
  /// `run` is nil in what was removed since the hooks last ran.
  private var hooks: [(token: HookToken, run: ((Reactor) -> Void)?)] = []
  private var hookCount: UInt64 = 0
  private var closing: [any EventSource] = []
  /// By the index an inbox is announced under; nil after it was detached.
  private var inboxReceivers: [((Reactor) -> Void)?] = []
  private var posts: [Mailbox.Post] = []
  /// Posts before this index of `posts` have been run.
  private var postsDone = 0
  private var isInTick = false

  /// The token the mailbox's eventfd is registered under: no slot has generation 0.
  private static let mailboxToken: UInt64 = 0

  /// Makes a reactor that belongs to the calling thread.
  /// - Errors: `Errno` when the process is out of descriptors or memory.
  public convenience init(name: String = "reactor") throws(Errno) {
    try self.init(name: name, handle: ReactorHandle())
  }

  init(name: String, handle: ReactorHandle) throws(Errno) {
    let fd = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard fd >= 0 else { throw Errno.last("epoll_create1") }
    self.name = name
    self.handle = handle
    epollFD = OwnedFD(adopting: fd)
    mailbox = handle.mailbox
    events = .allocate(capacity: Self.eventsPerTickMax)
    owner = pthread_self()
    now = .nowUncached()
    timers = TimerWheel(now: now)
    try control(EPOLL_CTL_ADD, handle.mailbox.fd, EPOLLIN.rawValue, Self.mailboxToken)
    ThreadReactor.set(self)
  }

  deinit {
    mailbox.close()
    ThreadReactor.clear(ifCurrent: self)
    events.deallocate()
  }

  /// The reactor of the calling thread, if it has one.
  public static var current: Reactor? { ThreadReactor.get() }

  /// Crashes when called from another thread: a programmer's error, not an operating one.
  public func assertCurrent() {
    precondition(pthread_equal(owner, pthread_self()) != 0, "reactor \(name) touched from another thread")
  }

  // MARK: Sources

  /// Watches `fd` for `interest` and keeps `source` alive until it is closed.
  /// - Precondition: `fd` is non-blocking and stays open until `didClose`.
  public func register(fd: Int32, interest: Interest, source: any EventSource) throws(Errno) -> SourceToken {
    let token = sources.insert(source, fd: fd)
    do {
      try control(EPOLL_CTL_ADD, fd, interest.epollEvents, token.rawValue)
    } catch {
      _ = sources.remove(token)
      throw error
    }
    return token
  }

  /// Registers a source that has no descriptor: it only gets ready turns.
  public func register(source: any EventSource) -> SourceToken { sources.insert(source, fd: -1) }

  public func setInterest(_ interest: Interest, for token: SourceToken) throws(Errno) {
    guard let fd = sources.fd(of: token), fd >= 0 else { return }
    try control(EPOLL_CTL_MOD, fd, interest.epollEvents, token.rawValue)
  }

  /// Gives the source a turn in this tick (in the next one if turns are over). Once, however often it is called.
  public func markReady(_ token: SourceToken) {
    if sources.list(token) { readyList.append(token) }
  }

  /// Deregisters at once, so no event reaches the source any more, and calls `didClose` before the loop sleeps: frames
  /// further up the stack may still be using it. A dead token is ignored.
  public func scheduleClose(_ token: SourceToken) {
    guard let (source, fd) = sources.remove(token) else { return }
    if fd >= 0 {
      // ENOENT or EBADF: the descriptor has been closed by a library that owns it; epoll forgot it then.
      _ = epoll_ctl(epollFD.raw, EPOLL_CTL_DEL, fd, nil)
    }
    closing.append(source)
  }

  private func control(_ operation: Int32, _ fd: Int32, _ interest: UInt32, _ token: UInt64) throws(Errno) {
    var event = epoll_event(events: interest, data: epoll_data(u64: token))
    guard epoll_ctl(epollFD.raw, operation, fd, &event) == 0 else { throw Errno.last("epoll_ctl fd \(fd)") }
  }

  // MARK: Timers and hooks

  @discardableResult
  public func schedule(after delay: Duration, _ fire: @escaping (Reactor) -> Void) -> TimerToken {
    timers.insert(at: timeBase + delay, .closure(fire))
  }

  /// Allocates nothing.
  @discardableResult
  public func schedule(at deadline: Instant, target: any TimerTarget, payload: UInt64) -> TimerToken {
    timers.insert(at: deadline, .target(target, payload: payload))
  }

  /// - Returns: false if it fired or was cancelled before.
  @discardableResult
  public func cancel(_ timer: TimerToken) -> Bool { timers.remove(timer) }

  public var timerCount: Int { timers.count }

  /// Inside a tick its start; outside one `now` may be old.
  private var timeBase: Instant { isInTick ? now : .nowUncached() }

  /// Runs `hook` at the end of each tick, in the order of adding: the place to batch writes and submissions.
  public func addBeforeSleep(_ hook: @escaping (Reactor) -> Void) -> HookToken {
    hookCount += 1
    let token = HookToken(value: hookCount)
    hooks.append((token, hook))
    return token
  }

  /// Lets go of the hook at once, but keeps its place until the hooks have run: a hook may remove itself or another, and none
  /// behind it may lose its turn.
  public func removeBeforeSleep(_ token: HookToken) {
    if let index = hooks.firstIndex(where: { $0.token == token }) { hooks[index].run = nil }
  }

  func addInboxReceiver(_ receive: @escaping (Reactor) -> Void) -> Int {
    if let free = inboxReceivers.firstIndex(where: { $0 == nil }) {
      inboxReceivers[free] = receive
      return free
    }
    inboxReceivers.append(receive)
    return inboxReceivers.count - 1
  }

  func removeInboxReceiver(_ index: Int) { inboxReceivers[index] = nil }

  /// Suspends the calling task; the thread goes on. Ends early when the task is cancelled.
  /// - Precondition: called on this reactor's executor.
  public func pause(for duration: Duration, isolation: isolated (any Actor)? = #isolation) async {
    assertCurrent()
    let pause = Pause()
    let handle = self.handle
    // Armed out here: a closure that does not capture `isolation` runs on the concurrency library's own threads, where the
    // wheel must not be touched.
    let timer = schedule(after: duration) { _ in pause.end() }
    await withTaskCancellationHandler {
      _ = isolation
      await withCheckedContinuation { pause.begin($0) }
    } onCancel: {
      // Perhaps on another thread, perhaps before the pause has begun.
      handle.post { _ in pause.end() }
    }
    cancel(timer)
  }

  // MARK: The loop

  /// Runs until `handle.stop()` or `stop()`. What was posted before that has run when it returns, and deferred closes.
  public func run() {
    while !handle.isStopRequested { runOnce(waitMax: nil) }
    if postsDone < posts.count || !mailbox.isEmpty { runOnce(waitMax: .zero) }
  }

  /// Ends `run` after the present tick.
  public func stop() { handle.stop() }

  /// One tick; sleeps at most `waitMax` (nil: as long as there is nothing to do).
  public func runOnce(waitMax: Duration?) {
    assertCurrent()
    precondition(!isInTick, "the loop is not reentrant")
    ThreadReactor.set(self)
    let count = wait(waitMax: waitMax)
    isInTick = true
    now = .nowUncached()
    statistics.ticks += 1
    dispatchEvents(count)
    runPosts()
    runReadyTurns()
    runTimers()
    runBeforeSleep()
    isInTick = false
    statistics.busyNsMax = max(statistics.busyNsMax, Instant.nowUncached().ns - now.ns)
  }

  private func wait(waitMax: Duration?) -> Int {
    let timeoutMs = sleepTimeMs(waitMax: waitMax)
    let count = epoll_wait(epollFD.raw, events, Int32(Self.eventsPerTickMax), timeoutMs)
    // Read at once: the mailbox's lock may wait for another thread, and that writes errno.
    let code = count < 0 ? errno : 0
    if timeoutMs != 0 { mailbox.didWake() }
    // EINTR: a debugger or a stopped process; anything else means the epoll descriptor is broken.
    precondition(code == 0 || code == EINTR, "epoll_wait: \(Errno(code, "epoll_wait"))")
    return Int(max(0, count))
  }

  private func sleepTimeMs(waitMax: Duration?) -> Int32 {
    if !readyList.isEmpty || postsDone < posts.count || handle.isStopRequested { return 0 }
    var sleepNs = waitMax?.nanoseconds ?? .max
    if let wake = timers.nextWake { sleepNs = min(sleepNs, wake.ns - Instant.nowUncached().ns) }
    // Last of all: from here on a poster writes the eventfd.
    if sleepNs <= 0 || !mailbox.prepareToSleep() { return 0 }
    if sleepNs == .max { return -1 }
    return Int32(min((sleepNs + 999_999) / 1_000_000, Int64(Int32.max)))
  }

  private func dispatchEvents(_ count: Int) {
    for index in 0..<count {
      let event = events[index]
      if event.data.u64 == Self.mailboxToken {
        mailbox.drainWakeups()
        continue
      }
      guard let source = sources.lookup(SourceToken(rawValue: event.data.u64)) else {
        statistics.staleEvents += 1
        continue
      }
      source.reactor(self, didReceive: Readiness(rawValue: event.events))
    }
  }

  private func runPosts() {
    if postsDone == posts.count {
      posts.removeAll(keepingCapacity: true)
      postsDone = 0
      mailbox.swapPosts(with: &posts)
    }
    var jobsLeft = Self.jobsPerTickMax
    while postsDone < posts.count, jobsLeft > 0 {
      let post = posts[postsDone]
      postsDone += 1
      statistics.posts += 1
      switch post {
      case .work(let work): work(self)
      case .inbox(let index): inboxReceivers[index]?(self)
      case .job(let job):
        jobsLeft -= 1
        handle.executor.run(job)
      }
    }
    // References of posts already run must not live on in the kept array.
    if postsDone == posts.count {
      posts.removeAll(keepingCapacity: true)
      postsDone = 0
    }
  }

  private func runReadyTurns() {
    guard !readyList.isEmpty else { return }
    swap(&readyList, &readySpare)
    for token in readySpare {
      guard let source = sources.lookup(token) else { continue }
      sources.unlist(token)
      if source.runTurn(self) == .again { markReady(token) }
    }
    readySpare.removeAll(keepingCapacity: true)
  }

  private func runTimers() {
    guard timers.count > 0 else { return }
    timers.advance(to: now)
    while let action = timers.popDue() {
      switch action {
      case .none: break
      case .closure(let fire): fire(self)
      case .target(let target, let payload): target.timerFired(self, payload: payload)
      }
    }
  }

  private func runBeforeSleep() {
    var index = 0
    var isOneRemoved = false
    while index < hooks.count {
      hooks[index].run?(self)
      if hooks[index].run == nil { isOneRemoved = true }
      index += 1
    }
    if isOneRemoved { hooks.removeAll { $0.run == nil } }
    while !closing.isEmpty {
      let batch = closing
      closing.removeAll()
      for source in batch { source.didClose(self) }
    }
  }
}

/// Names a before-sleep hook.
public struct HookToken: Hashable, Sendable { let value: UInt64 }

/// One suspended task. Resumed once, by its timer or by its cancellation, whichever comes first.
private final class Pause: Sendable {
  private let waiter = Lock<(continuation: CheckedContinuation<Void, Never>?, isOver: Bool)>((nil, false))

  func begin(_ continuation: CheckedContinuation<Void, Never>) {
    let isOver = waiter.withLock { waiter in
      if !waiter.isOver { waiter.continuation = continuation }
      return waiter.isOver
    }
    if isOver { continuation.resume() }
  }

  func end() {
    let continuation = waiter.withLock { waiter in
      let continuation = waiter.continuation
      waiter = (nil, true)
      return continuation
    }
    continuation?.resume()
  }
}
