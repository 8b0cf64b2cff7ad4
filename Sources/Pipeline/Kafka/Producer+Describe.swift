// Who leads and who follows each partition of a topic, for the health check. Asked on KafkaClerk's thread, because librdkafka
// 2.0.2 has only a blocking form; an answer also proves that the producer reaches a broker.
internal import CRdkafka
public import PipelineCore
internal import Reactor

/// One partition as the brokers describe it.
public struct PartitionReplicas: Hashable, Sendable {
  public var partition: Partition
  /// -1: none now.
  public var leader: Int32
  public var replicas: [Int32]
  public var inSync: [Int32]
}

/// Answers on their way from the clerk's thread to the reactor's.
final class DescriptionAnswers: Sendable {
  typealias Answer = (id: UInt64, result: Result<[PartitionReplicas]?, KafkaError>)

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

extension Producer {
  /// For an answer of the brokers.
  static let describeTimeoutMs: Int32 = 2_000
  /// Questions waiting for their answer; a further one is answered `.queueFull` at once.
  static let describesMax = 4

  /// Asks the brokers for the partitions of a topic; nil: they do not know it. Answered once, also at close (`.closing`).
  /// - Thread: reactor. - Blocking: never; the answer comes within about `describeTimeoutMs`, or more behind other questions.
  public func describe(_ topic: String, _ reply: @escaping (Result<[PartitionReplicas]?, KafkaError>) -> Void) {
    guard isOpen else { return reply(.failure(KafkaError(.closing, call: "describe", topic: topic))) }
    describeCount += 1
    let id = describeCount
    let (handle, answers, signal) = (handle, descriptions, signal)
    let isAccepted =
      describeReplies.count < Self.describesMax
      && KafkaClerk.shared.run {
        answers.put((id, describeTopic(handle, topic)))
        signal.wake()
      }
    guard isAccepted else { return reply(.failure(KafkaError(.queueFull, call: "describe", topic: topic))) }
    describeReplies[id] = reply
  }

  func answerDescriptions() {
    for (id, result) in descriptions.take() { describeReplies.removeValue(forKey: id)?(result) }
  }

  func failDescriptions() {
    let replies = describeReplies.sorted { $0.key < $1.key }
    describeReplies = [:]
    for (_, reply) in replies { reply(.failure(KafkaError(.closing, call: "describe"))) }
  }
}

/// - Thread: the clerk's. - Blocking: at most `describeTimeoutMs`.
private func describeTopic(_ handle: KafkaHandle, _ name: String) -> Result<[PartitionReplicas]?, KafkaError> {
  guard let local = rd_kafka_topic_new(handle.raw, name, nil) else {
    return .failure(KafkaError(rd_kafka_last_error(), call: "rd_kafka_topic_new", topic: name))
  }
  defer { rd_kafka_topic_destroy(local) }
  var metadata: UnsafePointer<rd_kafka_metadata>?
  let code = rd_kafka_metadata(handle.raw, 0, local, &metadata, Producer.describeTimeoutMs)
  guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else {
    return .failure(KafkaError(code, call: "rd_kafka_metadata", topic: name))
  }
  defer { rd_kafka_metadata_destroy(metadata) }
  guard metadata.pointee.topic_cnt == 1 else { return .success(nil) }
  let found = metadata.pointee.topics[0]
  if found.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || found.err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC { return .success(nil) }
  guard found.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
    return .failure(KafkaError(found.err, call: "rd_kafka_metadata", topic: name))
  }
  let partitions = (0..<Int(found.partition_cnt)).map { index in
    let line = found.partitions[index]
    return PartitionReplicas(
      partition: Partition(line.id), leader: line.leader,
      replicas: (0..<Int(line.replica_cnt)).map { line.replicas[$0] }, inSync: (0..<Int(line.isr_cnt)).map { line.isrs[$0] })
  }
  return .success(partitions.sorted { $0.partition < $1.partition })
}
