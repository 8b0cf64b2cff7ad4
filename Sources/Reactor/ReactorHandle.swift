// What other threads may hold of a reactor: they can post to it, run tasks on it and stop it, nothing else.
internal import Synchronization

public final class ReactorHandle: Sendable {
  public let executor: ReactorExecutor
  let mailbox: Mailbox
  private let stopRequested = Atomic<Bool>(false)

  init() throws(Errno) {
    mailbox = try Mailbox()
    executor = ReactorExecutor(mailbox: mailbox)
  }

  /// Runs `work` on the reactor's thread in one of its next ticks.
  /// - Thread: any. - Blocking: never.
  /// - Returns: false if the mailbox is full (`Mailbox.postsMax`) or the reactor has ended; then `work` never runs.
  @discardableResult
  public func post(_ work: @escaping @Sendable (Reactor) -> Void) -> Bool { mailbox.post(work) }

  /// Ends the reactor's `run` after its present tick.
  public func stop() {
    stopRequested.store(true, ordering: .releasing)
    post { _ in }  // only to wake it; refused when it has ended, which is as good
  }

  public var isStopRequested: Bool { stopRequested.load(ordering: .acquiring) }
}
