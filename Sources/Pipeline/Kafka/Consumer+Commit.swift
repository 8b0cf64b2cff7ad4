// Commits: asynchronous, each answered once, successful or not, also when the consumer is closed first. The offset is
// "next to read". Nothing is committed that the owner did not ask for: automatic commits and stores are off.
internal import CRdkafka
public import PipelineCore
internal import Reactor

extension Consumer {
  /// Sends the offsets to the broker. The answer comes as `ConsumerDelegate.consumer(_:committed:)` with this token.
  ///
  /// With the coordinator away librdkafka keeps the request at most session.timeout.ms, then answers with an error; for a
  /// request on its way that is socket.timeout.ms. 2.0.2 loses some answers when coordinators go and move: after both
  /// times together the answer is ours, an error. (The broker may have it all the same, or get it later.) A
  /// commit in flight delays the end of a rebalance; the owner bounds that by its drain limit, not by waiting here.
  /// - Returns: the token, never 0.
  /// - Thread: reactor. - Blocking: never.
  /// - Errors: `.tooManyCommits`, `.closing`, or what librdkafka says (`.state`…); the answer then does not come.
  @discardableResult
  public func commit(_ offsets: [(partition: Partition, offset: Offset)]) throws(KafkaError) -> UInt64 {
    reactor.assertCurrent()
    precondition(!offsets.isEmpty, "nothing to commit")
    guard phase != .closed else { throw KafkaError(.closing, call: "commit", topic: topic) }
    guard commitsInFlight.count < Self.commitsInFlightMax else {
      throw KafkaError(.tooManyCommits, call: "commit", topic: topic)
    }
    let list = TopicPartitions(topic: topic, countMax: offsets.count)
    for (partition, offset) in offsets { list.add(partition, offset: offset.value) }
    commitCount += 1
    let opaque = UnsafeMutableRawPointer(bitPattern: UInt(commitCount))
    let code = rd_kafka_commit_queue(handle.raw, list.raw, controlQueue, commitCallback, opaque)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code, call: "rd_kafka_commit_queue", topic: topic) }
    commitsInFlight[commitCount] = .nowUncached() + commitTimeMax
    return commitCount
  }

  var commitsInFlightCount: Int { commitsInFlight.count }

  /// The offset the broker has confirmed in this assignment; nil if none was committed in it.
  func committed(_ partition: Partition) -> Offset? {
    isAssigned(partition) ? slots[Int(partition.value)].committed.map { Offset($0) } : nil
  }

  func didCommit(_ token: UInt64, _ code: KafkaError.Code, _ offsets: [PartitionOffset]) {
    guard commitsInFlight.removeValue(forKey: token) != nil else { return }
    let noError = KafkaError.Code(RD_KAFKA_RESP_ERR_NO_ERROR)
    let partitions = offsets.map { line in
      CommittedPartition(
        partition: line.partition, offset: Offset(line.offset),
        error: line.code == noError
          ? nil : KafkaError(line.code, call: "commit", topic: topic, partition: line.partition))
    }
    let error = code == noError ? nil : KafkaError(code, call: "commit", topic: topic)
    if error == nil {
      for line in partitions where line.error == nil && isAssigned(line.partition) {
        slots[Int(line.partition.value)].committed = line.offset.value
      }
    }
    delegate?.consumer(self, committed: CommitResult(token: token, error: error, partitions: partitions))
  }

  /// Those whose answer has not come and will not come any more.
  func expireCommits() {
    let now = Instant.nowUncached()
    fail(commitsInFlight.filter { $0.value <= now }.keys, .timedOut)
  }

  /// librdkafka answers nothing any more once the group is closed.
  func failCommitsInFlight() { fail(commitsInFlight.keys, .closing) }

  private func fail(_ tokens: some Sequence<UInt64>, _ code: KafkaError.Code) {
    for token in tokens.sorted() {
      commitsInFlight[token] = nil
      let error = KafkaError(code, call: "commit", topic: topic)
      delegate?.consumer(self, committed: CommitResult(token: token, error: error, partitions: []))
    }
  }
}
