// Async work that must happen in the order it was asked for, one after the other, on T0's executor.
internal import Reactor

/// - Thread: T0's, for every call.
final class SerialTasks: @unchecked Sendable {  // `last` is touched on T0 only, the count is locked
  private let handle: ReactorHandle
  private var last: Task<Void, Never>?
  private let open = Lock(0)

  init(handle: ReactorHandle) { self.handle = handle }

  /// Asked for and not done yet.
  var openCount: Int { open.withLock { $0 } }

  func run(_ work: @escaping @Sendable () async -> Void) {
    open.withLock { $0 += 1 }
    let previous = last
    last = Task.detached(executorPreference: handle.executor) { [self] in
      await previous?.value
      await work()
      finished()
    }
  }

  private func finished() { open.withLock { $0 -= 1 } }
}
