// Runs Swift tasks on a reactor's thread: jobs go through the mailbox and run in phase 2, a bounded number each tick.
// Use it for sequences (start, stop, one replication); the hot path is callbacks.
//
// Start tasks with `Task.detached(executorPreference:)` or from an actor whose `unownedExecutor` is this: without
// either, a resumed continuation would start the concurrency library's own thread pool.
internal import CLinux
internal import Glibc

public final class ReactorExecutor: SerialExecutor, TaskExecutor, Sendable {
  private let mailbox: Mailbox

  init(mailbox: Mailbox) { self.mailbox = mailbox }

  public func enqueue(_ job: consuming ExecutorJob) { mailbox.post(job: UnownedJob(job)) }

  public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  /// Asked by the runtime before it reports a violated isolation (SE-0424).
  public func checkIsolated() {
    precondition(isOnItsReactor, "not on the thread of this executor's reactor")
  }

  public func isIsolatingCurrentContext() -> Bool? { isOnItsReactor }

  private var isOnItsReactor: Bool { Reactor.current?.mailbox === mailbox }

  func run(_ job: UnownedJob) {
    job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
  }
}
