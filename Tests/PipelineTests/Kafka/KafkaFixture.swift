// A broker, and owners of consumers and producers that write down everything they are told.
import PipelineCore
import Reactor
import TestSupport

@testable import Pipeline

/// A reactor of the calling thread and a broker to talk to. Not Sendable: one test, one thread.
final class KafkaFixture {
  let reactor: Reactor
  let broker: EmbeddedBroker
  let properties: KafkaProperties
  /// Kept, because a new producer may take a second to learn of its topic.
  private var filler: ProducerOwner?

  init(_ topics: [EmbeddedBroker.Topic], brokers: Int = 1, user: [String: String] = [:]) throws {
    reactor = try Reactor(name: "kafka-test")
    broker = try EmbeddedBroker(topics: topics, brokers: brokers)
    // Short times, so that failures are noticed and groups formed soon; but the mock expels a member whose session is
    // shorter than the 3 s of a first join.
    let short = ["reconnect.backoff.max.ms": "200", "session.timeout.ms": "4000", "heartbeat.interval.ms": "200"]
    let user = short.merging(user) { $1 }
    properties = try KafkaProperties(bootstrapServers: broker.bootstrapServers, user: user)
  }

  func configuration(group: String = "g", topic: String = "t", standalone partitions: Int? = nil) -> ConsumerConfiguration {
    var configuration = ConsumerConfiguration(properties: properties, groupId: group, topic: topic)
    configuration.fetchWaitMs = 20
    if let partitions { configuration.membership = .standalone(partitions: partitions) }
    return configuration
  }

  /// Turns the loop until `condition` holds.
  func wait(_ seconds: Int = 20, for condition: () -> Bool) -> Bool {
    reactor.runUntil(within: .seconds(seconds), condition)
  }

  /// Turns the loop for a while: to see that something does not happen.
  func spin(_ milliseconds: Int) { _ = reactor.runUntil(within: .milliseconds(milliseconds)) { false } }

  /// Puts `count` values, the decimal numbers from `first`, into the partition and waits until they are there.
  func fill(_ count: Int, from first: Int = 0, topic: String = "t", partition: Int32 = 0, bytes: Int = 0) throws {
    let owner = try filler ?? ProducerOwner(ProducerConfiguration(properties: properties), reactor)
    filler = owner
    owner.deliveries = []
    for number in first..<first + count {
      var value = Array(String(number).utf8)
      if bytes > value.count { value += [UInt8](repeating: 32, count: bytes - value.count) }
      try owner.producer.produce(
        topic: topic, key: Array("k\(number)".utf8), value: value, partition: Partition(partition), token: UInt64(number))
    }
    guard wait(30, for: { owner.deliveries.count == count }) else { throw KafkaError(.timedOut, call: "fill") }
    if let failed = owner.deliveries.first(where: { $0.error != nil })?.error { throw failed }
  }
}

final class ProducerOwner: ProducerDelegate {
  private(set) var producer: Producer!
  var deliveries: [Delivery] = []
  var errors: [KafkaError] = []
  var lines: [KafkaLogLine] = []
  var roomCount = 0
  var isClosed = false

  init(_ configuration: ProducerConfiguration, _ reactor: Reactor) throws {
    producer = try Producer(configuration, on: reactor, delegate: self)
  }

  func producer(_ producer: Producer, delivered delivery: Delivery) { deliveries.append(delivery) }
  func producerHasRoom(_ producer: Producer) { roomCount += 1 }
  func producer(_ producer: Producer, failed error: KafkaError) { errors.append(error) }
  func producer(_ producer: Producer, logged line: KafkaLogLine) { lines.append(line) }
  func producerDidClose(_ producer: Producer) { isClosed = true }
}

/// Answers rebalances at once unless told not to, and keeps every message's place and number.
final class ConsumerOwner: ConsumerDelegate {
  struct Taken: Hashable {
    var partition: Int32
    var offset: Int64
    var number: Int
  }

