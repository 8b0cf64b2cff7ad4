// One location over a broker of its own, driven on the test's thread, and what its workers can be made to do.
import Logging
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

final class LocationBench: LocationObserver, ProducerDelegate {
  static let statusPartitions = 4
  let reactor: Reactor
  let broker: EmbeddedBroker
  /// Between everybody and the broker, if there is one.
  let proxy: KafkaProxy?
  let pool: WorkerPool
  let outbox: Outbox
  let properties: KafkaProperties
  let lines = LogLines()
  private(set) var location: LocationController!
  private(set) var isStopped = false
  /// What the location said it cannot go on with.
  private(set) var deaths: [KafkaError] = []
  private var producer: Producer!
  private var delivered = 0

  /// - Parameters:
  ///   - joins: the location joins a group, instead of having all partitions from the start.
  ///   - user: properties of the consumer and the producers.
  ///   - proxied: all answers of the broker, which must be one alone, come through `proxy`.
  ///   - brokers: of the cluster; topics `entries`, `dead` and `status` are on all of them.
  init(
    mode: PauseMode = .hold, brokers: Int = 1, proxied: Bool = false, partitions: Int = 3, limits: KeyedScheduler.Limits = .init(),
    joins: Bool = false, user: [String: String] = [:], work: WorkerLocation = WorkerLocation(site: "east", kind: .noop), workers: Int = 2,
    adjust: (inout LocationOptions) -> Void = { _ in }
  ) throws {
    reactor = try Reactor()
    broker = try EmbeddedBroker(
      topics: [.init("entries", partitions: partitions), .init("dead"), .init("status", partitions: Self.statusPartitions)],
      brokers: brokers)
    pool = try WorkerPool(reactor: reactor, workers: workers)
    proxy = proxied ? try KafkaProxy(upstream: broker.port) : nil
    properties = try KafkaProperties(bootstrapServers: proxy.map { "127.0.0.1:\($0.port)" } ?? broker.bootstrapServers, user: user)
    let log = Logger(label: "test") { [lines] _ in LineHandler(lines: lines) }
    outbox = try Outbox(reactor: reactor, configuration: ProducerConfiguration(properties: properties), log: log)
    producer = try Producer(ProducerConfiguration(properties: properties), on: reactor, delegate: self)
    var consumer = ConsumerConfiguration(properties: properties, groupId: "group", topic: "entries")
    if !joins { consumer.membership = .standalone(partitions: partitions) }
    consumer.fetchWaitMs = EmbeddedBroker.fetchWaitMsMax
    var options = LocationOptions(
      site: "east", limits: limits, pauseMode: mode, consumer: consumer, work: work, deadLetterTopic: "dead")
    options.commitInterval = .milliseconds(20)
    adjust(&options)
    location = try LocationController(reactor: reactor, pool: pool, outbox: outbox, options: options, log: log)
    location.observer = self
  }

  var isLocationReady: Bool { location.notReadyReason == nil }

  /// Values with keys of their own, where the partitioner puts them.
  func produce(_ values: [String]) throws {
    try produce(values.enumerated().map { (Array("k\($0)".utf8), Array($1.utf8), nil) })
  }

  func produce(_ messages: [(key: [UInt8]?, value: [UInt8]?, partition: Partition?)]) throws {
    let before = delivered
    for (index, message) in messages.enumerated() {
      try producer.produce(
        topic: "entries", key: message.key, value: message.value, partition: message.partition, token: UInt64(index))
    }
    #expect(reactor.runUntil(within: .seconds(30)) { delivered == before + messages.count })
  }

  func paused(_ isPaused: Bool, version: Int64) {
    location.desiredChanged(paused: isPaused, version: StateVersion(epoch: 1, number: version))
  }

  func runUntil(_ condition: () -> Bool) -> Bool { reactor.runUntil(within: .seconds(40), condition) }

  /// Turns the loop for a while: to see that something does not happen.
  func spin(_ milliseconds: Int) { _ = reactor.runUntil(within: .milliseconds(milliseconds)) { false } }

  /// Where the partitions stand; empty if the broker does not answer.
  func survey() -> [PartitionSurvey] {
    var answer: [PartitionSurvey]?
    location.survey { answer = $0 ?? [] }
    _ = runUntil { answer != nil }
    return answer ?? []
  }

