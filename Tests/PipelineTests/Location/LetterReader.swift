// What a location wrote to a topic, as a reader of that topic sees it.
import PipelineCore
import Reactor
import Testing

@testable import Pipeline

final class LetterReader: ConsumerDelegate {
  struct Letter {
    var key: [UInt8]?
    var value: [UInt8]?
    var headers: [String: String] = [:]
  }

  private static let headerNames = ["topic", "partition", "offset", "timestamp", "reason", "truncated"]
  private(set) var letters: [Letter] = []
  private(set) var isClosed = false
  private var consumer: Consumer!

  init(_ bench: LocationBench, topic: String, partitions: Int = 1) throws {
    var configuration = ConsumerConfiguration(properties: bench.properties, groupId: "reader", topic: topic)
    configuration.membership = .standalone(partitions: partitions)
    configuration.fetchWaitMs = EmbeddedBroker.fetchWaitMsMax
    consumer = try Consumer(configuration, on: bench.reactor, delegate: self)
    try consumer.subscribe()
  }

  func close() { consumer.close() }

  func consumerMayTake(_ consumer: Consumer) -> Int { 100 }
  func consumer(_ consumer: Consumer, received message: consuming KafkaMessage) {
    var letter = Letter()
    if message.hasKey { letter.key = message.withKey { bytes in (0..<bytes.count).map { bytes[$0] } } }
    if message.hasPayload {
      letter.value = message.withPayload { unsafeBytes in unsafeBytes.withUnsafeBufferPointer { Array($0) } }
    }
    for name in Self.headerNames {
      if let value = message.header(name) { letter.headers[name] = String(decoding: value, as: UTF8.self) }
    }
    letters.append(letter)
  }
  func consumer(_ consumer: Consumer, assigned partitions: [Partition], generation: UInt32) { consumer.assign(generation) }
  func consumer(_ consumer: Consumer, revoked partitions: [Partition], generation: UInt32, isLost: Bool) {
    consumer.unassign(generation)
  }
  func consumer(_ consumer: Consumer, committed result: CommitResult) {}
  func consumer(_ consumer: Consumer, skipped gap: OffsetGap) { Issue.record("\(gap)") }
  func consumer(_ consumer: Consumer, failed error: KafkaError) {}
  func consumerDidClose(_ consumer: Consumer) { isClosed = true }
}
