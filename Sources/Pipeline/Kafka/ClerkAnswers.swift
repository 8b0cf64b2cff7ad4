// Answers on their way from the clerk's thread to the reactor's, and the one question that consumers and producers both have.
internal import CRdkafka
internal import PipelineCore
internal import Reactor

/// Put on the clerk's thread, taken on the asker's, which is woken through its QueueSignal.
final class ClerkAnswers<Success: Sendable>: Sendable {
  typealias Answer = (id: UInt64, result: Result<Success, KafkaError>)

  private let waiting = Lock<[Answer]>([])

  func put(_ answer: Answer) { waiting.withLock { $0.append(answer) } }

  func take() -> [Answer] {
    waiting.withLock { answers in
      let taken = answers
      answers = []
      return taken
    }
  }
}

/// The brokers' description of a topic.
enum TopicMetadata {
  /// For an answer of the brokers.
  static let timeoutMs: Int32 = 2_000

  /// - Returns: the partitions by number; nil: the brokers do not know the topic.
  /// - Thread: the clerk's. - Blocking: at most `timeoutMs`.
  static func ask(_ handle: KafkaHandle, _ name: String) throws(KafkaError) -> [PartitionReplicas]? {
    guard let local = rd_kafka_topic_new(handle.raw, name, nil) else {
      throw KafkaError(rd_kafka_last_error(), call: "rd_kafka_topic_new", topic: name)
    }
    defer { rd_kafka_topic_destroy(local) }
    var metadata: UnsafePointer<rd_kafka_metadata>?
    let code = rd_kafka_metadata(handle.raw, 0, local, &metadata, timeoutMs)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else {
      throw KafkaError(code, call: "rd_kafka_metadata", topic: name)
    }
    defer { rd_kafka_metadata_destroy(metadata) }
    guard metadata.pointee.topic_cnt == 1 else { return nil }
    let found = metadata.pointee.topics[0]
    if found.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || found.err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC { return nil }
    guard found.err == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(found.err, call: "rd_kafka_metadata", topic: name) }
    let partitions = (0..<Int(found.partition_cnt)).map { index in
      let line = found.partitions[index]
      return PartitionReplicas(
        partition: Partition(line.id), leader: line.leader,
        replicas: (0..<Int(line.replica_cnt)).map { line.replicas[$0] }, inSync: (0..<Int(line.isr_cnt)).map { line.isrs[$0] })
    }
    return partitions.sorted { $0.partition < $1.partition }
  }
}
