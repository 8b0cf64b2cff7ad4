// What should move and does not: tasks that run too long are named, a backlog nobody fetches makes the location unready,
// and offsets of a group this node has left are committed again before the broker forgets them.
//
// All of it is seldom and off the hot path. It deliberately ends nothing: a stuck task keeps its slot until it ends or
// its partition is revoked.
internal import Logging
internal import PipelineCore
internal import Reactor

/// A wait for partitions.
struct GroupWait {
  let since: Instant
  /// It took too long, and the log knows.
  var isSaid = false
}

extension LocationController {
  /// Between two looks; a look is O(slots).
  static let watchIntervalMax = Duration.seconds(10)

  func armWatch() {
    let interval = min(Self.watchIntervalMax, options.stuckAfter / 4, options.fetchStallAfter / 3)
    watchTimer = reactor.schedule(after: interval) { [weak self] _ in
      guard let self else { return }
      self.armWatch()
      self.watchTasks()
      self.watchFetching()
      self.watchGroup()
    }
  }

  // MARK: Stuck tasks

  private func watchTasks() {
    var old: [(ticket: InFlightTicket, since: Instant)] = []
    let now = reactor.now
    inFlight.visitOccupied { ticket, record in
      if case .running(let since) = record.stage, now - since >= options.stuckAfter { old.append((ticket, since)) }
    }
    let current = Set(old.map(\.ticket))
    stuckByTicket = stuckByTicket.filter { current.contains($0.key) }
    let room = LocationOptions.stuckTasksMax - stuckByTicket.count
    let unnamed = old.filter { stuckByTicket[$0.ticket] == nil }.sorted { $0.since < $1.since }.prefix(room).map(\.ticket)
    guard !unnamed.isEmpty else { return }
    pool.names(location: poolIndex, tickets: unnamed) { [weak self] names in
      for name in names { self?.stuck(name) }
    }
  }

  private func stuck(_ name: TaskName) {
    guard let task = task(name) else { return }
    stuckByTicket[name.ticket] = task
    log.warning("a task runs too long", metadata: metadata(of: task))
  }

  /// Nil if it has ended meanwhile.
  private func task(_ name: TaskName) -> StuckTask? {
    guard inFlight.isCurrent(name.ticket), let record = inFlight[name.ticket.slot], case .running(let since) = record.stage else {
      return nil
    }
    let runningMs = Int64((reactor.now - since) / .milliseconds(1))
    return StuckTask(
      bucket: name.bucket, key: name.key, versionId: name.versionId, partition: record.handle.partition, offset: record.offset,
      startedAtMs: WallClock.nowMs() - runningMs)
  }

  private func metadata(of task: StuckTask) -> Logger.Metadata {
    [
      "bucket": "\(task.bucket)", "key": "\(task.key)", "topic": "\(options.consumer.topic)", "partition": "\(task.partition)",
      "offset": "\(task.offset)", "runningMs": "\(WallClock.nowMs() - task.startedAtMs)",
    ]
  }

  /// Says which tasks outlived a revoke; the worker is asked before it is told to cancel them.
  func nameRunning(ofAssignment generation: UInt32) {
    var tickets: [InFlightTicket] = []
    inFlight.visitOccupied { ticket, record in
      if case .running = record.stage, record.assignment == generation { tickets.append(ticket) }
    }
    let named = Array(tickets.prefix(LocationOptions.stuckTasksMax))
    let tasks = named.compactMap { ticket in inFlight[ticket.slot].map { (ticket, $0) } }
    let records = Dictionary(tasks, uniquingKeysWith: { first, _ in first })
    pool.names(location: poolIndex, tickets: named) { [log, topic = options.consumer.topic] names in
      for name in names {
        guard let record = records[name.ticket] else { continue }
        log.warning(
          "a task outlived a revoke",
          metadata: [
            "bucket": "\(name.bucket)", "key": "\(name.key)", "topic": "\(topic)", "partition": "\(record.handle.partition)",
            "offset": "\(record.offset)",
          ])
      }
    }
  }

