import CLinux
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import Reactor

@Suite struct MailboxTests {
  @Test func postsOfOneThreadArriveInOrderAndNoneIsLost() throws {
    let seen = Lock<[Int: [Int]]>([:])
    let thread = try ReactorThread.start(name: "inbox") { _ in }
    let posters = try (0..<4).map { poster in
      try ReactorThread.start(name: "poster") { reactor in
        for value in 0..<5_000 {
          while !thread.handle.post({ _ in seen.withLock { $0[poster, default: []].append(value) } }) {}
        }
        reactor.stop()
      }
    }
    for poster in posters { poster.join() }
    #expect(eventually { seen.withLock { $0.values.map(\.count).reduce(0, +) } == 20_000 })
    seen.withLock { for values in $0.values { #expect(values == Array(0..<5_000)) } }
    thread.handle.stop()
    thread.join()
  }

  @Test func aFullMailboxRefusesAndTakesAgainOnceEmptied() throws {
    let reactor = try Reactor()
    var accepted = 0
    while reactor.handle.post({ _ in }) { accepted += 1 }
    #expect(accepted == Mailbox.postsMax)
    reactor.runOnce(waitMax: .zero)
    #expect(reactor.handle.post { _ in })
  }

  @Test func inboxDeliversBatchesInOrderAndSaysWhenItIsFull() throws {
    let reactor = try Reactor()
    let inbox = Inbox<Int>(countMax: 8)
    for value in 0..<3 { #expect(inbox.push(value)) }  // before anybody listens
    var got: [Int] = []
    reactor.attach(inbox) { _, batch in got += batch }
    #expect(inbox.push(contentsOf: Array(3..<20)) == 5)
    #expect(!inbox.push(99))
    reactor.runOnce(waitMax: .zero)
    #expect(got == Array(0..<8))
    #expect(inbox.push(8))
    reactor.runOnce(waitMax: .zero)
    #expect(got == Array(0..<9))
  }

  @Test func aDetachedInboxDeliversNothingAndItsReceiverIsLetGo() throws {
    final class Receiver { var got: [Int] = [] }
    let reactor = try Reactor()
    let first = Inbox<Int>(countMax: 8)
    let second = Inbox<Int>(countMax: 8)
    var receiver: Receiver? = Receiver()
    weak let kept = receiver
    reactor.attach(first) { [receiver] _, batch in receiver?.got += batch }
    receiver = nil
    #expect(first.push(1))
    reactor.runOnce(waitMax: .zero)
    #expect(kept?.got == [1])
    #expect(first.push(2))  // announced, and nobody there any more when its turn comes
    reactor.detach(first)
    #expect(kept == nil)
    // Takes the other's place, and nothing of it.
    var got: [[Int]] = []
    reactor.attach(second) { _, batch in got.append(batch) }
    reactor.runOnce(waitMax: .zero)
    #expect(second.push(3) && first.push(4))
    reactor.runOnce(waitMax: .zero)
    #expect(got == [[3]])
    #expect(first.count == 2)
    reactor.detach(first)  // twice: nothing happens
    #expect(second.push(5))
    reactor.runOnce(waitMax: .zero)
    #expect(got == [[3], [5]])
  }

  @Test func anEmptiedBatchArrivesBehindWhatWasWaitingAndKeepsWhatDidNotFit() throws {
    let reactor = try Reactor()
    let inbox = Inbox<Int>(countMax: 8)
    var got: [Int] = []
    reactor.attach(inbox) { _, batch in got += batch }
    var batch: [Int] = []
    #expect(inbox.push(emptying: &batch))  // nothing to say
    batch = [0, 1, 2]
    #expect(inbox.push(emptying: &batch) && batch.isEmpty)
    batch = [3, 4]
    #expect(inbox.push(emptying: &batch) && batch.isEmpty)
    batch = Array(5..<12)
    #expect(!inbox.push(emptying: &batch))
    #expect(batch == [8, 9, 10, 11])
    #expect(!inbox.push(emptying: &batch) && batch.count == 4)
    reactor.runOnce(waitMax: .zero)
    #expect(got == Array(0..<8))
    #expect(inbox.push(emptying: &batch) && batch.isEmpty)
    reactor.runOnce(waitMax: .zero)
    #expect(got == Array(0..<12))
    batch = Array(12..<32)  // more than it ever holds
    #expect(!inbox.push(emptying: &batch))
    reactor.runOnce(waitMax: .zero)
    #expect(got == Array(0..<20) && batch == Array(20..<32))
  }

  /// Push from another thread while the reactor goes in and out of sleep: the last push must always wake it.
  @Test func noWakeUpIsLostBetweenLookingAndSleeping() throws {
    let reactor = try Reactor()
    let inbox = Inbox<Int>(countMax: 64)
    var last = -1
    reactor.attach(inbox) { _, batch in last = batch.last ?? last }
    let echoed = Atomic<Int>(-1)
    let pusher = try ReactorThread.start(name: "pusher") { other in
      // In its loop, not in its set-up: `start` returns only after that, and the echo comes from this thread.
      other.schedule(after: .zero) { other in
        for value in 0..<20_000 {
          while !inbox.push(value) {}
          while echoed.load(ordering: .acquiring) < value { sched_yield() }
        }
        other.stop()
      }
    }
    for value in 0..<20_000 {
      while last < value {
        let before = Instant.nowUncached()
        reactor.runOnce(waitMax: .seconds(5))
        guard Instant.nowUncached() - before < .seconds(4) else { return #expect(Bool(false), "a wake-up was lost at \(value)") }
      }
      echoed.store(value, ordering: .releasing)
    }
    pusher.join()
  }

  private actor OnReactor {
    nonisolated let executor: ReactorExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    init(_ handle: ReactorHandle) { executor = handle.executor }

    func threadsAcrossPauses() async -> Set<Int> {
      var threads: Set<Int> = []
      for _ in 0..<20 {
        threads.insert(Int(pthread_self()))
        await Reactor.current!.pause(for: .milliseconds(1))
      }
      return threads
    }
  }

  @Test func asyncFunctionsStayOnTheirReactorsThread() async throws {
    let thread = try ReactorThread.start(name: "async") { _ in }
    let threads = await OnReactor(thread.handle).threadsAcrossPauses()
    #expect(threads.count == 1)
    thread.handle.stop()
    thread.join()
  }
}
