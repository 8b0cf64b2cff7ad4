// Where the partitions of the topic stand: committed offset and both ends of the log, for lag, status and recovery.
// librdkafka 2.0.2 can ask a broker only in blocking calls, so they are made on KafkaClerk's thread.
internal import CRdkafka
internal import PipelineCore
internal import Reactor

extension Consumer {
  /// Each of the up to four questions waits at most this long.
  static let surveyQuestionTimeoutMs: Int32 = 2_000
  /// Surveys waiting for their answer; a further one is answered `.queueFull` at once.
  static let surveysInFlightMax = 4

  /// Fetching of the partition is wanted: assigned and not paused.
  func isFetching(_ partition: Partition) -> Bool {
    isFetching && isAssigned(partition) && !slots[Int(partition.value)].isPaused
  }

  /// Messages fetched and not taken.
  var queuedMessageCount: Int { rd_kafka_queue_length(messageQueue) }

  /// Asks the brokers, for all partitions of the topic, subscribed or not. Answered once, also at close (`.closing`).
  /// - Thread: reactor. - Blocking: never.
  public func survey(_ reply: @escaping (Result<[PartitionSurvey], KafkaError>) -> Void) {
    reactor.assertCurrent()
    survey(nil, reply)
  }

  func survey(_ partitions: [Partition]?, _ reply: @escaping (Result<[PartitionSurvey], KafkaError>) -> Void) {
    guard phase != .closing, phase != .closed else {
      return reply(.failure(KafkaError(.closing, call: "survey", topic: topic)))
    }
    commitCount += 1
    let id = commitCount
    let (answers, signal) = (surveys, signal)
    let question = Survey(
      handle: handle, name: TopicName(brokers: configuration.properties.bootstrapServers, topic: topic), wantedAt: .nowUncached())
    let isAccepted =
      surveyReplies.count < Self.surveysInFlightMax
      && KafkaClerk.shared.run {
        answers.put((id, question.run(partitions)))
        signal.wake()
      }
    guard isAccepted else { return reply(.failure(KafkaError(.queueFull, call: "survey", topic: topic))) }
    surveyReplies[id] = reply
  }

  func failSurveys() {
    let replies = surveyReplies
    surveyReplies = [:]
    for (_, reply) in replies.sorted(by: { $0.key < $1.key }) {
      reply(.failure(KafkaError(.closing, call: "survey", topic: topic)))
    }
  }
}

/// The blocking questions themselves.
private struct Survey {
  let handle: KafkaHandle
  let name: TopicName
  let wantedAt: Instant

  private var topic: String { name.topic }

  func run(_ wanted: [Partition]?) -> Result<[PartitionSurvey], KafkaError> {
    do throws(KafkaError) {
      let ends = try ends(wanted)
      guard !ends.partitions.isEmpty else { return .success([]) }
      let committed = try ask(ends.partitions, "rd_kafka_committed", LogicalOffset.none, rd_kafka_committed)
      return .success(
        ends.partitions.map { partition in
          let next = committed[partition] ?? LogicalOffset.none
          return PartitionSurvey(
            partition: partition, committed: next >= 0 ? Offset(next) : nil, low: Offset(ends.low[partition] ?? 0),
            high: Offset(ends.high[partition] ?? 0))
        })
    } catch {
      return .failure(error)
    }
  }

  private func ends(_ wanted: [Partition]?) throws(KafkaError) -> TopicEnds {
    if wanted == nil, let kept = TopicEnds.kept(name, since: wantedAt) { return kept }
    let partitions = if let wanted { wanted } else { try partitionsOfTopic() }
    let askedAt = Instant.nowUncached()
    guard !partitions.isEmpty else { return TopicEnds(partitions: [], low: [:], high: [:], askedAt: askedAt) }
    // ListOffsets takes a time; these two stand for the log's ends (Kafka protocol, ListOffsets).
    let low = try ask(partitions, "rd_kafka_offsets_for_times", LogicalOffset.beginning, rd_kafka_offsets_for_times)
    let high = try ask(partitions, "rd_kafka_offsets_for_times", LogicalOffset.end, rd_kafka_offsets_for_times)
    let ends = TopicEnds(partitions: partitions, low: low, high: high, askedAt: askedAt)
    if wanted == nil { ends.keep(name) }
    return ends
  }

  private typealias Question =
    (OpaquePointer?, UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?, Int32) -> rd_kafka_resp_err_t

  private func ask(
    _ partitions: [Partition], _ call: String, _ offset: Int64, _ question: Question
  ) throws(KafkaError) -> [Partition: Int64] {
    let list = TopicPartitions(topic: topic, partitions, offset: offset)
    let code = question(handle.raw, list.raw, Consumer.surveyQuestionTimeoutMs)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code, call: call, topic: topic) }
    var offsets: [Partition: Int64] = [:]
    for line in list.elements {
      guard line.code.rawValue == 0 else { throw KafkaError(line.code, call: call, topic: topic, partition: line.partition) }
      offsets[line.partition] = line.offset
    }
    return offsets
  }

  /// Not known is an error here: a lag of nothing would be a lie.
  private func partitionsOfTopic() throws(KafkaError) -> [Partition] {
    guard let found = try TopicMetadata.ask(handle, topic) else {
      throw KafkaError(.unknownTopicOrPartition, call: "rd_kafka_metadata", topic: topic)
    }
    return found.map(\.partition)
  }
}
