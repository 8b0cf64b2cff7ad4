import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

/// One end of a pipe as a source that remembers what it was told.
private final class PipeEnd: EventSource {
  let fd: Int32
  var events = 0
  var turns = 0
  var closes = 0
  var turnsWanted = 0
  var onEvent: ((Reactor) -> Void)?

  init(fd: Int32) { self.fd = fd }

  func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    events += 1
    onEvent?(reactor)
  }

  func runTurn(_ reactor: Reactor) -> Turn {
    turns += 1
    return turns < turnsWanted ? .again : .idle
  }

  func didClose(_ reactor: Reactor) {
    closes += 1
    close(fd)
  }
}

private func makePipe() -> (read: Int32, write: Int32) {
  var fds: [Int32] = [0, 0]
  precondition(pipe(&fds) == 0)
  for fd in fds { _ = fcntl(fd, F_SETFL, O_NONBLOCK) }
  return (fds[0], fds[1])
}

private func poke(_ fd: Int32) { _ = write(fd, "x", 1) }

@Suite struct ReactorTests {
  @Test func readableDescriptorReachesItsSource() throws {
    let reactor = try Reactor()
    let (readEnd, writeEnd) = makePipe()
    let source = PipeEnd(fd: readEnd)
    let token = try reactor.register(fd: readEnd, interest: .read, source: source)
    reactor.runOnce(waitMax: .zero)
    #expect(source.events == 0)
    poke(writeEnd)
    reactor.runOnce(waitMax: .seconds(1))
    #expect(source.events == 1)
    reactor.scheduleClose(token)
    reactor.runOnce(waitMax: .zero)
    #expect(source.closes == 1)
    close(writeEnd)
  }

  /// Both pipes are readable in one epoll batch; the first handler closes the second source and puts a third one on
  /// the same slot and descriptor number. The event still queued for the second must reach nobody.
  @Test func staleEventForAReusedSlotIsDropped() throws {
    let reactor = try Reactor()
    let (firstRead, firstWrite) = makePipe()
    let (secondRead, secondWrite) = makePipe()
    let first = PipeEnd(fd: firstRead)
    let second = PipeEnd(fd: secondRead)
    let third = PipeEnd(fd: -1)
    _ = try reactor.register(fd: firstRead, interest: .read, source: first)
    let secondToken = try reactor.register(fd: secondRead, interest: .read, source: second)
    first.onEvent = { reactor in
      first.onEvent = nil
      reactor.scheduleClose(secondToken)
      _ = reactor.register(source: third)
    }
    second.onEvent = { _ in Issue.record("an event reached a source that had been closed") }
    poke(firstWrite)
    poke(secondWrite)
    reactor.runOnce(waitMax: .seconds(1))
    #expect(third.events == 0)
    #expect(second.events == 0)
    #expect(reactor.statistics.staleEvents == 1)
    #expect(second.closes == 1)
    close(firstWrite)
    close(secondWrite)
  }

  @Test func markReadyGivesOneTurnATickHoweverOftenItIsCalled() throws {
    let reactor = try Reactor()
    let source = PipeEnd(fd: -1)
    source.turnsWanted = 3
    let token = reactor.register(source: source)
    for _ in 0..<5 { reactor.markReady(token) }
    reactor.runOnce(waitMax: .zero)
    #expect(source.turns == 1)
    reactor.runOnce(waitMax: .seconds(5))  // does not sleep: the source asked for more
    reactor.runOnce(waitMax: .seconds(5))
    #expect(source.turns == 3)
    reactor.runOnce(waitMax: .zero)
    #expect(source.turns == 3)
  }

  @Test func closeInsideItsOwnHandlerIsDeferredToTheEndOfTheTick() throws {
    let reactor = try Reactor()
    let (readEnd, writeEnd) = makePipe()
    let source = PipeEnd(fd: readEnd)
    let token = try reactor.register(fd: readEnd, interest: .read, source: source)
    source.onEvent = { reactor in
      reactor.scheduleClose(token)
      reactor.scheduleClose(token)
      #expect(source.closes == 0)
      reactor.markReady(token)
    }
    poke(writeEnd)
    reactor.runOnce(waitMax: .seconds(1))
    #expect(source.closes == 1)
    #expect(source.turns == 0)
    close(writeEnd)
  }

