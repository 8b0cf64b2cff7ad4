// Topics as tests fill them from outside the daemon, on the thread of the test.
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

final class TopicSide: ProducerDelegate, ConsumerDelegate {
  private let reactor: Reactor
  private let properties: KafkaProperties
  private var producer: Producer!
  private var outstanding = 0
  private var commits: [CommitResult] = []
  private var isProducerClosed = false
  private var isConsumerClosed = false

  init(_ address: String) throws {
    reactor = try Reactor()
    properties = try KafkaProperties(bootstrapServers: address)
    var configuration = ProducerConfiguration(properties: properties)
    configuration.sendsEachAlone = true
    producer = try Producer(configuration, on: reactor, delegate: self)
  }

  func send(_ topic: String, key: [UInt8]? = nil, value: [UInt8], partition: Int32? = nil) throws {
    outstanding += 1
    try producer.produce(topic: topic, key: key, value: value, partition: partition.map { Partition($0) }, token: 0)
    #expect(reactor.runUntil(within: .seconds(30)) { outstanding == 0 })
  }

  /// The group must have no members.
  func commit(_ topic: String, group: String, partition: Int32, offset: Int64) throws {
    let consumer = try Consumer(ConsumerConfiguration(properties: properties, groupId: group, topic: topic), on: reactor, delegate: self)
    commits = []
    _ = try consumer.commit([(Partition(partition), Offset(offset))])
    #expect(reactor.runUntil(within: .seconds(30)) { commits.first?.isComplete == true }, "\(commits)")
    isConsumerClosed = false
    consumer.close()
    #expect(reactor.runUntil(within: .seconds(30)) { isConsumerClosed })
  }

  func close() {
    producer.close()
    #expect(reactor.runUntil(within: .seconds(30)) { isProducerClosed })
  }

  func producer(_ producer: Producer, delivered delivery: Delivery) {
    #expect(delivery.error == nil)
    outstanding -= 1
  }
  func producer(_ producer: Producer, failed error: KafkaError) {}
  func producerDidClose(_ producer: Producer) { isProducerClosed = true }

  func consumerMayTake(_ consumer: Consumer) -> Int { 0 }
  func consumer(_ consumer: Consumer, received message: consuming KafkaMessage) { _ = message.offset }
  func consumer(_ consumer: Consumer, assigned partitions: [Partition], generation: UInt32) {}
  func consumer(_ consumer: Consumer, revoked partitions: [Partition], generation: UInt32, isLost: Bool) {}
  func consumer(_ consumer: Consumer, committed result: CommitResult) { commits.append(result) }
  func consumer(_ consumer: Consumer, skipped gap: OffsetGap) {}
  func consumer(_ consumer: Consumer, failed error: KafkaError) {}
  func consumerDidClose(_ consumer: Consumer) { isConsumerClosed = true }
}
