// Embedded mode's source of entries: joins the populator (its lister thread) to a producer of its own on T0 and to what
// each location has consumed. A location's enqueuer runs exactly while the location should: a paused one stops, and lists
// again after the resume.
internal import Logging
internal import Pipeline
internal import PipelineCore
internal import Reactor

final class EmbeddedFeed {
  let populator: EmbeddedPopulator
  private let reactor: Reactor
  private let port: EnqueuePort
  private let topics: [String]
  private let indexes: [String: Int]
  private let sender: FeedSender
  private let log: Logger
  private var isRunning: [Bool]
  /// What the broker answered, for metrics: in all, and for each location.
  private(set) var deliveries = Deliveries()
  private var published: [PublishCounters]
  /// What the lister has to say; on T0.
  var onEvent: ((PopulatorEvent) -> Void)?

  /// - Parameter configuration: its locations start paused; `locationBecame` starts them.
  /// - Blocking: a few system calls, and librdkafka's threads.
  init(
    _ configuration: EmbeddedPopulator.Configuration, topics: [String], properties: KafkaProperties, reactor: Reactor, log: Logger
  ) throws(NodeFailure) {
    self.reactor = reactor
    self.topics = topics
    self.log = log
    var producerConfiguration = ProducerConfiguration(properties: properties)
    // The window bounds what is on its way; one batch an entry would fill the broker's batch count.
    producerConfiguration.lingerMs = 2
    do throws(Errno) { populator = try EmbeddedPopulator(configuration) } catch { throw NodeFailure("source: \(error)") }
    do throws(KafkaError) {
      sender = try FeedSender(producerConfiguration, reactor: reactor, log: log)
    } catch {
      throw NodeFailure("producer of the populator: \(error)")
    }
    let sender = self.sender
    port = EnqueuePort(
      populator: populator, partitionCounts: configuration.locations.map(\.partitionCount)
    ) { item, token in sender.send(item, topic: topics[Int(item.location)], token: token) }
    indexes = Dictionary(
      uniqueKeysWithValues: configuration.locations.enumerated().map { ($0.element.site, $0.offset) })
    isRunning = configuration.locations.map { !$0.isPaused }
    published = configuration.locations.map { _ in PublishCounters() }
    sender.delivered = { [unowned self] token, offset in delivered(token, offset) }
    sender.hasRoom = { [unowned self] in port.pump() }
    port.start(on: reactor) { [unowned self] _, event in received(event) }
  }

  /// The location's desired or effective state changed.
  func location(_ site: String, shouldRun: Bool) {
    guard let index = indexes[site], isRunning[index] != shouldRun else { return }
    isRunning[index] = shouldRun
    if shouldRun { populator.resume(location: index) } else { populator.pause(location: index) }
  }

  /// The location's consumer is done with everything below `offset`.
  func location(_ site: String, consumedUpTo offset: Offset, of partition: Partition) {
    guard let index = indexes[site] else { return }
    port.committed(location: index, partition: partition.value, next: offset.value)
  }

  func requeue(bucket: String, key: String, site: String) -> Bool {
    guard let index = indexes[site] else { return false }
    return populator.requeue(Pipeline.ObjectName(bucket: bucket, key: key), location: index)
  }

  private func delivered(_ token: UInt64, _ offset: Int64?) {
    let (location, partition) = port.delivered(token: token, offset: offset)
    if offset == nil {
      deliveries.noteFailure()
      published[location].failed += 1
    } else {
      deliveries.note(topics[location], partition, at: reactor.now)
      published[location].succeeded += 1
    }
  }

  func status(of site: String) -> PopulatorStatus? { indexes[site].map { populator.statuses[$0] } }
  func published(for site: String) -> PublishCounters? { indexes[site].map { published[$0] } }
  func index(of site: String) -> Int? { indexes[site] }

  /// - Blocking: until the lister's present turn is over.
  func stop(_ completion: @escaping () -> Void) {
    populator.stop()
    port.stop(on: reactor)
    sender.close(completion)
  }

  private func received(_ event: PopulatorEvent) {
    switch event {
    // Also where only warnings are shown, as in quickstart.
    case .note(let text): log.warning("populator", metadata: ["note": "\(text)"])
    case .unable(let text): log.critical("populator cannot work", metadata: ["error": "\(text)"])
    case .failed, .listed: break
    }
    onEvent?(event)
  }
}

/// Entries of a location that the broker took, and that it did not.
struct PublishCounters {
  var succeeded: UInt64 = 0
  var failed: UInt64 = 0
}

/// The populator's producer, and what it answers.
final class FeedSender: ProducerDelegate {
  private var producer: Producer!
  private let log: Logger
  private var closed: (() -> Void)?
  var delivered: ((_ token: UInt64, _ offset: Int64?) -> Void)?
  var hasRoom: (() -> Void)?

  init(_ configuration: ProducerConfiguration, reactor: Reactor, log: Logger) throws(KafkaError) {
    self.log = log
    producer = try Producer(configuration, on: reactor, delegate: self)
  }

  /// - Returns: false when the producer's queue is full; `hasRoom` says when to try again.
  func send(_ item: EnqueueItem, topic: String, token: UInt64) -> Bool {
    do throws(KafkaError) {
      try producer.produce(topic: topic, key: item.key, value: item.value, partition: Partition(item.partition), token: token)
      return true
    } catch {
      if error.code == .queueFull { return false }
      // Never got into the queue: as a delivery that failed, so that the location lists again.
      log.error("entry not enqueued", metadata: ["topic": "\(topic)", "error": "\(error)"])
      delivered?(token, nil)
      return true
    }
  }

  func close(_ completion: @escaping () -> Void) {
    closed = completion
    producer.close()
  }

  func producer(_ producer: Producer, delivered delivery: Delivery) {
    if let error = delivery.error { log.warning("entry not delivered", metadata: ["error": "\(error)"]) }
    delivered?(delivery.token, delivery.error == nil ? delivery.offset.value : nil)
  }

  func producerHasRoom(_ producer: Producer) { hasRoom?() }

  func producer(_ producer: Producer, failed error: KafkaError) {
    log.log(level: error.isRetriable ? .debug : .warning, "producer of the populator", metadata: ["error": "\(error)"])
  }

  func producerDidClose(_ producer: Producer) {
    closed?()
    closed = nil
  }
}