  func isAllCommitted() -> Bool {
    var partitions = survey()
    // Tests beside this one keep brokers and the clerk busy, and a question without an answer says nothing.
    for _ in 0..<20 where partitions.isEmpty {
      spin(200)
      partitions = survey()
    }
    return !partitions.isEmpty && partitions.allSatisfy { $0.lag == 0 }
  }

  func end() {
    location.stop()
    #expect(runUntil { isStopped })
    pool.stop()
  }

  func locationReports(_ location: LocationController) {}
  func location(_ location: LocationController, failed failure: ReplicationFailure) {}
  func locationIsDraining(_ location: LocationController) {}
  func location(_ location: LocationController, consumedUpTo offset: Offset, of partition: Partition) {}
  func location(_ location: LocationController, cannotGoOn error: KafkaError) { deaths.append(error) }
  func locationDidStop(_ location: LocationController) { isStopped = true }
  func producer(_ producer: Producer, delivered delivery: Delivery) { delivered += delivery.error == nil ? 1 : 0 }
  /// Brokers that are away are some tests' subject.
  func producer(_ producer: Producer, failed error: KafkaError) { if !error.isRetriable { Issue.record("\(error)") } }
  func producerDidClose(_ producer: Producer) {}
}

/// An entry in Backbeat's form for one site.
func entryText(_ key: String, site: String = "east", version: String? = nil) -> String {
  let versionId = version.map { #"\"versionId\":\"\#($0)\","# } ?? ""
  let value =
    #"{\"content-length\":10,\"content-md5\":\"0cc175b9c0f1b6a831c399e269772661\",\#(versionId)\"last-modified\":\"2031-02-03T04:05:06.789Z\","#
    + #"\"replicationInfo\":{\"status\":\"PENDING\",\"backends\":[{\"site\":\"\#(site)\",\"status\":\"PENDING\",\"dataStoreVersionId\":\"\"}],"#
    + #"\"content\":[\"DATA\"],\"destination\":\"arn:aws:s3:::b\",\"storageClass\":\"\#(site)\"}}"#
  return #"{"type":"put","bucket":"photos","key":"\#(key)","value":"\#(value)"}"#
}

/// What was logged, as text.
final class LogLines: Sendable {
  private let lines = Lock<[String]>([])
  func append(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }
  func contain(_ parts: String...) -> Bool { all.contains { line in parts.allSatisfy(line.contains) } }
}

struct LineHandler: LogHandler {
  let lines: LogLines
  var logLevel = Logger.Level.debug
  var metadata: Logger.Metadata = [:]
  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  init(lines: LogLines) { self.lines = lines }

  func log(event: LogEvent) {
    let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    lines.append("\(event.level) \(event.message) \(fields.joined(separator: " "))")
  }
}

extension WorkerLocation {
  /// What `LocationBench` serves, carried out by the test's own.
  static func east(_ make: @escaping @Sendable () -> any EntryReplicator) -> WorkerLocation {
    WorkerLocation(site: "east", kind: .replicator { (_) throws(WorkerLocationError) -> any EntryReplicator in make() })
  }
}

/// Entries whose key begins with `slow` wait until the gate is opened; the others are done at once.
final class Gate: Sendable {
  private let state = Lock<(isOpen: Bool, started: [String])>((false, []))
  var isOpen: Bool { state.withLock { $0.isOpen } }
  /// Keys in the order their tasks began.
  var started: [String] { state.withLock { $0.started } }
  func open() { state.withLock { $0.isOpen = true } }
  fileprivate func begin(_ key: String) { state.withLock { $0.started.append(key) } }

  var work: WorkerLocation { .east { GatedReplicator(gate: self) } }
}

private final class GatedReplicator: EntryReplicator {
  private let gate: Gate
  init(gate: Gate) { self.gate = gate }

  func replicate(_ entry: ReplicationEntry) async -> WorkResult {
    let key = entry.key
    gate.begin(key)
    while key.hasPrefix("slow"), !gate.isOpen {
      guard !Task.isCancelled else { return WorkResult(.abandoned) }
      await Reactor.current?.pause(for: .milliseconds(5))
    }
    return WorkResult(Task.isCancelled ? .abandoned : .done(bytes: 1))
  }
}

extension EmbeddedBroker {
  /// Of the first broker.
  var port: UInt16 { bootstrapServers.split(separator: ",").first?.split(separator: ":").last.flatMap { UInt16($0) } ?? 0 }
}