  // MARK: Fetching

  /// Owns, has room, takes nothing: asks the brokers whether there is something to take.
  private func watchFetching() {
    let mayTake = credit > 0 && !ledgers.partitions.isEmpty
    guard fetchWatch.check(taken: counters.taken, mayTake: mayTake) else { return }
    let taken = counters.taken
    consumer.survey { [weak self] result in
      // No answer: the brokers are away, which is not this location's fault and shows elsewhere.
      guard let self, case .success(let partitions) = result else { return }
      let nowMs = Int64(Instant.nowUncached().ns / 1_000_000)
      guard self.fetchWatch.answered(isBehind: self.isBehind(partitions), taken: taken, nowMs: nowMs) else { return }
      self.log.error(
        "owns partitions with a backlog and is given nothing; assigning them again", metadata: ["topic": "\(self.options.consumer.topic)"])
      self.consumer.assignAgain()
    }
  }

  /// A partition that nothing of ours holds back has more than was ever fetched, or something fetched lies there. Where
  /// fetching stands is in librdkafka's statistics: the position we know ourselves stays in front of transaction markers.
  private func isBehind(_ surveys: [PartitionSurvey]) -> Bool {
    guard consumer.queuedMessageCount == 0 else { return true }
    return surveys.contains { survey in
      guard consumer.isFetching(survey.partition) else { return false }
      let taken = consumer.position(of: survey.partition) ?? survey.committed ?? survey.low
      return max(taken.value, kafkaFigures?.nextOffsets[survey.partition.value] ?? 0) < survey.high.value
    }
  }

  // MARK: The group

  /// A group that assembles answers when the slowest member has given its partitions back. Longer than that, an answer may be
  /// lost; librdkafka asks again after `max.poll.interval.ms`, so here it is only said.
  private func watchGroup() {
    guard let wait = waitingForGroup, !wait.isSaid, machine.desiredPaused == false, !machine.isStopping else { return }
    let waited = reactor.now - wait.since
    guard waited >= options.fetchStallAfter else { return }
    waitingForGroup?.isSaid = true
    log.warning(
      "no partitions and no answer from the group",
      metadata: ["topic": "\(options.consumer.topic)", "waitedMs": "\(waited / .milliseconds(1))"])
  }

  func endGroupWait() {
    guard let wait = waitingForGroup.take(), wait.isSaid else { return }
    log.info(
      "the group has answered",
      metadata: ["topic": "\(options.consumer.topic)", "waitedMs": "\((reactor.now - wait.since) / .milliseconds(1))"])
  }

  // MARK: Keeping offsets

  func armRecommit() {
    recommitTimer = reactor.schedule(after: options.recommitInterval) { [weak self] _ in
      guard let self else { return }
      self.armRecommit()
      self.recommit()
    }
  }

  /// A group without members has its offsets expired by the broker (`offsets.retention.minutes`, a week): a longer pause
  /// would begin from the start. Each paused node does this; to a group that has members again the broker refuses it.
  private func recommit() {
    guard machine.state == .disabled(.out) else { return }
    consumer.survey { [weak self] result in
      guard let self, self.machine.state == .disabled(.out), case .success(let partitions) = result else { return }
      let offsets = partitions.compactMap { survey in survey.committed.map { (partition: survey.partition, offset: $0) } }
      guard !offsets.isEmpty else { return }
      do throws(KafkaError) {
        self.recommitToken = try self.consumer.commit(offsets)
      } catch {
        self.log.warning("offsets of a paused location not renewed", metadata: ["error": "\(error)"])
      }
    }
  }

  /// - Returns: whether the answer was to a renewal.
  func recommitted(_ result: CommitResult) -> Bool {
    guard result.token == recommitToken else { return false }
    recommitToken = nil
    if result.isComplete {
      recommits += 1
    } else {
      log.warning("offsets of a paused location not renewed", metadata: ["error": "\(result.error.map { "\($0)" } ?? "refused")"])
    }
    return true
  }
}
