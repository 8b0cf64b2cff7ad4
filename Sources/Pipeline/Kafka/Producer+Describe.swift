// Who leads and who follows each partition of a topic, for the health check. Asked on KafkaClerk's thread, because librdkafka
// 2.0.2 has only a blocking form; an answer also proves that the producer reaches a broker.
public import PipelineCore

/// One partition as the brokers describe it.
public struct PartitionReplicas: Hashable, Sendable {
  public var partition: Partition
  /// -1: none now.
  public var leader: Int32
  public var replicas: [Int32]
  public var inSync: [Int32]
}

extension Producer {
  /// Questions waiting for their answer; a further one is answered `.queueFull` at once.
  static let describesMax = 4

  /// Asks the brokers for the partitions of a topic; nil: they do not know it. Answered once, also at close (`.closing`).
  /// - Thread: reactor. - Blocking: never; the answer comes within about `TopicMetadata.timeoutMs`, or more behind other questions.
  public func describe(_ topic: String, _ reply: @escaping (Result<[PartitionReplicas]?, KafkaError>) -> Void) {
    guard isOpen else { return reply(.failure(KafkaError(.closing, call: "describe", topic: topic))) }
    describeCount += 1
    let id = describeCount
    let (handle, answers, signal) = (handle, descriptions, signal)
    let isAccepted =
      describeReplies.count < Self.describesMax
      && KafkaClerk.shared.run {
        answers.put((id, Result { () throws(KafkaError) in try TopicMetadata.ask(handle, topic) }))
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
