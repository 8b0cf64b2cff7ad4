// A reactor thread and an actor on it, for tests of async code that must run on a reactor.
internal import CLinux
internal import Glibc
public import Reactor

public actor ReactorWorker {
  private nonisolated let thread: ReactorThread
  public nonisolated var handle: ReactorHandle { thread.handle }
  public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.handle.executor.asUnownedSerialExecutor() }

  public init(name: String = "test") throws(Errno) { thread = try ReactorThread.start(name: name) { _ in } }

  /// Runs `body` on the reactor's thread, as a task of its executor.
  public nonisolated func run<Value: Sendable>(_ body: @escaping @Sendable (Reactor) async throws -> Value) async throws -> Value {
    try await Task.detached(executorPreference: handle.executor) { try await self.isolated(body) }.value
  }

  private func isolated<Value: Sendable>(_ body: @Sendable (Reactor) async throws -> Value) async rethrows -> Value {
    try await body(Reactor.current!)
  }

  /// - Blocking: until the thread has ended.
  public nonisolated func end() {
    thread.handle.stop()
    thread.join()
  }
}
