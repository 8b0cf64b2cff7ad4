// The places objects come from and go to, as configured, and what this build can do with them.
//
// An entry of the bootstrap list keeps its name even when it is disabled: the API still answers for it, but it never joins
// its consumer group and never commits.

/// What kind of place a location is; the raw value is the configuration's word.
enum LocationType: String, CaseIterable, Sendable {
  case file, s3, noop, cloudserver
  // Backbeat's, reached through the source CloudServer.
  case awsS3 = "aws_s3"
  case azure, gcp
}

/// What kind of place the source is.
enum SourceType: String, CaseIterable, Sendable { case file, s3, cloudserver }

/// A part of the daemon that an operator can run apart.
enum Role: String, CaseIterable, Sendable {
  case api
  case queueProcessor = "queue-processor"
  case statusProcessor = "status-processor"
  case populator, ingestion, gc
}

/// What a build can serve. Whatever else a configuration asks for is an error unless it is disabled.
struct Capabilities: Equatable, Sendable {
  var locationTypes: Set<LocationType>
  var sourceTypes: Set<SourceType>
  var roles: Set<Role>
  /// Whether `serve` can work against Kafka, Redis and ZooKeeper servers, not only embedded.
  var externalServers: Bool

  static let everything = Capabilities(
    locationTypes: Set(LocationType.allCases), sourceTypes: Set(SourceType.allCases), roles: Set(Role.allCases),
    externalServers: true)
}

extension Configuration {
  /// One entry of `destination.bootstrapList`.
  struct Location: Equatable, Sendable {
    enum Service: Equatable, Sendable {
      case served(Target)
      /// `disabled: true`: listed, but neither consumed nor committed.
      case disabled
    }
    var site: String
    var type: LocationType
    var isDefault = false
    var service: Service

    var isDisabled: Bool { service == .disabled }

    /// Nil when disabled.
    var target: Target? {
      switch service {
      case .served(let target): target
      case .disabled: nil
      }
    }
  }

  /// Where a location's objects go.
  enum Target: Equatable, Sendable {
    case file(FileTarget)
    case s3(S3Target)
    /// Copies nothing and reports no status: for measuring the pipeline alone, and for drills.
    case noop(NoopTarget)
    case cloudserver(CloudServerTarget)
    /// aws_s3, azure, gcp: the source CloudServer writes for us.
    case throughSource

    struct NoopTarget: Equatable, Sendable {
      /// Each task takes so long; 0: it completes at once.
      var taskMs = 0
      /// Absolute; starts and ends of tasks are appended to it.
      var traceFile: String?

      var isPlain: Bool { taskMs == 0 && traceFile == nil }
    }

    struct FileTarget: Equatable, Sendable {
      /// Absolute.
      var path: String
      /// False: `<path>/<bucket>/<key>`; true: `<path>/<key>`.
      var bucketMatch = false
    }

    struct S3Target: Equatable, Sendable {
      var endpoint: S3Endpoint
      var bucket: String
      var bucketMatch = false
      /// Of the copies; nil: the bucket's default.
      var storageClass: String?
    }

    struct CloudServerTarget: Equatable, Sendable {
      var servers: [HostPort]
      var usesTLS = false
      var echo = false
    }
  }

  /// How to reach an S3 service.
  struct S3Endpoint: Equatable, Sendable {
    /// `http://…` or `https://…`, without a trailing slash.
    var url: String
    /// Tried in turn when that one cannot serve.
    var furtherURLs: [String] = []
    var region = "us-east-1"
    var pathStyle = true
    var credentials: S3Credentials
    var caFile: String?
  }

  struct S3Credentials: Equatable, Sendable {
    var accessKey: String
    var secretKey: Secret
    var sessionToken: Secret?
  }

  /// `extensions.replication.source`.
  enum Source: Equatable, Sendable {
    /// Object `<bucket>/<key>` is the regular file `<path>/<bucket>/<key>`; the path is absolute.
    case file(path: String)
    case s3(S3Endpoint)
    case cloudserver(CloudServerSource)

    struct CloudServerSource: Equatable, Sendable {
      var server: HostPort
      var usesTLS = false
      var auth: Auth
    }

    enum Auth: Equatable, Sendable {
      case account(String)
      case service(String)
      case role(vault: HostPort)
    }

    var type: SourceType {
      switch self {
      case .file: .file
      case .s3: .s3
      case .cloudserver: .cloudserver
      }
    }
  }
}
