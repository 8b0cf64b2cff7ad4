// The event loop: hand-over between threads, ready turns, timers among few and among many.
import Benchmark
import BenchmarkSupport
import Reactor

private final class Target: TimerTarget {
  func timerFired(_ reactor: Reactor, payload: UInt64) {}
}

private final class Source: EventSource {
  var left = 0
  func runTurn(_ reactor: Reactor) -> Turn {
    left -= 1
    return left > 0 ? .again : .idle
  }
}

private func timers(armed: Int) throws -> (Reactor, Target) {
  let reactor = try Reactor()
  let target = Target()
  for index in 0..<armed {
    reactor.schedule(at: reactor.now + .milliseconds(60_000 + index % 600_000), target: target, payload: UInt64(index))
  }
  return (reactor, target)
}

private func armAndCancel(_ subject: inout (Reactor, Target), _ count: Int) {
  let (reactor, target) = subject
  for index in 0..<count {
    let token = reactor.schedule(at: reactor.now + .milliseconds(1_000 + index * 7), target: target, payload: 0)
    reactor.cancel(token)
  }
}

let benchmarks: @Sendable () -> Void = {
  measure("mailbox: post and run a closure") {
    try Reactor()
  } operations: { reactor, count in
    for _ in 0..<count / 50 {
      for _ in 0..<50 { _ = reactor.handle.post { _ in } }
      reactor.runOnce(waitMax: .zero)
    }
  }

  measure("inbox: push and receive in batches of 50") {
    let reactor = try Reactor()
    let inbox = Inbox<Int>(countMax: 1_024)
    reactor.attach(inbox) { _, batch in blackHole(batch.count) }
    return (reactor, inbox)
  } operations: { subject, count in
    for _ in 0..<count / 50 {
      for value in 0..<50 { _ = subject.1.push(value) }
      subject.0.runOnce(waitMax: .zero)
    }
  }

  measure("loop: one turn of one ready source") {
    let reactor = try Reactor()
    let source = Source()
    return (reactor, source, reactor.register(source: source))
  } operations: { subject, count in
    subject.1.left = count
    subject.0.markReady(subject.2)
    for _ in 0..<count { subject.0.runOnce(waitMax: .zero) }
  }

  measure("timers: arm and cancel among 1,000") {
    try timers(armed: 1_000)
  } operations: {
    armAndCancel(&$0, $1)
  }
  measure("timers: arm and cancel among 1,000,000") {
    try timers(armed: 1_000_000)
  } operations: {
    armAndCancel(&$0, $1)
  }
}