  @Test func registeringAClosedDescriptorNamesTheCall() throws {
    let reactor = try Reactor()
    #expect(throws: Errno(EBADF, "epoll_ctl fd 9999")) {
      _ = try reactor.register(fd: 9999, interest: .read, source: PipeEnd(fd: -1))
    }
  }

  @Test func beforeSleepHooksRunOnceATickAndCanBeRemoved() throws {
    let reactor = try Reactor()
    var runs = 0
    let token = reactor.addBeforeSleep { _ in runs += 1 }
    reactor.runOnce(waitMax: .zero)
    reactor.runOnce(waitMax: .zero)
    reactor.removeBeforeSleep(token)
    reactor.runOnce(waitMax: .zero)
    #expect(runs == 2)
  }

  @Test func aHookThatRemovesItselfCostsNoneBehindItATurn() throws {
    let reactor = try Reactor()
    var runs: [String] = []
    var own: HookToken?
    own = reactor.addBeforeSleep { reactor in
      runs.append("once")
      reactor.removeBeforeSleep(own!)
    }
    var removed: HookToken?
    _ = reactor.addBeforeSleep { reactor in
      runs.append("each")
      reactor.removeBeforeSleep(removed!)
    }
    removed = reactor.addBeforeSleep { _ in runs.append("never") }
    _ = reactor.addBeforeSleep { _ in runs.append("last") }
    reactor.runOnce(waitMax: .zero)
    reactor.runOnce(waitMax: .zero)
    #expect(runs == ["once", "each", "last", "each", "last"])
  }

  @Test func timersFireInOrderAndNotBeforeTheirTime() throws {
    let reactor = try Reactor()
    var fired: [Int] = []
    let start = Instant.nowUncached()
    for delay in [30, 10, 20, 10] {
      reactor.schedule(after: .milliseconds(delay)) { _ in
        #expect(Instant.nowUncached() - start >= .milliseconds(delay))
        fired.append(delay)
      }
    }
    #expect(reactor.runUntil { fired.count == 4 })
    #expect(fired == [10, 10, 20, 30])
  }

  @Test func aTimerMadeByATimerRunsInALaterTick() throws {
    let reactor = try Reactor()
    var inner = 0
    var outer = 0
    reactor.schedule(after: .zero) { reactor in
      outer += 1
      reactor.schedule(after: .zero) { _ in inner += 1 }
      #expect(inner == 0)
    }
    #expect(reactor.runUntil { inner == 1 })
    #expect(outer == 1)
  }

  @Test func anIdleReactorSleeps() throws {
    let reactor = try Reactor()
    for _ in 0..<3 { reactor.runOnce(waitMax: .zero) }
    let before = reactor.statistics.ticks
    reactor.schedule(after: .milliseconds(100)) { $0.stop() }
    reactor.run()
    #expect(reactor.statistics.ticks - before <= 4)
  }

  @Test func runReturnsAfterStopFromAnotherThread() throws {
    let thread = try ReactorThread.start(name: "stopped") { _ in }
    thread.handle.stop()
    thread.join()
    #expect(thread.handle.post { _ in } == false)
  }

  @Test func whatWasPostedBeforeTheStopIsDone() throws {
    let reactor = try Reactor()
    let isDone = Lock(false)
    // Behind the phase in which posts run, as from another thread at that moment.
    reactor.schedule(after: .zero) { reactor in
      #expect(reactor.handle.post { _ in isDone.withLock { $0 = true } })
      reactor.stop()
    }
    reactor.run()
    #expect(isDone.withLock { $0 })
  }

  @Test func signalsArriveAsEvents() throws {
    let thread = try ReactorThread.start(name: "signals") { reactor in
      var set = sigset_t()
      sigemptyset(&set)
      sigaddset(&set, SIGUSR1)
      pthread_sigmask(SIG_BLOCK, &set, nil)
      do {
        _ = try SignalSource(reactor: reactor) { reactor, signal in
          #expect(signal == .user1)
          reactor.stop()
        }
      } catch { Issue.record(error) }
      pthread_kill(pthread_self(), SIGUSR1)
    }
    thread.join()
  }
}
