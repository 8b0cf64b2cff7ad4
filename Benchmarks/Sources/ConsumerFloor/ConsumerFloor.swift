// Our consumer alone: takes messages on a reactor and counts them, as perf/baseline/count.c does without us. Beside it and the real
// daemon it tells what the consumer costs and what comes behind it.
// `consumer-floor BOOTSTRAP TOPIC PARTITIONS COUNT [name=value…]` prints the JSON of count.c.
internal import Glibc
internal import Pipeline
internal import PipelineCore
internal import Reactor

private final class Counter: ConsumerDelegate {
  let countMax: Int
  private(set) var entries = 0
  private var bytes = 0
  private var firstAt: Instant?
  private var firstCPU = 0.0
  private let startedAt = Instant.nowUncached()
  private let startedCPU = cpuSeconds()

  init(countMax: Int) { self.countMax = countMax }

  func consumerMayTake(_ consumer: Consumer) -> Int { min(64, countMax - entries) }

  func consumer(_ consumer: Consumer, received message: consuming KafkaMessage) {
    if firstAt == nil { (firstAt, firstCPU) = (.nowUncached(), cpuSeconds()) }
    entries += 1
    bytes += message.payloadCount
    if entries == countMax { report() }
  }

  func consumer(_ consumer: Consumer, assigned partitions: [Partition], generation: UInt32) { consumer.assign(generation) }
  func consumer(_ consumer: Consumer, revoked partitions: [Partition], generation: UInt32, isLost: Bool) {
    consumer.unassign(generation)
  }
  func consumer(_ consumer: Consumer, committed result: CommitResult) {}
  func consumer(_ consumer: Consumer, skipped gap: OffsetGap) { fatalError("gap \(gap)") }
  func consumer(_ consumer: Consumer, failed error: KafkaError) { fatalError("\(error)") }
  func consumerDidClose(_ consumer: Consumer) {}

  private func report() {
    let (now, cpu) = (Instant.nowUncached(), cpuSeconds())
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ since: Instant) -> Double { Double(now.ns - since.ns) / 1e9 }
    print(
      """
      {"entries":\(entries),"bytes":\(bytes),"seconds":\(seconds(firstAt ?? now)),"cpu_seconds":\(cpu - firstCPU),\
      "total_seconds":\(seconds(startedAt)),"total_cpu_seconds":\(cpu - startedCPU),"max_rss_kb":\(usage.ru_maxrss),"consumers":1}
      """)
    exit(0)
  }
}

private func cpuSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

@main struct ConsumerFloor {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count >= 5, let partitions = Int(arguments[3]), let count = Int(arguments[4]), count > 0 else {
      fatalError("usage: consumer-floor BOOTSTRAP TOPIC PARTITIONS COUNT [name=value…]")
    }
    var properties: [String: String] = [:]
    for argument in arguments.dropFirst(5) {
      let parts = argument.split(separator: "=", maxSplits: 1)
      properties[String(parts[0])] = String(parts[1])
    }
    let reactor = try Reactor(name: "floor")
    var configuration = ConsumerConfiguration(
      properties: try KafkaProperties(bootstrapServers: arguments[1], user: properties), groupId: "floor", topic: arguments[2])
    configuration.membership = .standalone(partitions: partitions)
    let counter = Counter(countMax: count)
    let consumer = try Consumer(configuration, on: reactor, delegate: counter)
    try consumer.subscribe()
    while true { reactor.runOnce(waitMax: .seconds(1)) }
  }
}
