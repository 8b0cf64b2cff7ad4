// The only way into a reactor from another thread: closures, executor jobs and "this inbox has something".
//
// FIFO, bounded, and at most one outstanding eventfd write: the reactor says under the lock whether it is about to
// sleep, and only then does a poster write. The race that matters: the reactor finds the box empty (lock held) and sets
// `isSleeping` before it lets go; whoever posts afterwards sees it, so no wake-up is lost.
internal import CLinux
internal import Glibc

final class Mailbox: Sendable {
  enum Post {
    case work(@Sendable (Reactor) -> Void)
    case job(UnownedJob)
    case inbox(Int)
  }

  private struct State {
    var posts: [Post] = []
    /// True exactly while the reactor is in, or on its way into, epoll_wait without a pending wake-up.
    var isSleeping = false
    var isGone = false
  }

  /// Closures from other threads. Beyond it `post` answers false: the poster must slow down or give up.
  static let postsMax = 65_536

  private let state = Lock(State())
  private let wakeFD: OwnedFD

  init() throws(Errno) {
    let fd = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    guard fd >= 0 else { throw Errno.last("eventfd") }
    wakeFD = OwnedFD(adopting: fd)
  }

  var fd: Int32 { wakeFD.raw }

  /// - Thread: any. - Blocking: never.
  /// - Returns: false if the box is full or its reactor has ended; the closure will not run.
  func post(_ work: @escaping @Sendable (Reactor) -> Void) -> Bool {
    enqueue(.work(work), countMax: Self.postsMax)
  }

  /// Jobs are not refused: their number is bounded by that of the tasks alive.
  func post(job: UnownedJob) { _ = enqueue(.job(job), countMax: .max) }

  /// One post for each attached inbox at the most: an inbox says so once until it is emptied.
  func postInboxReady(_ index: Int) { _ = enqueue(.inbox(index), countMax: .max) }

  private func enqueue(_ post: Post, countMax: Int) -> Bool {
    // Sent into the lock by hand: Post holds an UnownedJob, which is Sendable, and a Sendable closure.
    let (accepted, mustWake) = state.withLock { state -> (Bool, Bool) in
      guard !state.isGone, state.posts.count < countMax else { return (false, false) }
      state.posts.append(post)
      let mustWake = state.isSleeping
      state.isSleeping = false
      return (true, mustWake)
    }
    if mustWake { wake() }
    return accepted
  }

  private func wake() {
    var one: UInt64 = 1
    // EAGAIN means the counter is at its maximum, so the reader has a wake-up pending already.
    _ = write(wakeFD.raw, &one, 8)
  }

  // MARK: Reactor's side

  /// - Thread: reactor. Takes everything posted so far, in order, by swapping arrays.
  func swapPosts(with taken: inout [Post]) {
    assert(taken.isEmpty)
    var spare: [Post] = []
    swap(&spare, &taken)
    taken = state.withLock { [spare] state in
      let posts = state.posts
      state.posts = spare
      return posts
    }
  }

  /// Whether nothing has been posted since the last swap; may be over by the time it is read.
  var isEmpty: Bool { state.withLock { $0.posts.isEmpty } }

  /// - Thread: reactor. - Returns: false if something has been posted, so the reactor must not sleep.
  func prepareToSleep() -> Bool {
    state.withLock { state in
      guard state.posts.isEmpty else { return false }
      state.isSleeping = true
      return true
    }
  }

  /// - Thread: reactor, right after epoll_wait: posts need no wake-up from here on.
  func didWake() { state.withLock { $0.isSleeping = false } }

  func drainWakeups() {
    var count: UInt64 = 0
    // EAGAIN: a wake-up that was elided after all; nothing to take.
    _ = read(wakeFD.raw, &count, 8)
  }

  /// After this nothing is accepted. What is still inside is dropped with the reactor.
  func close() { state.withLock { $0.isGone = true } }
}
