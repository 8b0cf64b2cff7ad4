// Messages this node must get onto Kafka before it may commit: dead letters and statuses. Each is kept until the broker
// has acknowledged it and sent again when it did not, for ever: the offset behind it waits, nothing is lost. When the
// outbox is full, locations take no further entries (`hasRoom`), so its size is bounded.
public import Logging
internal import PipelineCore
public import Reactor

public final class Outbox {
  /// Messages sent and not acknowledged.
  public static let messagesMax = 10_000
  /// Their bytes. One message more may be taken when it is almost reached.
  public static let bytesMax = 64 << 20
  /// Of a dead letter's value; a longer one is cut and says so in a header.
  public static let deadLetterValueMax = 1 << 20
  static let retryDelayMin = Duration.milliseconds(200)
  static let retryDelayMax = Duration.seconds(10)

  private struct Message {
    let topic: String
    var key: [UInt8]?
    var value: [UInt8]?
    var headers: [(name: String, value: [UInt8])]
    /// A dead letter: rather cut than never delivered.
    let mayBeCut: Bool
    let acknowledged: () -> Void
    var attempts = 0
    var byteCount: Int { (key?.count ?? 0) + (value?.count ?? 0) }

    /// Halves the value, or the key when that is the longer one. - Returns: false if there is nothing left to cut.
    mutating func cut() -> Bool {
      let (keyCount, valueCount) = (key?.count ?? 0, value?.count ?? 0)
      guard mayBeCut, keyCount + valueCount > 0 else { return false }
      if valueCount >= keyCount { value?.removeLast(valueCount - valueCount / 2) } else { key?.removeLast(keyCount - keyCount / 2) }
      if !headers.contains(where: { $0.name == Outbox.truncated.name }) { headers.append(Outbox.truncated) }
      return true
    }
  }

  private static let truncated = (name: "truncated", value: Array("true".utf8))

  private let reactor: Reactor
  private var producer: Producer!
  private var closed: (() -> Void)?
  private let log: Logger
  private var messages: [UInt64: Message] = [:]
  private var byteCount = 0
  private var nextToken: UInt64 = 0
  /// Called when there is room again after there was none.
  public var onRoom: (() -> Void)?
  /// Called when its producer is dead: nothing is acknowledged any more.
  public var onFatal: ((KafkaError) -> Void)?

  /// - Errors: properties librdkafka refuses.
  public init(reactor: Reactor, configuration: ProducerConfiguration, log: Logger) throws(KafkaError) {
    self.reactor = reactor
    self.log = log
    producer = try Producer(configuration, on: reactor, delegate: self)
  }

  public var hasRoom: Bool { messages.count < Self.messagesMax && byteCount < Self.bytesMax }
  /// Messages not acknowledged yet.
  public var count: Int { messages.count }

  /// Asks the brokers for the partitions of a topic (`Producer.describe`).
  public func describe(_ topic: String, _ reply: @escaping (Result<[PartitionReplicas]?, KafkaError>) -> Void) {
    producer.describe(topic, reply)
  }

  /// Sends until it is acknowledged, then calls `acknowledged` once, on T0.
  public func send(
    topic: String, key: [UInt8]?, value: [UInt8]?, headers: [(name: String, value: [UInt8])] = [],
    acknowledged: @escaping () -> Void
  ) {
    add(Message(topic: topic, key: key, value: value, headers: headers, mayBeCut: false, acknowledged: acknowledged))
  }

  private func add(_ message: Message) {
    nextToken += 1
    messages[nextToken] = message
    byteCount += message.byteCount
    produce(nextToken, message)
  }

  public func send(_ message: OutgoingMessage, acknowledged: @escaping () -> Void) {
    send(topic: message.topic, key: message.key, value: message.value, headers: message.headers, acknowledged: acknowledged)
  }

  /// Closes the producer; what is not acknowledged by then never calls back.
  public func close(_ completion: @escaping () -> Void) {
    messages.removeAll()
    closed = completion
    producer.close()
  }

  func sendDeadLetter(
    _ message: consuming KafkaMessage, topic: String, reason: DeadLetterReason, acknowledged: @escaping () -> Void
  ) {
    let isCut = message.payloadCount > Self.deadLetterValueMax
    var headers: [(name: String, value: [UInt8])] = [
      ("topic", Array(message.topic.utf8)),
      ("partition", Array("\(message.partition)".utf8)),
      ("offset", Array("\(message.offset)".utf8)),
      ("timestamp", Array("\(message.timestampMs ?? -1)".utf8)),
      ("reason", Array(reason.code.utf8)),
    ]
    if isCut { headers.append(Self.truncated) }
    // None is not the same as an empty one: who reads the dead letters must see what was sent.
    let value = message.hasPayload ? message.withPayload { Self.copy($0, countMax: Self.deadLetterValueMax) } : nil
    let key = message.hasKey ? message.withKey { Self.copy($0, countMax: Self.deadLetterValueMax) } : nil
    add(Message(topic: topic, key: key, value: value, headers: headers, mayBeCut: true, acknowledged: acknowledged))
  }

  private static func copy(_ bytes: Span<UInt8>, countMax: Int) -> [UInt8] {
    let count = min(bytes.count, countMax)
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      for index in 0..<count { buffer[index] = bytes[index] }
      initialized = count
    }
  }

  private func produce(_ token: UInt64, _ message: Message) {
    do throws(KafkaError) {
      try producer.produce(
        topic: message.topic, key: message.key, value: message.value, headers: message.headers, token: token)
    } catch {
      retry(token, error)
    }
  }

  private func retry(_ token: UInt64, _ error: KafkaError) {
    guard var message = messages[token] else { return }
    let byteCountBefore = message.byteCount
    if error.code == .messageTooLarge, message.cut() {
      // The broker takes less than a dead letter may hold: its limit counts key, headers and framing as well.
      byteCount -= byteCountBefore - message.byteCount
      messages[token] = message
      reactor.schedule(after: .zero) { [weak self] _ in self?.produce(token, message) }
      return
    }
    message.attempts += 1
    messages[token] = message
    // Once per message at the first failure, then rarely: a broker that is away fails thousands.
    if message.attempts == 1 || message.attempts % 100 == 0 {
      log.warning(
        "message not delivered, it will be sent again",
        metadata: ["topic": "\(message.topic)", "attempts": "\(message.attempts)", "error": "\(error)"])
    }
    let delay = min(Self.retryDelayMin * (1 << min(message.attempts, 6)), Self.retryDelayMax)
    reactor.schedule(after: delay) { [weak self] _ in
      guard let self, let message = self.messages[token] else { return }
      self.produce(token, message)
    }
  }

  fileprivate func acknowledged(_ token: UInt64) {
    let hadRoom = hasRoom
    guard let message = messages.removeValue(forKey: token) else { return }
    byteCount -= message.byteCount
    message.acknowledged()
    if !hadRoom, hasRoom { onRoom?() }
  }
}

extension Outbox: ProducerDelegate {
  public func producer(_ producer: Producer, delivered delivery: Delivery) {
    if let error = delivery.error { retry(delivery.token, error) } else { acknowledged(delivery.token) }
  }

  public func producer(_ producer: Producer, failed error: KafkaError) {
    log.error("producer", metadata: ["error": "\(error)"])
    if error.isFatal { onFatal?(error) }
  }

  public func producer(_ producer: Producer, logged line: KafkaLogLine) { log.librdkafka(line) }

  public func producerDidClose(_ producer: Producer) {
    closed?()
    closed = nil
  }
}
