// The one thread that makes librdkafka's blocking queries (offsets of a log's ends, committed offsets, metadata), because
// 2.0.2 has no other form of them and a reactor must never wait for a broker. Started by the first job, kept for the
// process. Jobs run in order, each bounded by its own time-out; answers go back through the asker's QueueSignal.
// It deliberately does not poll messages, and destroys no instances (that may take longer: KafkaReaper).
internal import CLinux
internal import Glibc
internal import Reactor

final class KafkaClerk: Sendable {
  /// Jobs waiting; a further one is refused and asked again later.
  static let jobsMax = 256

  static let shared = KafkaClerk()

  private struct State {
    var jobs: [@Sendable () -> Void] = []
    var isStarted = false
  }

  private let state = Lock(State())
  private let wakeups: OwnedFD
  private let startThread: @Sendable (KafkaClerk) -> Bool

  /// - Parameter startThread: false if there is no thread to be had. Its own only in tests.
  init(startThread: @escaping @Sendable (KafkaClerk) -> Bool = KafkaClerk.spawn) {
    let fd = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_SEMAPHORE))
    precondition(fd >= 0, "\(Errno.last("eventfd"))")
    wakeups = OwnedFD(adopting: fd)
    self.startThread = startThread
  }

  /// - Thread: any. - Blocking: never; the first call starts the thread, and others wait for that.
  /// - Returns: false if it has too much to do, or could not be started.
  func run(_ job: @escaping @Sendable () -> Void) -> Bool {
    let isAccepted = state.withLock { state in
      // Before the job is among them: without a thread it is not taken at all.
      if !state.isStarted { state.isStarted = startThread(self) }
      guard state.isStarted, state.jobs.count < Self.jobsMax else { return false }
      state.jobs.append(job)
      return true
    }
    guard isAccepted else { return false }
    var one: UInt64 = 1
    precondition(write(wakeups.raw, &one, 8) == 8, "eventfd refused a wake-up")
    return true
  }

  /// The thread never ends, so its clerk must not either.
  static func spawn(_ clerk: KafkaClerk) -> Bool {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(clerk)
    guard pthread_create(&thread, nil, clerkMain, argument.toOpaque()) != 0 else { return true }
    argument.release()
    return false
  }

  fileprivate func work() -> Never {
    pthread_setname_np(pthread_self(), "kafka-clerk")
    while true {
      var count: UInt64 = 0
      guard read(wakeups.raw, &count, 8) == 8 else { continue }  // EINTR
      let job = state.withLock { state in state.jobs.isEmpty ? nil : state.jobs.removeFirst() }
      job?()
    }
  }
}

/// A named function: a closure literal could inherit an isolation that is checked on entry and wrong on this thread.
private nonisolated func clerkMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let argument else { preconditionFailure("started without its clerk") }
  Unmanaged<KafkaClerk>.fromOpaque(argument).takeUnretainedValue().work()
}
