// What a producer is made from, and what its owner is told.
public import PipelineCore

public struct ProducerConfiguration: Sendable {
  public var properties: KafkaProperties
  public var clientId = "downbeat"
  /// Messages accepted and not yet acknowledged; a further one is refused with `.queueFull`.
  public var countMax = 100_000
  /// The same bound in bytes, KiB.
  public var queuedKiBMax = 65_536
  /// How long a message waits for others to travel with, milliseconds. librdkafka sends a request for each partition, one at
  /// a time to a broker: at 10 ms a copied object cost its thread, the broker and the first thread 4 µs of CPU more, at 5 ms 13 µs
  /// more again, and at 1 ms 12 µs more than that (perf, scenario copy).
  public var lingerMs = 20
  /// Each message travels in a batch of its own, so that what a broker says of a batch is said of it alone.
  public var sendsEachAlone = false
  /// After this long a message that no broker took is reported as failed, milliseconds.
  public var messageTimeoutMs = 60_000

  /// How often `ProducerDelegate.producer(_:statistics:)` is called; zero: never. Each is about 1 KB a partition of its topics.
  public var statisticsInterval = Duration.zero

  public init(properties: KafkaProperties) { self.properties = properties }

  func conf() throws(KafkaPropertyError) -> KafkaConf {
    let defaults: [(String, String)] = [
      ("linger.ms", String(lingerMs)),
      ("message.timeout.ms", String(messageTimeoutMs)),
      // Backbeat's maxRequestSize.
      ("message.max.bytes", "5000020"),
      ("statistics.interval.ms", String(statisticsInterval.components.seconds * 1_000)),
    ]
    var forced: [(String, String)] = [
      ("queue.buffering.max.messages", String(countMax)),
      ("queue.buffering.max.kbytes", String(queuedKiBMax)),
      // One request at a time keeps the order of a partition through retries (`KafkaProperties.requiredValues`).
      ("acks", "all"),
      ("max.in.flight.requests.per.connection", "1"),
      ("enable.idempotence", "false"),
    ]
    if sendsEachAlone { forced += [("batch.num.messages", "1"), ("linger.ms", "0")] }
    return try properties.conf(clientId: clientId, defaults: defaults, forced: forced)
  }
}

/// What became of one message.
public struct Delivery: Sendable {
  /// As given to `Producer.produce`.
  public let token: UInt64
  public let partition: Partition
  /// Where the broker put it; meaningless with an error.
  public let offset: Offset
  /// nil: on the disks of all replicas in sync (`acks`). Otherwise it may be there or not.
  public let error: KafkaError?
  /// Of a message with an error; else empty.
  public let failedValue: [UInt8]
}

/// Called on the reactor's thread from inside the producer's turn; may call the producer back.
public protocol ProducerDelegate: AnyObject {
  /// Once for each accepted message.
  func producer(_ producer: Producer, delivered delivery: Delivery)
  /// After a `.queueFull`: half of the bound is free again.
  func producerHasRoom(_ producer: Producer)
  /// Something worth a log line and perhaps a metric. Only `isFatal` needs an answer: it sends nothing any more.
  func producer(_ producer: Producer, failed error: KafkaError)
  /// A line of librdkafka's own log.
  func producer(_ producer: Producer, logged line: KafkaLogLine)
  /// librdkafka's statistics (JSON, its STATISTICS.md), every `statisticsInterval` if that is not zero.
  func producer(_ producer: Producer, statistics json: String)
  /// After `Producer.close()`: every accepted message has been reported, no call follows.
  func producerDidClose(_ producer: Producer)
}

extension ProducerDelegate {
  public func producerHasRoom(_ producer: Producer) {}
  public func producer(_ producer: Producer, logged line: KafkaLogLine) {}
  public func producer(_ producer: Producer, statistics json: String) {}
}
