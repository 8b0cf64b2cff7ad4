// What one location is made from, and the bounds its controller keeps.
public import PipelineCore

public struct LocationOptions: Sendable {
  /// Between two commits while entries flow. A pause, a revoke and a stop commit at once.
  public var commitInterval = Duration.seconds(1)
  /// More than a slotful of entries was worked off since the last commit: the next follows it after this already, so that a
  /// kill repeats little.
  public static let commitIntervalMin = Duration.milliseconds(100)
  /// A task that has run for this long is named in the log and in `stuckTasks`.
  public var stuckAfter = Duration.seconds(300)
  /// A location that owns partitions, has room and takes nothing of a backlog for this long is not ready.
  public var fetchStallAfter = Duration.seconds(30)
  /// While a location has left its group, its offsets are committed again this often, so that the broker keeps them.
  public var recommitInterval = Duration.seconds(86_400)
  /// Stuck tasks named at a time.
  public static let stuckTasksMax = 100
  /// How long a drained location waits for the other nodes before it leaves the group (ours): longer than a rebalance usually
  /// takes, in which they could not commit. Staying costs nothing.
  public static let leaveWaitMax = Duration.seconds(30)
  /// How often `commitAnswerMax` passes before a pause in a rebalance gives up what it could not commit (ours).
  static let carryWaitsMax = 3
  /// A pause that was announced and is not found in the store within this time was none (ours).
  static let announcedPauseMax = Duration.seconds(1)
  /// A pause of less than this keeps what librdkafka has fetched (ours).
  public static let partitionPauseAfter = Duration.seconds(1)
  /// No answer to a commit for this long: asked again.
  public static let commitAnswerMax = Duration.seconds(10)
  /// So many more entries than may run or wait, for those whose task has ended and whose dead letter or status is not acknowledged
  /// (ours): else a location with few places would stand still while the brokers answer. They may fill all places there are.
  /// With what messages wait for each other (`ProducerConfiguration.lingerMs`) and 30 ms for the brokers, enough for 10,000 a second.
  public static let acknowledgingExtra = 512

  public var site: String
  public var limits: KeyedScheduler.Limits
  public var pauseMode: PauseMode
  public var consumer: ConsumerConfiguration
  public var work: WorkerLocation
  /// Where entries that cannot be parsed go.
  public var deadLetterTopic: String

  public init(
    site: String, limits: KeyedScheduler.Limits, pauseMode: PauseMode, consumer: ConsumerConfiguration,
    work: WorkerLocation, deadLetterTopic: String
  ) {
    self.site = site
    self.limits = limits
    self.pauseMode = pauseMode
    self.consumer = consumer
    self.work = work
    self.deadLetterTopic = deadLetterTopic
  }
}

/// Counters of one location on this node since its start.
public struct LocationCounters: Hashable, Sendable {
  public var taken: UInt64 = 0
  public var done: UInt64 = 0
  public var alreadyThere: UInt64 = 0
  public var skipped: UInt64 = 0
  public var failed: UInt64 = 0
  public var deadLettered: UInt64 = 0
  public var abandoned: UInt64 = 0
  /// Content moved by `done`.
  public var bytes: Int64 = 0
  /// Entries lost before they could be read (`OffsetGap`).
  public var gapEntries: UInt64 = 0

  /// Entries that have come to an end here.
  public var finished: UInt64 { worked + skipped }
  /// Of them those that would cost something to do again: what is not for this location is only read.
  var worked: UInt64 { done + alreadyThere + failed + deadLettered }
}

/// A task that runs too long.
public struct StuckTask: Hashable, Sendable {
  public var bucket: String
  public var key: String
  public var versionId: String?
  public var partition: Partition
  public var offset: Offset
  /// Unix ms.
  public var startedAtMs: Int64
}

/// How revokes ended, for the metrics.
public struct RevokeCounters: Hashable, Sendable {
  /// Nothing was in flight.
  public var idle: UInt64 = 0
  /// What was in flight finished in time.
  public var drained: UInt64 = 0
  /// What was in flight was cancelled.
  public var timedOut: UInt64 = 0
  /// Others owned the partitions already.
  public var lost: UInt64 = 0
}

/// What a controller tells whoever watches it. All calls on T0.
public protocol LocationObserver: AnyObject {
  /// The effective state, or the version of the stored state it answers for, changed.
  func locationReports(_ location: LocationController)
  /// An entry was given up after its retries. Called before its offset may be committed.
  func location(_ location: LocationController, failed failure: ReplicationFailure)
  /// An entry ended while the location is pausing: fewer are in flight now.
  func locationIsDraining(_ location: LocationController)
  /// Everything below `offset` of that partition is done (not necessarily committed yet).
  func location(_ location: LocationController, consumedUpTo offset: Offset, of partition: Partition)
  /// Its consumer is dead, or can neither join nor leave: nothing moves here again before the node is started anew. More than once,
  /// perhaps.
  func location(_ location: LocationController, cannotGoOn error: KafkaError)
  /// It has stopped for good after `stop()`.
  func locationDidStop(_ location: LocationController)
}
