// The pipeline alone: consumer, scheduler, worker, ledger, commits for one no-op location, without API, control plane and group.
// Starts fast and is easily profiled. `pipeline-floor BOOTSTRAP TOPIC PARTITIONS COUNT CONCURRENCY SITE [name=value…]` prints the
// JSON of count.c; an entry counts when its offset may be committed.
internal import Glibc
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

private final class Counter: LocationObserver {
  let countMax: Int
  private var consumed: [Partition: Int64] = [:]
  private var firstAt: Instant?
  private var firstCPU = 0.0
  private let startedAt = Instant.nowUncached()
  private let startedCPU = cpuSeconds()

  init(countMax: Int) { self.countMax = countMax }

  func locationReports(_ location: LocationController) {}
  func locationDidStop(_ location: LocationController) {}

  func locationIsDraining(_ location: LocationController) {}
  func location(_ location: LocationController, failed failure: ReplicationFailure) { fatalError("\(failure)") }
  func location(_ location: LocationController, cannotGoOn error: KafkaError) { fatalError("\(error)") }

  func location(_ location: LocationController, consumedUpTo offset: Offset, of partition: Partition) {
    if firstAt == nil { (firstAt, firstCPU) = (.nowUncached(), cpuSeconds()) }
    consumed[partition] = offset.value
    guard consumed.values.reduce(0, +) == countMax else { return }
    precondition(location.counters.done == countMax)
    report()
  }

  private func report() {
    let (now, cpu) = (Instant.nowUncached(), cpuSeconds())
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ since: Instant) -> Double { Double(now.ns - since.ns) / 1e9 }
    print(
      """
      {"entries":\(countMax),"seconds":\(seconds(firstAt ?? now)),"cpu_seconds":\(cpu - firstCPU),\
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

@main struct PipelineFloor {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count >= 7, let partitions = Int(arguments[3]), let count = Int(arguments[4]),
      let concurrency = Int(arguments[5])
    else { fatalError("usage: pipeline-floor BOOTSTRAP TOPIC PARTITIONS COUNT CONCURRENCY SITE [name=value…]") }
    var user: [String: String] = [:]
    for argument in arguments.dropFirst(7) {
      let parts = argument.split(separator: "=", maxSplits: 1)
      user[String(parts[0])] = String(parts[1])
    }
    let properties = try KafkaProperties(bootstrapServers: arguments[1], user: user)
    let reactor = try Reactor(name: "floor")
    let log = Logger(label: "floor") { StreamLogHandler.standardError(label: $0) }
    let pool = try WorkerPool(reactor: reactor, workers: 1)
    let outbox = try Outbox(reactor: reactor, configuration: ProducerConfiguration(properties: properties), log: log)
    var consumer = ConsumerConfiguration(properties: properties, groupId: "floor-\(getpid())", topic: arguments[2])
    consumer.membership = .standalone(partitions: partitions)
    let site = arguments[6]
    let location = try LocationController(
      reactor: reactor, pool: pool, outbox: outbox,
      options: LocationOptions(
        site: site, limits: .init(concurrency: concurrency, waitingMax: concurrency), pauseMode: .hold, consumer: consumer,
        work: WorkerLocation(site: Site(site), kind: .noop), deadLetterTopic: "dead"),
      log: log)
    let counter = Counter(countMax: count)
    location.observer = counter
    location.desiredChanged(paused: false, version: StateVersion(epoch: 1, number: 1))
    withExtendedLifetime(location) { while true { reactor.runOnce(waitMax: .seconds(1)) } }
  }
}
