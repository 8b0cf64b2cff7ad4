// The configuration as the rest of the daemon sees it: plain values, complete and checked.
//
// Every field has its default here, in one place, so `Configuration()` is a valid start for quickstart and tests. Names and
// defaults are Backbeat's wherever it has the concept. Reading a file into this is ConfigurationLoader's work; nothing in
// these types can fail, knows where it was written, or changes after the load (a SIGHUP makes a new value).

internal import HTTP
internal import Logging

/// Everything the operator decided.
struct Configuration: Equatable, Sendable {
  /// This node's name in reports, group instance ids and messages.
  var nodeID = "localhost"
  var server = Server()
  var kafka = Kafka()
  var zookeeper: ZooKeeper?
  var redis: Redis?
  var logLevel = Logger.Level.info
  /// How long a stop waits for running entries before it abandons them, seconds.
  var shutdownTimeoutS = 30
  var metricsTopic = "backbeat-metrics"
  var replication = Replication()
  var ingestion = Ingestion()
  /// Locations of the `lifecycle` service: the keys of locationConfig.json.
  var lifecycleLocations: [String] = []
}

/// A host and a port to connect to.
struct HostPort: Hashable, Sendable, CustomStringConvertible {
  var host: String
  var port: Int
  /// `host:port`, an IPv6 address in brackets.
  var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension Configuration {
  /// The REST server.
  struct Server: Equatable, Sendable {
    var bindAddress = IPAddress(v4: 0x7F00_0001)
    /// 0 lets the kernel choose.
    var port = 8900
    /// `Host` values accepted from a loopback peer besides loopback names.
    var allowedHosts: [String] = []
    /// Peers that may call, besides loopback, which always may.
    var allowFrom = AllowList([])
  }

  /// Kafka, common to every consumer and producer.
  struct Kafka: Equatable, Sendable {
    /// Empty in embedded mode, where the broker is ours.
    var hosts: [HostPort] = []
    /// Rack id for fetching from the nearest replica.
    var site: String?
    var staticMembership = false
    /// librdkafka properties over the pipeline's own defaults; `Secret` because some are, none needs printing.
    var properties: [String: Secret] = [:]
    var maxRequestSizeBytes = 5_000_020
    /// nil: the consumers' own.
    var maxPollIntervalMs: Int?
    /// `KAFKA_TOPIC_PREFIX`: goes before every topic name, but not before Redis channels.
    var topicPrefix = ""

    /// The topic's name on the broker.
    func topic(_ name: String) -> String { topicPrefix + name }
  }

  /// ZooKeeper, where the desired state lives.
  struct ZooKeeper: Equatable, Sendable {
    var hosts: [HostPort]
    /// The path every other one is relative to: empty, or `/backbeat`.
    var chroot = ""
    var autoCreateNamespace = false
    /// `user:password` of the digest scheme; nil leaves our nodes world-open as Backbeat's.
    var digestCredential: Secret?
  }

  /// Redis, the fast wake-up.
  struct Redis: Equatable, Sendable {
    enum Endpoint: Equatable, Sendable {
      case host(HostPort)
      case sentinels([HostPort], name: String, password: Secret?)
    }
    var endpoint: Endpoint
    var password: Secret?
  }

  /// `extensions.replication`.
  struct Replication: Equatable, Sendable {
    /// Nil where no location needs one.
    var source: Source?
    var locations: [Location] = []
    var topic = "backbeat-replication"
    var statusTopic = "backbeat-replication-status"
    var failedTopic = "backbeat-replication-failed"
    var deadLetterTopic = "backbeat-replication-dead-letter"
    var replayTopics: [ReplayTopic] = []
    var monitorsFailures = true
    var failureExpiryS = 86_400
    /// Upper bounds of the object size histogram, bytes.
    var objectSizeBounds = [66_560, 8_388_608, 68_157_440]
    var queueProcessor = QueueProcessor()
    var statusProcessor = StatusProcessor()

    struct ReplayTopic: Equatable, Sendable {
      var name: String
      var retries: Int
    }
  }

  /// `extensions.replication.queueProcessor`.
  struct QueueProcessor: Equatable, Sendable {
    enum PauseMode: String, CaseIterable, Sendable {
      /// Leave the subscription, as Backbeat does.
      case unsubscribe
      /// Keep the assignment with its partitions paused: resume without joining the group again.
      case hold
    }
    /// The base: a location's consumers use `<groupID>-<site>`.
    var groupID = "backbeat-replication-group"
    /// Tasks running at once, per location and node.
    var concurrency = 10
    /// Tasks taken and waiting behind those.
    var waitingMax = 10
    /// Tasks of one key taken and waiting.
    var waitingPerKeyMax = 10
    var workerThreads = 1
    /// A task that runs longer is named in the log and in `locations`.
    var stuckTaskS = 300
    var pauseMode = PauseMode.unsubscribe
    var mpuPartsConcurrency = 10
    var minMPUSizeMB = 20
    var retry = RetryTable()
    var probe: HostPort?

    /// The consumer group of a location.
    func group(site: String) -> String { "\(groupID)-\(site)" }
  }

  /// `extensions.replication.replicationStatusProcessor`.
  struct StatusProcessor: Equatable, Sendable {
    var groupID = "backbeat-replication-group"
    var concurrency = 10
    var retry = RetryTable()
    var probe: HostPort?
  }

  /// Retry settings by the kind of target.
  struct RetryTable: Equatable, Sendable {
    var awsS3 = Retry.cloud
    var azure = Retry.cloud
    var gcp = Retry.cloud
    /// Everything else.
    var scality = Retry()

    func settings(for type: LocationType) -> Retry {
      switch type {
      case .s3, .awsS3: awsS3
      case .azure: azure
      case .gcp: gcp
      case .file, .noop, .cloudserver: scality
      }
    }
  }

  /// How often and how patiently something is tried again.
  struct Retry: Equatable, Sendable {
    var maxRetries = 5
    var timeoutS = 300
    var backoffMinMs = 1000
    var backoffMaxMs = 300_000
    /// Share of a delay that is random, 0…1.
    var jitter = 0.1
    var factor = 1.5

    /// What Backbeat ships for cloud targets.
    static let cloud = Retry(timeoutS: 900, backoffMinMs: 60_000, backoffMaxMs: 900_000)
  }

  /// `extensions.ingestion`.
  struct Ingestion: Equatable, Sendable {
    struct Source: Equatable, Sendable {
      var location: String
      var isDisabled: Bool
    }
    var topic = "backbeat-ingestion"
    var sources: [Source] = []
  }
}
