// Topics on an embedded broker, a `file` source in a temporary directory, the status processor between them, driven on the
// test's thread.
import CLinux
import Glibc
import Logging
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

final class StatusBench: LocationObserver, ProducerDelegate {
  static let topics = (status: "status", failed: "failed", metrics: "metrics", replay: "replay-a", entries: "entries", dead: "dead")
  let reactor: Reactor
  let broker: EmbeddedBroker
  let pool: WorkerPool
  let outbox: Outbox
  let source = TemporaryDirectory()
  let target = TemporaryDirectory()
  let counters = StatusCounters()
  let properties: KafkaProperties
  let statuses: FileSourceStatus
  var controllers: [LocationController] = []
  /// Every "next to read" that became known, with the messages the broker had not acknowledged at that moment.
  private(set) var consumed: [(offset: Int64, unacknowledged: Int)] = []
  private var stoppedCount = 0
  private var producer: Producer!
  private var delivered = 0
  private var enqueued = 0
  private var readers: [TopicReader] = []

  static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

  init() throws {
    reactor = try Reactor()
    let names = [Self.topics.status, Self.topics.failed, Self.topics.metrics, Self.topics.replay, Self.topics.entries, Self.topics.dead]
    broker = try EmbeddedBroker(topics: names.map { .init($0) })
    pool = try WorkerPool(reactor: reactor, workers: 2)
    properties = try KafkaProperties(bootstrapServers: broker.bootstrapServers)
    outbox = try Outbox(reactor: reactor, configuration: ProducerConfiguration(properties: properties), log: Self.silent)
    _ = mkdir(source.path + "/photos", 0o755)
    let location = try FileLocation.openSource(source.path, layout: .source, note: { _ in })
    statuses = FileSourceStatus(location: location, fallbackDirectory: source.path + "-fallback", note: { _ in })
    producer = try Producer(ProducerConfiguration(properties: properties), on: reactor, delegate: self)
  }

  func startStatusProcessor(replay: [(name: String, retries: Int)] = []) throws {
    let (statuses, counters) = (self.statuses, self.counters)
    let work = WorkerLocation(
      site: "status-processor",
      kind: .processor { _ in
        StatusUpdater(
          store: FileStatusStore(statuses), plan: ReplayPlan(replay), topics: .init(failed: Self.topics.failed, metrics: Self.topics.metrics),
          policy: RetryPolicy(delayMin: .milliseconds(10), delayMax: .milliseconds(50)), counters: counters)
      })
    try start("status-processor", topic: Self.topics.status, work)
  }

  func start(_ site: String, topic: String, _ work: WorkerLocation) throws {
    var consumer = ConsumerConfiguration(properties: properties, groupId: "group-\(site)", topic: topic)
    consumer.membership = .standalone(partitions: 1)
    consumer.fetchWaitMs = EmbeddedBroker.fetchWaitMsMax
    var options = LocationOptions(
      site: site, limits: .init(), pauseMode: .hold, consumer: consumer, work: work, deadLetterTopic: Self.topics.dead)
    options.commitInterval = .milliseconds(20)
    let controller = try LocationController(reactor: reactor, pool: pool, outbox: outbox, options: options, log: Self.silent)
    controller.observer = self
    controllers.append(controller)
    controller.desiredChanged(paused: false, version: StateVersion(epoch: 1, number: 0))
  }

  /// An entry of `photos/<key>` as the populator writes it.
  func entry(_ key: String, sites: [String] = ["east", "west"], size: Int64 = 0, isDeleteMarker: Bool = false) -> ReplicationEntry {
    var record = ObjectRecord(bucket: "photos", key: key, versionId: nil, lastModified: "2031-02-03T04:05:06.789Z", sites: sites)
    record.contentLength = size
    record.isDeleteMarker = isDeleteMarker
    guard case .replicate(let entry) = EntryDecoder.decode(EntryEncoder.populated(record).span, site: nil) else {
      preconditionFailure("our own entries decode")
    }
    return entry
  }

  func report(
    _ entry: ReplicationEntry, _ site: String, _ status: ReplicationStatus, headers: [(name: String, value: [UInt8])] = []
  ) throws {
    try produce(
      Self.topics.status, EntryEncoder.messageKey(bucket: entry.bucket, key: entry.key),
      EntryEncoder.republished(entry, as: .status(site: site, status, versionId: nil)), headers)
  }

  func produce(_ topic: String, _ key: [UInt8], _ value: [UInt8], _ headers: [(name: String, value: [UInt8])] = []) throws {
    let before = delivered
    enqueued += 1
    try producer.produce(topic: topic, key: key, value: value, headers: headers, token: 1)
    #expect(runUntil { delivered > before })
  }

