// What can go wrong between us and Kafka, as one value: librdkafka's code, the call or event that reported it and, where
// there is one, the topic and partition. The texts are librdkafka's; no property value is ever put into one.
// It deliberately is no enum of cases: librdkafka knows some 150 codes and a broker may answer with a newer one.
internal import CRdkafka
public import PipelineCore

public struct KafkaError: Error, Hashable, Sendable, CustomStringConvertible {
  /// librdkafka's number: negative for errors found in the client, positive for the broker's own.
  public struct Code: RawRepresentable, Hashable, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    init(_ code: rd_kafka_resp_err_t) { rawValue = code.rawValue }
  }

  public let code: Code
  /// The librdkafka call or the kind of event, for example `rd_kafka_subscribe` or `fetch`.
  public let call: String
  public let topic: String?
  public let partition: Partition?
  /// librdkafka's words, or its standing text for the code.
  public let reason: String

  public init(_ code: Code, call: String, topic: String? = nil, partition: Partition? = nil, reason: String? = nil) {
    self.code = code
    self.call = call
    self.topic = topic
    self.partition = partition
    self.reason = reason ?? code.text
  }

  init(_ code: rd_kafka_resp_err_t, call: String, topic: String? = nil, partition: Partition? = nil, reason: String? = nil) {
    self.init(Code(code), call: call, topic: topic, partition: partition, reason: reason)
  }

  /// Takes over an error object of librdkafka and frees it.
  init(consuming error: OpaquePointer, call: String, topic: String? = nil) {
    defer { rd_kafka_error_destroy(error) }
    self.init(
      Code(rd_kafka_error_code(error)), call: call, topic: topic,
      reason: rd_kafka_error_string(error).map { String(cString: $0) })
  }

  /// The instance is dead for good, and says nothing more. As we configure it that is a consumer whose static name another member of
  /// the group has taken (`isFenced`): a new one would take it back from whoever works under it, so the node ends instead.
  public var isFatal: Bool { code == .fatal || code == .fenced || code == .fencedInstance }

  /// Another process has joined under the same static name (`group.instance.id`).
  public var isFenced: Bool { code == .fencedInstance }

  /// The broker's limit for a batch (`max.message.bytes`) or its log's (`segment.bytes`); or ours for a message.
  public var isTooLarge: Bool { code == .messageTooLarge || code == .batchTooLarge }

  /// Worth trying again later, unchanged. Everything not listed is not.
  public var isRetriable: Bool { Self.retriable.contains(code) }

  private static let retriable: Set<Code> = [
    .queueFull, .timedOut, .messageTimedOut, .transport, .allBrokersDown, .waitForCoordinator, .retry, .requestTimedOut,
    .leaderNotAvailable, .notLeader, .brokerNotAvailable, .coordinatorLoading, .coordinatorNotAvailable, .notCoordinator,
    .notEnoughReplicas, .notEnoughReplicasAfterAppend, .rebalanceInProgress, .closing, .purged, .tooManyCommits,
  ]

  public var description: String {
    var place = ""
    if let topic { place = " \(topic)" }
    if let partition { place += "[\(partition)]" }
    return "\(call)\(place): \(reason) (\(code.name))"
  }
}

extension KafkaError.Code: CustomStringConvertible {
  /// The bound of a local queue: the caller waits for acknowledgements (back-pressure), nothing is lost.
  public static let queueFull = Self(RD_KAFKA_RESP_ERR__QUEUE_FULL)
  public static let timedOut = Self(RD_KAFKA_RESP_ERR__TIMED_OUT)
  public static let messageTimedOut = Self(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
  public static let transport = Self(RD_KAFKA_RESP_ERR__TRANSPORT)
  public static let allBrokersDown = Self(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
  public static let waitForCoordinator = Self(RD_KAFKA_RESP_ERR__WAIT_COORD)
  public static let retry = Self(RD_KAFKA_RESP_ERR__RETRY)
  public static let fatal = Self(RD_KAFKA_RESP_ERR__FATAL)
  public static let fenced = Self(RD_KAFKA_RESP_ERR__FENCED)
  public static let state = Self(RD_KAFKA_RESP_ERR__STATE)
  public static let invalidArgument = Self(RD_KAFKA_RESP_ERR__INVALID_ARG)
  public static let noOffset = Self(RD_KAFKA_RESP_ERR__NO_OFFSET)
  public static let offsetReset = Self(RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
  public static let badMessage = Self(RD_KAFKA_RESP_ERR__BAD_MSG)
  public static let badCompression = Self(RD_KAFKA_RESP_ERR__BAD_COMPRESSION)
  public static let notImplemented = Self(RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED)
  public static let maxPollExceeded = Self(RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED)
  public static let assignmentLost = Self(RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST)
  public static let partitionEnd = Self(RD_KAFKA_RESP_ERR__PARTITION_EOF)
  /// The instance was closed before the answer came.
  public static let closing = Self(RD_KAFKA_RESP_ERR__DESTROY)
  /// Thrown away at close without having been delivered.
  public static let purged = Self(RD_KAFKA_RESP_ERR__PURGE_QUEUE)
  /// Too many commits are waiting for their answer (`Consumer.commitsInFlightMax`).
  public static let tooManyCommits = Self(RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS)
  public static let unknownTopicOrPartition = Self(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
  public static let unknownTopic = Self(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
  public static let topicAuthorizationFailed = Self(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
  public static let offsetOutOfRange = Self(RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
  public static let messageTooLarge = Self(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
  public static let batchTooLarge = Self(RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE)
  public static let requestTimedOut = Self(RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT)
  public static let leaderNotAvailable = Self(RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
  public static let notLeader = Self(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION)
  public static let brokerNotAvailable = Self(RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE)
  public static let coordinatorLoading = Self(RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS)
  public static let coordinatorNotAvailable = Self(RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE)
  public static let notCoordinator = Self(RD_KAFKA_RESP_ERR_NOT_COORDINATOR)
  public static let notEnoughReplicas = Self(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS)
  public static let notEnoughReplicasAfterAppend = Self(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND)
  public static let illegalGeneration = Self(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION)
  public static let unknownMember = Self(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID)
  public static let rebalanceInProgress = Self(RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS)
  public static let fencedInstance = Self(RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)

  private var raw: rd_kafka_resp_err_t { rd_kafka_resp_err_t(rawValue: rawValue) }

  /// librdkafka's symbolic name, for example `_QUEUE_FULL`: fit for a metric's label.
  public var name: String { rd_kafka_err2name(raw).map { String(cString: $0) } ?? String(rawValue) }
  public var text: String { rd_kafka_err2str(raw).map { String(cString: $0) } ?? "error \(rawValue)" }
  public var description: String { name }
}
