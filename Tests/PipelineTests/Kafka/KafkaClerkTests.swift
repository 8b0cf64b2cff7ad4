// The thread of the blocking queries, when there is no thread to be had.
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite struct KafkaClerkTests {
  @Test func whoFindsNoThreadIsRefusedAndTakesNobodyElsesJob() {
    let threads = Lock([false, false, true])
    let done = Lock<[Int]>([])
    let clerk = KafkaClerk { clerk in threads.withLock { $0.removeFirst() } && KafkaClerk.spawn(clerk) }
    #expect(!clerk.run { done.withLock { $0.append(1) } })
    #expect(!clerk.run { done.withLock { $0.append(2) } })
    #expect(clerk.run { done.withLock { $0.append(3) } })
    #expect(clerk.run { done.withLock { $0.append(4) } })
    #expect(eventually { done.withLock { $0.count } == 2 })
    #expect(done.withLock { $0 } == [3, 4])
  }

  /// However many find it not started at once, all that are accepted are done.
  @Test func everyAcceptedJobIsDoneWhoeverFailsToStartIt() throws {
    let attempts = Lock(0)
    let done = Lock(0)
    let clerk = KafkaClerk { clerk in
      let attempt = attempts.withLock { attempts in
        attempts += 1
        return attempts
      }
      return attempt > 8 && KafkaClerk.spawn(clerk)
    }
    let answers = Lock((accepted: 0, refused: 0))
    let callers = try (0..<4).map { number in
      try ReactorThread.start(name: "caller-\(number)") { reactor in
        reactor.schedule(after: .zero) { _ in
          for _ in 0..<20 {
            let isAccepted = clerk.run { done.withLock { $0 += 1 } }
            answers.withLock { answers in
              if isAccepted { answers.accepted += 1 } else { answers.refused += 1 }
            }
          }
        }
      }
    }
    #expect(eventually { done.withLock { $0 } == 80 - 8 })
    for caller in callers {
      caller.handle.stop()
      caller.join()
    }
    #expect(answers.withLock { $0 } == (80 - 8, 8))
  }
}
