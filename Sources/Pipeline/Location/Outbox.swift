// Messages this node must get onto Kafka before it may commit: dead letters and statuses. Each is kept until the broker
// has acknowledged it and sent again when it did not, for ever: the offset behind it waits, nothing is lost. When the
// outbox is full, locations take no further entries (`hasRoom`), so its size is bounded.
//
// One answer is final: too large. The broker says it of a whole batch, so each message of that is sent once more by a producer that
// sends each alone; refused there, it is shortened, and what cannot be shortened is named in the log and given up, for a pause, a
// stop and every offset behind it would wait for ever.
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
    let ended: (_ isDelivered: Bool) -> Void
    var attempts = 0
    /// A batch it was in was too large, which says nothing of any single one of it.
    var travelsAlone = false
    var byteCount: Int { (key?.count ?? 0) + (value?.count ?? 0) }

    /// - Returns: false if there is nothing left to take away.
    mutating func shorten() -> Bool { mayBeCut ? cut() : leaveOutParts() }

    /// Halves the value, or the key when that is the longer one.
    private mutating func cut() -> Bool {
      let (keyCount, valueCount) = (key?.count ?? 0, value?.count ?? 0)
      guard keyCount + valueCount > 0 else { return false }
      if valueCount >= keyCount { value?.removeLast(valueCount - valueCount / 2) } else { key?.removeLast(keyCount - keyCount / 2) }
      if !headers.contains(where: { $0.name == Outbox.truncated.name }) { headers.append(Outbox.truncated) }
      return true
    }

    /// A status says as much without them. No other entry does: who copies may need what it holds.
    private mutating func leaveOutParts() -> Bool {
      guard let entry, entry.envelopeSite != nil, let short = EntryEncoder.withoutParts(entry) else { return false }
      value = short
      return true
    }

    /// Nil if it is none.
    var entry: ReplicationEntry? {
      guard let value, case .replicate(let entry) = EntryDecoder.decode(value.span, site: nil) else { return nil }
      return entry
    }
  }

  /// Whose messages are kept only when they did not arrive.
  private struct Teller {
    let topic: String
    let ended: () -> Void
  }

  /// In the token of such a message, beside the number of its teller.
  private static let tellerMark: UInt64 = 1 << 63

  private static let truncated = (name: "truncated", value: Array("true".utf8))

  private let reactor: Reactor
  private let configuration: ProducerConfiguration
  private var producer: Producer!
  /// Made when a batch was too large for the first time.
  private var soloProducer: Producer?
  private var openProducers = 1
  private var closed: (() -> Void)?
  private let log: Logger
  private var messages: [UInt64: Message] = [:]
  private var byteCount = 0
  private var nextToken: UInt64 = 0
  private var tellers: [Teller] = []
  /// Messages that no broker will ever take, since the start.
  public private(set) var undeliverableCount: UInt64 = 0
  /// What the brokers answered, for metrics.
  public private(set) var deliveries = Deliveries()
  /// librdkafka's own figures of its main producer, of the last report; nil before the first.
  public private(set) var kafkaFigures: KafkaFigures?
  /// Called when there is room again after there was none.
  public var onRoom: (() -> Void)?
  /// Called when its producer is dead: nothing is acknowledged any more.
  public var onFatal: ((KafkaError) -> Void)?

  /// - Errors: properties librdkafka refuses.
  public init(reactor: Reactor, configuration: ProducerConfiguration, log: Logger) throws(KafkaError) {
    self.reactor = reactor
    self.configuration = configuration
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

  /// Sends until it is acknowledged, or is known to be too large for ever; then calls `ended` once, on T0.
  public func send(
    topic: String, key: [UInt8]?, value: [UInt8]?, headers: [(name: String, value: [UInt8])] = [],
    ended: @escaping (_ isDelivered: Bool) -> Void
  ) {
    add(Message(topic: topic, key: key, value: value, headers: headers, mayBeCut: false, ended: ended))
  }

  private func add(_ message: Message) {
    nextToken += 1
    messages[nextToken] = message
    byteCount += message.byteCount
    produce(nextToken, message)
  }

  public func send(_ message: OutgoingMessage, ended: @escaping (_ isDelivered: Bool) -> Void) {
    send(topic: message.topic, key: message.key, value: message.value, headers: message.headers, ended: ended)
  }

  /// Makes known who has many small messages: they are not kept here, which costs as much as sending them, unless they fail. They do
  /// not count for `hasRoom`: how many are under way is for the teller to bound.
  /// - Parameter ended: called for each, on T0.
  /// - Returns: for `tell`.
  public func addTeller(topic: String, ended: @escaping () -> Void) -> Int {
    tellers.append(Teller(topic: topic, ended: ended))
    return tellers.count - 1
  }

  public func tell(_ teller: Int, _ value: [UInt8]) {
    do throws(KafkaError) {
      try producer.produce(topic: tellers[teller].topic, key: [], value: value, token: Self.tellerMark | UInt64(teller))
    } catch {
      keep(tellers[teller], value, error)
    }
  }

  private func told(_ delivery: Delivery) {
    let teller = tellers[Int(delivery.token & ~Self.tellerMark)]
    guard let error = delivery.error else {
      deliveries.note(teller.topic, delivery.partition.value, at: reactor.now)
      return teller.ended()
    }
    deliveries.noteFailure()
    keep(teller, delivery.failedValue, error)
  }

  /// From here on it is a message like any other.
  private func keep(_ teller: Teller, _ value: [UInt8], _ error: KafkaError) {
    nextToken += 1
    messages[nextToken] = Message(topic: teller.topic, key: [], value: value, headers: [], mayBeCut: false, ended: { _ in teller.ended() })
    byteCount += value.count
    failed(nextToken, error)
  }

  /// Closes the producer; what is not acknowledged by then never calls back.
  public func close(_ completion: @escaping () -> Void) {
    messages.removeAll()
    closed = completion
    producer.close()
    soloProducer?.close()
  }

  func sendDeadLetter(
    _ message: consuming KafkaMessage, topic: String, reason: DeadLetterReason, ended: @escaping (_ isDelivered: Bool) -> Void
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
    add(Message(topic: topic, key: key, value: value, headers: headers, mayBeCut: true, ended: ended))
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
      let sender: Producer = if message.travelsAlone { try solo() } else { producer }
      try sender.produce(
        topic: message.topic, key: message.key, value: message.value, headers: message.headers, token: token)
    } catch {
      guard error.isTooLarge else { return retry(token, error) }
      // What the library itself does not take, it has not even put into a batch. Later, because who sends expects no answer yet.
      reactor.schedule(after: .zero) { [weak self] _ in self?.tooLarge(token, error, isFinal: true) }
    }
  }

  private func solo() throws(KafkaError) -> Producer {
    if let soloProducer { return soloProducer }
    var alone = configuration
    alone.sendsEachAlone = true
    let made = try Producer(alone, on: reactor, delegate: self)
    soloProducer = made
    openProducers += 1
    return made
  }

  private func failed(_ token: UInt64, _ error: KafkaError) {
    guard let message = messages[token] else { return }
    if error.isTooLarge { tooLarge(token, error, isFinal: message.travelsAlone) } else { retry(token, error) }
  }

  /// - Parameter isFinal: it was said of this message and no other.
  private func tooLarge(_ token: UInt64, _ error: KafkaError, isFinal: Bool) {
    guard var message = messages[token] else { return }
    let byteCountBefore = message.byteCount
    message.travelsAlone = true
    // Its limit counts key, headers and framing as well.
    if isFinal, !message.shorten() { return giveUp(token, message, error) }
    byteCount -= byteCountBefore - message.byteCount
    messages[token] = message
    reactor.schedule(after: .zero) { [weak self] _ in self?.produceAgain(token) }
  }

  private func produceAgain(_ token: UInt64) {
    if let message = messages[token] { produce(token, message) }
  }

  private func giveUp(_ token: UInt64, _ message: Message, _ error: KafkaError) {
    undeliverableCount += 1
    var metadata: Logger.Metadata = [
      "topic": "\(message.topic)", "bytes": "\(message.byteCount)", "error": "\(error)",
      "wayOut": "raise max.message.bytes of the topic, then resync or retry the object",
    ]
    if let entry = message.entry {
      metadata["bucket"] = "\(entry.bucket)"
      metadata["key"] = "\(entry.key)"
      metadata["versionId"] = "\(entry.encodedVersionId ?? "")"
      if let site = entry.envelopeSite { metadata["location"] = "\(site)" }
    } else {
      for header in message.headers { metadata["header-\(header.name)"] = "\(String(decoding: header.value, as: UTF8.self))" }
    }
    log.critical("a message is larger than the broker takes and was not written", metadata: metadata)
    end(token, in: nil)
  }

  private func retry(_ token: UInt64, _ error: KafkaError) {
    guard var message = messages[token] else { return }
    message.attempts += 1
    messages[token] = message
    // Once per message at the first failure, then rarely: a broker that is away fails thousands.
    if message.attempts == 1 || message.attempts % 100 == 0 {
      log.warning(
        "message not delivered, it will be sent again",
        metadata: ["topic": "\(message.topic)", "attempts": "\(message.attempts)", "error": "\(error)"])
    }
    let delay = min(Self.retryDelayMin * (1 << min(message.attempts, 6)), Self.retryDelayMax)
    reactor.schedule(after: delay) { [weak self] _ in self?.produceAgain(token) }
  }

  /// - Parameter partition: that has it; nil: none ever will.
  private func end(_ token: UInt64, in partition: Partition?) {
    let hadRoom = hasRoom
    guard let message = messages.removeValue(forKey: token) else { return }
    byteCount -= message.byteCount
    if let partition { deliveries.note(message.topic, partition.value, at: reactor.now) }
    message.ended(partition != nil)
    if !hadRoom, hasRoom { onRoom?() }
  }
}

extension Outbox: ProducerDelegate {
  public func producer(_ producer: Producer, delivered delivery: Delivery) {
    guard delivery.token & Self.tellerMark == 0 else { return told(delivery) }
    guard let error = delivery.error else { return end(delivery.token, in: delivery.partition) }
    deliveries.noteFailure()
    failed(delivery.token, error)
  }

  public func producer(_ producer: Producer, failed error: KafkaError) {
    log.error("producer", metadata: ["error": "\(error)"])
    if error.isFatal { onFatal?(error) }
  }

  public func producer(_ producer: Producer, logged line: KafkaLogLine) { log.librdkafka(line) }

  public func producer(_ producer: Producer, statistics json: String) {
    if producer === self.producer { kafkaFigures = KafkaFigures(statistics: json) }
  }

  public func producerDidClose(_ producer: Producer) {
    openProducers -= 1
    guard openProducers == 0 else { return }
    closed?()
    closed = nil
  }
}