  /// Sends an entry without waiting for the broker: see `isDelivered`.
  func enqueue(_ entry: ReplicationEntry) {
    do throws(KafkaError) {
      try producer.produce(
        topic: Self.topics.entries, key: EntryEncoder.messageKey(bucket: entry.bucket, key: entry.key), value: entry.payload, headers: [],
        token: 1)
      enqueued += 1
    } catch {
      Issue.record("\(error)")
    }
  }

  var isDelivered: Bool { delivered >= enqueued }

  /// Everything that is in a topic from now on; call it once for each topic.
  func read(_ topic: String) throws -> TopicReader {
    let reader = try TopicReader(topic, properties, reactor)
    readers.append(reader)
    return reader
  }

  func write(_ key: String, _ text: String) throws { try writeFile("\(source.path)/photos/\(key)", text) }
  func write(_ key: String, _ bytes: [UInt8]) throws { try writeFile("\(source.path)/photos/\(key)", bytes) }

  func attribute(_ key: String, _ name: String) -> String? { extendedAttribute("user.\(name)", of: "\(source.path)/photos/\(key)") }

  func runUntil(_ condition: () -> Bool) -> Bool { reactor.runUntil(within: .seconds(60), condition) }

  func end() {
    for controller in controllers { controller.stop() }
    #expect(runUntil { stoppedCount == controllers.count })
    for reader in readers { reader.consumer.close() }
    #expect(runUntil { readers.allSatisfy { $0.isClosed } })
    var isClosed = false
    outbox.close { isClosed = true }
    producer.close()
    #expect(runUntil { isClosed })
    pool.stop()
  }

  func locationReports(_ location: LocationController) {}
  func location(_ location: LocationController, failed failure: ReplicationFailure) {}
  func locationIsDraining(_ location: LocationController) {}
  func location(_ location: LocationController, consumedUpTo offset: Offset, of partition: Partition) {
    consumed.append((offset.value, outbox.count))
  }
  func location(_ location: LocationController, cannotGoOn error: KafkaError) { Issue.record("\(error)") }
  func locationDidStop(_ location: LocationController) { stoppedCount += 1 }
  func producer(_ producer: Producer, delivered delivery: Delivery) { delivered += delivery.error == nil ? 1 : 0 }
  func producer(_ producer: Producer, failed error: KafkaError) { Issue.record("\(error)") }
  func producerDidClose(_ producer: Producer) {}
}

/// Keeps all messages of a topic.
final class TopicReader: ConsumerDelegate {
  struct Message {
    var key: String
    var value: [UInt8]
    var reason: String?
    var attempts: String?
    var text: String { String(decoding: value, as: UTF8.self) }
  }

  private(set) var consumer: Consumer!
  var messages: [Message] = []
  var isClosed = false

  init(_ topic: String, _ properties: KafkaProperties, _ reactor: Reactor) throws {
    var configuration = ConsumerConfiguration(properties: properties, groupId: "reader-\(topic)", topic: topic)
    configuration.membership = .standalone(partitions: 1)
    configuration.fetchWaitMs = EmbeddedBroker.fetchWaitMsMax
    consumer = try Consumer(configuration, on: reactor, delegate: self)
    try consumer.subscribe()
  }

  func consumerMayTake(_ consumer: Consumer) -> Int { 1_000 }
  func consumer(_ consumer: Consumer, received message: consuming KafkaMessage) {
    let copy = { (bytes: Span<UInt8>) in (0..<bytes.count).map { bytes[$0] } }
    messages.append(
      Message(
        key: String(decoding: message.withKey(copy), as: UTF8.self), value: message.withPayload(copy),
        reason: message.header("downbeat-reason").map { String(decoding: $0, as: UTF8.self) },
        attempts: message.header("downbeat-attempts").map { String(decoding: $0, as: UTF8.self) }))
  }
  func consumer(_ consumer: Consumer, assigned partitions: [Partition], generation: UInt32) { consumer.assign(generation, paused: []) }
  func consumer(_ consumer: Consumer, revoked partitions: [Partition], generation: UInt32, isLost: Bool) { consumer.unassign(generation) }
  func consumer(_ consumer: Consumer, committed result: CommitResult) {}
  func consumer(_ consumer: Consumer, skipped gap: OffsetGap) {}
  func consumer(_ consumer: Consumer, failed error: KafkaError) {}
  func consumerDidClose(_ consumer: Consumer) { isClosed = true }
}