  private(set) var consumer: Consumer!
  var credit = Int.max
  var taken: [Taken] = []
  /// Called for each message; the message is kept if it is put into `held`.
  var holdsMessages = false
  /// Ends the turn, and gives no more room, when so many have been taken.
  var endsTurnAfter: Int?
  var held: [MessageBox] = []
  var answersAssigned = true
  var answersRevoked = true
  var pausedAtAssign: [Partition] = []
  var assigned: [(partitions: [Partition], generation: UInt32)] = []
  var revoked: [(partitions: [Partition], generation: UInt32, isLost: Bool)] = []
  var leftCount = 0
  var commits: [CommitResult] = []
  var gaps: [OffsetGap] = []
  var errors: [KafkaError] = []
  var lines: [KafkaLogLine] = []
  var statistics: [String] = []
  var isClosed = false

  init(_ configuration: ConsumerConfiguration, _ reactor: Reactor) throws {
    consumer = try Consumer(configuration, on: reactor, delegate: self)
  }

  /// Lets go of the consumer without closing it.
  func forget() { consumer = nil }

  var numbers: [Int] { taken.map(\.number) }

  func consumerMayTake(_ consumer: Consumer) -> Int { credit }

  func consumer(_ consumer: Consumer, received message: consuming KafkaMessage) {
    if credit != .max { credit -= 1 }
    let text = message.withPayload { bytes in
      String(decoding: (0..<bytes.count).map { bytes[$0] }.prefix { $0 != 32 }, as: UTF8.self)
    }
    taken.append(Taken(partition: message.partition.value, offset: message.offset.value, number: Int(text) ?? -1))
    if let endsTurnAfter, taken.count >= endsTurnAfter {
      credit = 0
      consumer.endTurn()
    }
    if holdsMessages { held.append(MessageBox(message)) }
  }

  func consumer(_ consumer: Consumer, assigned partitions: [Partition], generation: UInt32) {
    assigned.append((partitions, generation))
    if answersAssigned { consumer.assign(generation, paused: pausedAtAssign) }
  }

  func consumer(_ consumer: Consumer, revoked partitions: [Partition], generation: UInt32, isLost: Bool) {
    revoked.append((partitions, generation, isLost))
    if answersRevoked { consumer.unassign(generation) }
  }

  func consumerLeftGroup(_ consumer: Consumer) { leftCount += 1 }
  func consumer(_ consumer: Consumer, committed result: CommitResult) { commits.append(result) }
  func consumer(_ consumer: Consumer, skipped gap: OffsetGap) { gaps.append(gap) }
  func consumer(_ consumer: Consumer, failed error: KafkaError) { errors.append(error) }
  func consumer(_ consumer: Consumer, logged line: KafkaLogLine) { lines.append(line) }
  func consumer(_ consumer: Consumer, statistics json: String) { statistics.append(json) }
  func consumerDidClose(_ consumer: Consumer) { isClosed = true }

  /// Commits "next to read" of what was taken of the partition and waits for the answer.
  func commitAll(_ fixture: KafkaFixture, partitions: [Int32] = [0]) throws -> Bool {
    let offsets = partitions.compactMap { partition -> (partition: Partition, offset: Offset)? in
      guard let last = taken.last(where: { $0.partition == partition }) else { return nil }
      return (Partition(partition), Offset(last.offset + 1))
    }
    let token = try consumer.commit(offsets)
    return fixture.wait { commits.contains { $0.token == token } } && commits.last!.isComplete
  }

  /// The same for all partitions assigned; false also if it was refused at once.
  func commitSucceeds(_ fixture: KafkaFixture) -> Bool {
    do { return try commitAll(fixture, partitions: consumer.partitions.map(\.value)) } catch { return false }
  }

  func close(_ fixture: KafkaFixture) -> Bool {
    consumer.close()
    return fixture.wait { isClosed }
  }
}

/// Arrays cannot hold ~Copyable values.
final class MessageBox: Sendable {
  let message: KafkaMessage
  init(_ message: consuming KafkaMessage) { self.message = message }
}
