// The one lock type of the project. It is `Synchronization.Mutex`; under -DTSAN it becomes a pthread mutex, because
// ThreadSanitizer does not see the futex of the former and reports races that are none.
internal import Synchronization

#if TSAN
  internal import CLinux
  internal import Glibc

  /// - Blocking: for as long as another thread is inside `withLock`; keep those bodies to a few assignments.
  public struct Lock<State: ~Copyable>: ~Copyable, @unchecked Sendable {  // every access to `storage` is under `mutex`
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let storage: UnsafeMutablePointer<State>

    public init(_ state: consuming sending State) {
      mutex = .allocate(capacity: 1)
      precondition(pthread_mutex_init(mutex, nil) == 0)
      storage = .allocate(capacity: 1)
      storage.initialize(to: state)
    }

    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
      _ body: (inout sending State) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
      pthread_mutex_lock(mutex)
      defer { pthread_mutex_unlock(mutex) }
      return try body(&storage.pointee)
    }

    deinit {
      storage.deinitialize(count: 1)
      storage.deallocate()
      pthread_mutex_destroy(mutex)
      mutex.deallocate()
    }
  }
#else
  /// - Blocking: for as long as another thread is inside `withLock`; keep those bodies to a few assignments.
  public struct Lock<State: ~Copyable>: ~Copyable, Sendable {
    private let mutex: Mutex<State>

    public init(_ state: consuming sending State) { mutex = Mutex(state) }

    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
      _ body: (inout sending State) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
      try mutex.withLock(body)
    }
  }
#endif
