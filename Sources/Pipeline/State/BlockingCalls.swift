// One thread for calls that may block (fsync, host name look-ups, making and closing a ZooKeeper handle), so that the reactor
// never waits for a disk or a name server. Calls run one after the other in the order given; that order is part of the promise:
// a directory store's compare-and-set is atomic because nothing runs between its read and its write.
//
// Deliberately not a pool: the control plane makes a handful of calls per operator action.
internal import Reactor

final class BlockingCalls {
  /// Calls given and not answered. Beyond it a call is refused.
  static let waitingMax = 4_096

  private struct Answer: Sendable {
    let id: UInt64
    let value: any Sendable
  }

  private let reactor: Reactor
  private let name: String
  private let inbox = Inbox<Answer>(countMax: waitingMax)
  private var thread: ReactorThread?
  private var waiting: [UInt64: (any Sendable) -> Void] = [:]
  private var callCount: UInt64 = 0

  /// - Parameter name: of the thread, which is started by the first call.
  init(reactor: Reactor, name: String) {
    self.reactor = reactor
    self.name = name
    reactor.attach(inbox) { [weak self] _, answers in
      for answer in answers { self?.deliver(answer) }
    }
  }

  deinit { thread?.handle.stop() }

  /// Runs `call` on the thread and hands its value to `then` on the reactor.
  /// - Thread: reactor. - Blocking: never (the very first call starts the thread).
  /// - Returns: false if too many are waiting or no thread could be started; then neither closure will run.
  func run<Value: Sendable>(_ call: @escaping @Sendable () -> Value, then: @escaping (Value) -> Void) -> Bool {
    guard waiting.count < Self.waitingMax, let thread = startedThread() else { return false }
    callCount += 1
    let id = callCount
    let inbox = inbox
    let accepted = thread.handle.post { _ in
      // Cannot be full: every answer waiting in it belongs to one of at most `waitingMax` calls.
      _ = inbox.push(Answer(id: id, value: call()))
    }
    guard accepted else { return false }
    waiting[id] = { value in
      guard let value = value as? Value else { preconditionFailure("answer of another type") }
      then(value)
    }
    return true
  }

  /// Calls back when everything given before has run, the thread having ended.
  func stop(_ completion: @escaping () -> Void) {
    guard let thread else {
      reactor.schedule(after: .zero) { _ in completion() }
      return
    }
    let accepted = run(
      { thread.handle.stop() },
      then: { [weak self] in
        thread.join()  // it has nothing left to do: microseconds
        self?.thread = nil
        completion()
      })
    if !accepted { reactor.schedule(after: .zero) { _ in completion() } }
  }

  private func startedThread() -> ReactorThread? {
    if let thread { return thread }
    do throws(Errno) {
      thread = try ReactorThread.start(name: name) { _ in }
    } catch {
      return nil  // out of threads or descriptors: the caller's operation fails as unavailable
    }
    return thread
  }

  private func deliver(_ answer: Answer) {
    guard let then = waiting.removeValue(forKey: answer.id) else { return }
    then(answer.value)
  }
}
