// What routes other than pause and resume need. Each provider may be absent (the role does not run on this node): then its
// routes still check what they are asked and answer 503. All on the reactor's thread; a reply comes exactly once.
internal import HTTP
internal import Pipeline

// MARK: Health

/// What `GET /healthcheck` shows, in Backbeat's shape.
struct HealthReport: Equatable, Sendable {
  struct Partition: Equatable, Sendable {
    var id: Int32
    var leader: Int32
    var replicas: [Int32]
    var isrs: [Int32]
  }
  /// The replication topic; nil when the broker does not know it.
  var topic: (name: String, partitions: [Partition])?
  /// Name and code of the ZooKeeper client's state: `SYNC_CONNECTED` 3 is good.
  var storeState: (name: String, code: Int)
  var isProducerReady: Bool

  static func == (left: HealthReport, right: HealthReport) -> Bool {
    left.topic?.name == right.topic?.name && left.topic?.partitions == right.topic?.partitions
      && left.storeState == right.storeState && left.isProducerReady == right.isProducerReady
  }
}

/// One reason for not being ready: a member of the probe's failure body.
struct ProbeProblem: Equatable, Sendable {
  /// `Consumer`, `Replication Status Producer`, `Zookeeper`, …
  var component: String
  /// `NOT_READY`, `UNDEFINED`, `NOT_CONNECTED`.
  var status: String
  var site: String?
  var topic: String?
  var code: Int?
  /// In words; Backbeat has none.
  var reason: String?
}

protocol HealthProvider: AnyObject {
  /// Empty: alive.
  func livenessProblems() -> [ProbeProblem]
  /// Empty: ready. A paused location is no problem.
  func readinessProblems() -> [ProbeProblem]
  /// Asks the broker; nil when it cannot be asked or a partition has nobody in sync.
  func healthcheck(_ reply: @escaping (HealthReport?) -> Void)
}

// MARK: Metrics

protocol PrometheusProvider: AnyObject {
  /// Appends text format 0.0.4.
  /// - Parameter families: by name; empty: all.
  func render(_ families: Set<String>, into text: inout [UInt8])
}

/// Sums over the asked locations.
struct LocationMetrics: Equatable, Sendable {
  struct Amount: Equatable, Sendable {
    var count: Int64 = 0
    var bytes: Int64 = 0
  }
  var pending = Amount()
  /// Of the last 24 hours.
  var completions = Amount()
  /// Of the last 24 hours; bytes are not counted.
  var failures: Int64 = 0
  /// Operations and bytes a second over the last 15 minutes.
  var operationsPerSecond = 0.0
  var bytesPerSecond = 0.0
}

struct ObjectMetrics: Equatable, Sendable {
  var bytesTotal: Int64 = 0
  var bytesDone: Int64 = 0
  var bytesPerSecond = 0.0
}

protocol LocationMetricsProvider: AnyObject {
  /// - Returns in the reply: nil when the counters cannot be read.
  func metrics(of locations: [LocationKey], _ reply: @escaping (LocationMetrics?) -> Void)
  func metrics(of object: ObjectVersionName, at location: LocationKey, _ reply: @escaping (ObjectMetrics?) -> Void)
}

/// An object version as routes name it; the version id in its encoded form.
struct ObjectVersionName: Equatable, Hashable, Sendable {
  var bucket: String
  var key: String
  var versionId: String?
}

// MARK: Failed replications

struct FailedItem: Equatable, Sendable {
  var object: ObjectVersionName
  var location: String
  var size: Int64
  /// ISO 8601, as stored with the object.
  var lastModified: String
  /// Stable code; empty where nobody wrote down why it failed.
  var reason = ""
  /// One line for a person.
  var message = ""
  /// 0 where nobody counted.
  var attempts = 0
  /// Unix ms; nil for what was enqueued again.
  var failedAtMs: Int64?
}

struct FailedPage: Equatable, Sendable {
  var items: [FailedItem]
  /// Where the next page begins (a score, Unix ms); nil on the last one.
  var nextMarker: Int64?
}

struct RetryRequest: Equatable, Hashable, Sendable {
  var object: ObjectVersionName
  var location: String
  /// Retry although no failure is recorded.
  var isForced: Bool
}

protocol FailedListProvider: AnyObject {
  /// One page of a location, from the newest or from `marker` (Unix ms) backwards. The location need not be configured.
  /// - Returns in the replies: nil when the list cannot be read.
  func page(of location: String, marker: Int64?, _ reply: @escaping (FailedPage?) -> Void)
  /// Failures of one version at any configured location.
  func failures(of object: ObjectVersionName, _ reply: @escaping ([FailedItem]?) -> Void)
  /// Enqueues what can be retried and answers exactly that.
  func retry(_ requests: [RetryRequest], _ reply: @escaping ([FailedItem]?) -> Void)
}

// MARK: Pages

/// A fixed answer at the root, for example the dashboard: `/`, `/dashboard.js`.
struct StaticPage: Sendable {
  /// From `/`, as compared with the decoded path.
  var path: String
  var contentType: StaticString
  var body: [UInt8]
}
