// Coming to partitions and giving them up: subscribe, the group's two callbacks, the owner's two answers, and pausing.
//
// The eager protocol: revoke everything, rejoin, get a new assignment. librdkafka waits for our answer to each of its
// callbacks, as long as max.poll.interval.ms, so the owner can drain in between. What must not happen is an answer to
// the wrong question; hence the generation, a number of our own that grows with every assignment.
internal import CRdkafka
public import PipelineCore
internal import Reactor

extension Consumer {
  // MARK: For the owner

  /// Joins the group. Ends in `assigned`, whenever the group gets to it. Repeating it does nothing.
  /// - Thread: reactor. - Blocking: for librdkafka's main thread, not for a broker.
  public func subscribe() throws(KafkaError) {
    reactor.assertCurrent()
    guard !isSubscribed, phase != .closing, phase != .closed else { return }
    if configuration.membership == .group {
      let list = TopicPartitions(topic: topic, [Partition(-1)])
      let code = rd_kafka_subscribe(handle.raw, list.raw)
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code, call: "rd_kafka_subscribe", topic: topic) }
    }
    switch phase {
    case .idle:
      phase = .joining
      if configuration.membership != .group { joinAlone() }
    case .assigned: phase = .assigned(isLeaving: false)
    case .declined: phase = .declined(rejoins: true)
    case .revoking: phase = .revoking(rejoins: true)
    case .joining, .offered, .closing, .closed: break
    }
  }

  /// Leaves the group: `revoked` if something was assigned, then `consumerLeftGroup`. Repeating it does nothing.
  /// - Thread: reactor. - Blocking: for librdkafka's main thread, not for a broker.
  public func unsubscribe() throws(KafkaError) {
    reactor.assertCurrent()
    guard isSubscribed, phase != .closing, phase != .closed else { return }
    if configuration.membership == .group {
      let code = rd_kafka_unsubscribe(handle.raw)
      guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code, call: "rd_kafka_unsubscribe", topic: topic) }
    }
    let isAlone = configuration.membership != .group
    switch phase {
    case .joining: leftGroup()
    case .offered:
      // librdkafka has put the unsubscription off until the assignment is answered: answer it with nothing.
      if !isAlone { giveUpOffer() }
      phase = .declined(rejoins: false)
    // Here and below the revocation comes, or is under way.
    case .assigned: phase = .assigned(isLeaving: true)
    case .declined: phase = .declined(rejoins: false)
    case .revoking: phase = .revoking(rejoins: false)
    case .idle, .closing, .closed: break
    }
    guard isAlone, phase == .assigned(isLeaving: true) || phase == .declined(rejoins: false) else { return }
    events.list.append(.revoked(isLost: false))
    wake()
  }

  /// The answer to `assigned`: begins to fetch, from the committed offsets, or from the log's start where there are none.
  /// - Parameter paused: partitions that must not be fetched until `resume`. Pauses of the assignment before are gone.
  /// - Parameter starts: offsets to fetch from, for partitions where the owner knows better than the broker.
  /// - Returns: false if that assignment is over; nothing was done.
  /// - Thread: reactor. - Blocking: for librdkafka's main thread, not for a broker.
  @discardableResult
  public func assign(_ generation: UInt32, paused: [Partition] = [], from starts: [Partition: Offset] = [:]) -> Bool {
    reactor.assertCurrent()
    guard phase == .offered, generation == self.generation else { return false }
    // After the stops of the assignment before, which end its forwarding; before fetching starts, so that nothing gets
    // into the control queue.
    waitForMainThread()
    forwardPartitions()
    setPaused(paused.filter { isAssigned($0) }, true)
    let list = TopicPartitions(topic: topic, countMax: assignedPartitions.count)
    for partition in assignedPartitions {
      slots[Int(partition.value)].next = starts[partition]?.value
      list.add(partition, offset: starts[partition]?.value ?? LogicalOffset.stored)
    }
    phase = .assigned(isLeaving: false)
    statistics.assignments += 1
    report(rd_kafka_assign(handle.raw, list.raw), "rd_kafka_assign")
    wake()
    return true
  }

  /// The answer to `revoked`: the partitions are given up, and the group goes on.
  /// - Returns: false if that assignment is over; nothing was done.
  /// - Thread: reactor. - Blocking: for librdkafka's main thread, not for a broker.
  @discardableResult
  public func unassign(_ generation: UInt32) -> Bool {
    reactor.assertCurrent()
    guard case .revoking(let rejoins) = phase, generation == self.generation else { return false }
    report(rd_kafka_assign(handle.raw, nil), "rd_kafka_assign nothing")
    forgetAssignment()
    guard rejoins else {
      leftGroup()
      return true
    }
    phase = .joining
    if configuration.membership != .group { joinAlone() }
    return true
  }

  /// Stops fetching these partitions; what librdkafka has prefetched of them is thrown away, to be fetched again from
  /// the position after the last message taken. Those paused already, or not assigned, are left as they are.
  /// To stop only for a while it is cheaper to give no credit.
  /// - Thread: reactor. - Blocking: for librdkafka's main thread, not for a broker.
  public func pause(_ partitions: [Partition]) {
    reactor.assertCurrent()
    guard isFetching else { return }
    setPaused(partitions.filter { isAssigned($0) && !slots[Int($0.value)].isPaused }, true)
  }

  /// Fetches them again, from where they were paused.
  /// - Thread: reactor. - Blocking: for librdkafka's main thread, not for a broker.
  public func resume(_ partitions: [Partition]) {
    reactor.assertCurrent()
    guard isFetching else { return }
    setPaused(partitions.filter { isAssigned($0) && slots[Int($0.value)].isPaused }, false)
  }

  /// Of the present assignment, sorted; empty if there is none.
  public var partitions: [Partition] { isFetching || isRevoking ? assignedPartitions : [] }

  func isPaused(_ partition: Partition) -> Bool { isAssigned(partition) && slots[Int(partition.value)].isPaused }

  /// Offset of the next message to be taken; nil while it is not known yet.
  public func position(of partition: Partition) -> Offset? {
    isAssigned(partition) ? slots[Int(partition.value)].next.map { Offset($0) } : nil
  }

  /// Nil outside of a group.
  /// - Thread: reactor. - Blocking: for librdkafka's main thread, not for a broker.
  public var groupPlace: GroupPlace? {
    guard let metadata = rd_kafka_consumer_group_metadata(handle.raw) else { return nil }
    defer { rd_kafka_consumer_group_metadata_destroy(metadata) }
    var text: UnsafeMutableRawPointer?
    var count = 0
    if let error = rd_kafka_consumer_group_metadata_write(metadata, &text, &count) {
      rd_kafka_error_destroy(error)
      return nil
    }
    defer { rd_kafka_mem_free(handle.raw, text) }
    return GroupPlace(serialized: UnsafeRawBufferPointer(start: text, count: count))
  }

  // MARK: What the group says

  func didGetAssignment(_ partitions: [Partition]) {
    guard isSubscribed else {
      // Too late. An empty assignment is an answer as good as any, librdkafka takes it back with a revocation.
      giveUpOffer()
      return
    }
    if isFetching || isRevoking {
      // librdkafka revokes before it assigns; should it not, the owner still sees one after the other.
      delegate?.consumer(self, revoked: assignedPartitions, generation: generation, isLost: true)
      forgetAssignment()
    }
    generation += 1
    assignedPartitions = partitions.sorted()
    let needed = Int(assignedPartitions.last?.value ?? -1) + 1
    while slots.count < needed { slots.append(PartitionSlot()) }
    for partition in assignedPartitions { slots[Int(partition.value)].isAssigned = true }
    phase = .offered
    delegate?.consumer(self, assigned: assignedPartitions, generation: generation)
  }

  /// All of it, the protocol being the eager one.
  func didLoseAssignment(isLost: Bool) {
    switch phase {
    case .assigned, .offered, .declined:
      phase = .revoking(rejoins: isSubscribed)
      cancelRecovery()
      delegate?.consumer(self, revoked: assignedPartitions, generation: generation, isLost: isLost)
    case .revoking: return
    case .idle, .joining, .closing, .closed: report(rd_kafka_assign(handle.raw, nil), "rd_kafka_assign nothing")
    }
  }

  /// What was assigned is lost; the owner's `unassign` is the answer, and goes on from there or has left.
  func rebalanceFailed(_ error: KafkaError) {
    didLoseAssignment(isLost: true)
    delegate?.consumer(self, failed: error)
  }

  // MARK: Inside

  func isAssigned(_ partition: Partition) -> Bool {
    let index = Int(partition.value)
    return slots.indices.contains(index) && slots[index].isAssigned
  }

  private func joinAlone() {
    guard case .standalone(let count) = configuration.membership else { return }
    events.list.append(.assigned((0..<count).map { Partition(Int32($0)) }))
    wake()
  }

  private func leftGroup() {
    phase = .idle
    delegate?.consumerLeftGroup(self)
  }

  func giveUpOffer() {
    let nothing = TopicPartitions(topic: topic, countMax: 0)
    report(rd_kafka_assign(handle.raw, nothing.raw), "rd_kafka_assign nothing")
  }

  /// Sends the messages of each assigned partition to our queue instead of the group's.
  func forwardPartitions() {
    for partition in assignedPartitions {
      guard let queue = rd_kafka_queue_get_partition(handle.raw, topic, partition.value) else { continue }
      rd_kafka_queue_forward(queue, messageQueue)
      rd_kafka_queue_destroy(queue)  // only our reference to it
    }
  }

  func forgetAssignment() {
    // librdkafka's flag outlives the assignment; partitions come back unpaused.
    setPaused(assignedPartitions.filter { slots[Int($0.value)].isPaused }, false)
    for partition in assignedPartitions { slots[Int(partition.value)] = PartitionSlot() }
    assignedPartitions = []
    cancelRecovery()
    dropPrefetched()
  }

  /// What was prefetched of a given up assignment is outdated now: librdkafka frees it as soon as it is asked for more.
  private func dropPrefetched() {
    while let raw = rd_kafka_consume_queue(messageQueue, 0) { rd_kafka_message_destroy(raw) }
    messagesMayBeQueued = false
  }

  /// librdkafka's main thread does one operation after the other: when it answers this one, which asks only for our
  /// member name, those given to it before have been done.
  func waitForMainThread() {
    if let name = rd_kafka_memberid(handle.raw) { rd_kafka_mem_free(handle.raw, name) }
  }

  private func setPaused(_ partitions: [Partition], _ isPaused: Bool) {
    guard !partitions.isEmpty else { return }
    let list = TopicPartitions(topic: topic, partitions)
    if isPaused {
      report(rd_kafka_pause_partitions(handle.raw, list.raw), "rd_kafka_pause_partitions")
    } else {
      report(rd_kafka_resume_partitions(handle.raw, list.raw), "rd_kafka_resume_partitions")
      messagesMayBeQueued = true
    }
    for partition in partitions { slots[Int(partition.value)].isPaused = isPaused }
  }

  func report(_ code: rd_kafka_resp_err_t, _ call: String) {
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    delegate?.consumer(self, failed: KafkaError(code, call: call, topic: topic))
  }
}
