// What the embedded populator is told and what it says: values that cross threads.

/// How paths of the source are objects.
public enum SourceNaming: Sendable {
  /// The whole tree is one bucket (`quickstart`): the key is the path.
  case oneBucket(String)
  /// Every directory at the top is a bucket; files beside them are no objects.
  case bucketPerDirectory

  /// The object a file of the source is; nil if it is none.
  public func object(at path: String) -> ObjectName? {
    switch self {
    case .oneBucket(let bucket): return ObjectName(bucket: bucket, key: path)
    case .bucketPerDirectory:
      guard let slash = path.firstIndex(of: "/") else { return nil }
      return ObjectName(bucket: String(path[..<slash]), key: String(path[path.index(after: slash)...]))
    }
  }

  /// Where the object's file is in the source; nil if it belongs to another bucket.
  public func path(of object: ObjectName) -> String? {
    switch self {
    case .oneBucket(let bucket): bucket == object.bucket ? object.key : nil
    case .bucketPerDirectory: object.bucket + "/" + object.key
    }
  }
}

/// One location as the populator sees it.
public struct PopulatedLocation: Sendable {
  public var site: String
  /// Partitions of the location's topic.
  public var partitionCount: Int
  /// Starts without listing until `resume`.
  public var isPaused: Bool
  /// Root of its copies, walked for copies whose source is gone; nil: they are not walked.
  public var deletesFrom: String?
  /// What is seen to go away is deleted there too, even where copies are not walked.
  public var followsSeenDeletes: Bool
  /// Called on the thread that is going to use the probe: once on the lister's, once on a `SourceLook`'s.
  public var makeProbe: @Sendable () throws -> any CopyProbe

  public init(
    site: String, partitionCount: Int, isPaused: Bool = false, deletesFrom: String? = nil, followsSeenDeletes: Bool = false,
    makeProbe: @escaping @Sendable () throws -> any CopyProbe
  ) {
    precondition(partitionCount > 0)
    self.site = site
    self.partitionCount = partitionCount
    self.isPaused = isPaused
    self.deletesFrom = deletesFrom
    self.followsSeenDeletes = followsSeenDeletes || deletesFrom != nil
    self.makeProbe = makeProbe
  }
}

/// One entry on its way to a location's topic.
public struct EnqueueItem: Sendable {
  /// Index of the location in the populator's configuration.
  public var location: Int32
  /// Chosen by the key, so that the entries of one object stay in order.
  public var partition: Int32
  /// The message key: percent-encoded `<bucket>/<key>`.
  public var key: [UInt8]
  public var value: [UInt8]
  public var keyHash: UInt64

  public init(location: Int32, partition: Int32, key: [UInt8], value: [UInt8], keyHash: UInt64) {
    self.location = location
    self.partition = partition
    self.key = key
    self.value = value
    self.keyHash = keyHash
  }

  /// Bytes it counts for in the window.
  public var cost: Int { EnqueueWindow.cost(keyBytes: key.count, valueBytes: value.count) }

  func credit(wasEnqueued: Bool) -> EnqueueCredit {
    EnqueueCredit(
      location: location, partition: partition, bytes: Int32(clamping: cost), wasEnqueued: wasEnqueued, keyHash: keyHash)
  }
}

/// Something the reactor must hear of, in order.
public enum PopulatorEvent: Hashable, Sendable {
  /// A path of the source that cannot be replicated to the location.
  case failed(location: Int, TreeFailure)
  /// A listing of the source ended. Failures recorded for this location before it began and not repeated since are over.
  case listed(location: Int, beganAtMs: Int64, TreeCounts)
  /// For the operator, once per cause.
  case note(String)
  /// The lister cannot work at all.
  case unable(String)
}

/// Where the populator is with one location; a snapshot.
public struct PopulatorStatus: Hashable, Sendable {
  public enum Phase: Hashable, Sendable {
    case paused
    /// Going through the source.
    case listing
    /// The source was listed; changes are followed.
    case following
  }

  public var phase: Phase = .paused
  public var listingsCompleted = 0
  /// Of the running listing, else of the last one.
  public var counts = TreeCounts()
  /// Objects found complete at the location, since the start.
  public var upToDateObjects: Int64 = 0
  public var upToDateBytes: Int64 = 0
  /// Entries handed out, since the start.
  public var enqueuedObjects: Int64 = 0
  public var enqueuedBytes: Int64 = 0
  public var enqueuedDeletes: Int64 = 0
  /// Entries handed out whose offset is not committed yet.
  public var unconsumed = 0
  /// Bytes of their objects, each counted once and as it was enqueued last.
  public var unconsumedBytes: Int64 = 0
  /// Paths whose change was seen and has not been looked at: they rest, or the window is full.
  public var changesWaiting = 0
  /// True while nothing is left to list, to look at or to send, and everything sent was committed.
  public var isSettled = false
  /// False while some directory cannot be watched: then the source is listed again at intervals.
  public var followsByEvents = true
  /// Why copies whose source seems gone were left alone after the last listing.
  public var deletesWithheld: String?

  public init() {}
}

/// The bounds and intervals of the populator; other values only in tests.
public struct PopulatorTuning: Sendable {
  /// Names read, or paths looked at, in one turn of a location.
  public var entriesPerTurnMax = 128
  /// How often the source is listed again while events are missing.
  public var relistInterval: Duration = .seconds(30)
  /// How long a path rests after its last event.
  public var settle = DirtyPaths.settle
  public var dirtyPathsMax = DirtyPaths.pathsMax
  public var watchesMax = SourceWatcher.watchesMax
  public var windowBytesMax = EnqueueWindow.bytesMax

  public init() {}
}
