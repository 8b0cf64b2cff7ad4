// A consumer's broker threads are nicer than those who work off what they fetch; librdkafka's own main thread is not.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@testable import Pipeline

extension KafkaTests {
  @Suite(.serialized) struct FetchThreadsTests {
    @Test func fetchingYieldsToWork() throws {
      let fixture = try KafkaFixture([.init("t", partitions: 1)])
      let own = try niceness("/proc/thread-self/stat")
      let before = Set(tasks())
      let owner = try ConsumerOwner(fixture.configuration(standalone: 1), fixture.reactor)
      try owner.consumer.subscribe()
      // Other tests start and end threads meanwhile, so one of each kind is looked for, no more.
      func started(_ name: String, _ expected: Int) -> Bool {
        return tasks().filter { !before.contains($0) }.contains {
          // A thread that ends while it is read is none.
          (try? comm($0))?.hasPrefix(name) == true && (try? niceness("/proc/self/task/\($0)/stat")) == expected
        }
      }
      #expect(fixture.wait(30) { started("rdk:broker", own + Int(FetchThreads.niceness)) })
      #expect(fixture.wait(30) { started("rdk:main", own) })
      #expect(owner.close(fixture))
    }

    private func tasks() -> [String] { entries("/proc/self/task") }
    private func comm(_ task: String) throws -> String { String(decoding: try readFile("/proc/self/task/\(task)/comm"), as: UTF8.self) }

    /// Field 19 of proc(5)'s `stat`, counted from behind the name in parentheses.
    private func niceness(_ path: String) throws -> Int {
      let fields = try #require(String(decoding: try readFile(path), as: UTF8.self).split(separator: ")").last).split(separator: " ")
      return try #require(Int(fields[16]))
    }
  }
}
