// A thread that is a reactor. The reactor is made on the thread itself and never leaves it.
internal import CLinux
internal import Glibc

public final class ReactorThread: Sendable {
  /// What the new thread needs, and where it says how its start went.
  private final class Start: Sendable {
    let name: String
    let handle: ReactorHandle
    let body: @Sendable (Reactor) -> Void
    let outcome = Lock<Errno?>(nil)
    let started: OwnedFD

    init(name: String, handle: ReactorHandle, started: consuming OwnedFD, body: @escaping @Sendable (Reactor) -> Void) {
      self.name = name
      self.handle = handle
      self.started = started
      self.body = body
    }

    func run() {
      // Linux keeps 15 bytes of a thread's name.
      pthread_setname_np(pthread_self(), String(name.utf8.prefix(15).map { Character(Unicode.Scalar($0)) }))
      do throws(Errno) {
        let reactor = try Reactor(name: name, handle: handle)
        body(reactor)
        signal()
        reactor.run()
      } catch {
        outcome.withLock { $0 = error }
        signal()
      }
    }

    private func signal() {
      var one: UInt64 = 1
      precondition(write(started.raw, &one, 8) == 8, "eventfd refused a wake-up")
    }
  }

  public let handle: ReactorHandle
  private let thread: pthread_t

  private init(handle: ReactorHandle, thread: pthread_t) {
    self.handle = handle
    self.thread = thread
  }

  /// Starts a thread, makes a reactor on it, calls `body` there once to set things up, then runs the loop until
  /// `handle.stop()`. The thread inherits the caller's signal mask: block signals first (`SignalSource.block`).
  /// - Blocking: until the reactor exists and `body` has returned.
  /// - Errors: `Errno` of pthread_create, eventfd or epoll_create1.
  public static func start(
    name: String, _ body: @escaping @Sendable (Reactor) -> Void
  ) throws(Errno) -> ReactorThread {
    let fd = eventfd(0, Int32(EFD_CLOEXEC))
    guard fd >= 0 else { throw Errno.last("eventfd") }
    let start = Start(name: name, handle: try ReactorHandle(), started: OwnedFD(adopting: fd), body: body)
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(start)
    let code = pthread_create(&thread, nil, threadMain, argument.toOpaque())
    guard code == 0 else {
      argument.release()
      throw Errno(code, "pthread_create \(name)")
    }
    var count: UInt64 = 0
    while read(fd, &count, 8) != 8 { precondition(errno == EINTR, "eventfd read failed") }
    if let error = start.outcome.withLock({ $0 }) {
      pthread_join(thread, nil)
      throw error
    }
    return ReactorThread(handle: start.handle, thread: thread)
  }

  /// Waits for the thread to end; ask it to with `handle.stop()`. Once only.
  /// - Blocking: until the loop has ended.
  public func join() { pthread_join(thread, nil) }

  /// A named function: a closure literal would inherit the caller's isolation, which is checked on entry and wrong here.
  nonisolated private static let threadMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
    Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().run()
    return nil
  }
}
