// A Kafka cluster inside this process: librdkafka's own mock, reached over TCP on 127.0.0.1 exactly as a real one.
// It serves embedded mode, `downbeat broker` and the tests. Seen from outside it is Kafka with these differences
// (librdkafka 2.0.2, found in its source and confirmed by EmbeddedBrokerTests):
//
// - Memory only. A partition keeps at most 5 MiB *or* 100,000 produced batches, then drops its oldest batches, consumed
//   or not. Of two batches that are too big together the newer one is lost as well: keep a batch under half the limit.
// - A fetch brings one batch per partition, and one that finds nothing is answered after the whole `fetch.wait.max.ms`
//   even if data comes meanwhile: clients in embedded mode set it low.
// - The first join of a group takes 3 s, and a session time-out below that expels the joiner; a join to a living or
//   just emptied group takes about one session time-out, sometimes two.
//   While members join, commits are refused (`rebalanceInProgress`), where a real broker takes them.
// - Group offsets live as long as the process; a commit to a group without members is accepted only if nobody ever
//   joined it. No transactions across restarts, no ACLs, no TLS, no compaction, no retention by time, no static members.
//
// It owns a librdkafka instance that serves only as the mock's host. Safe to call from any thread: the mock does its
// work on a thread of its own and takes commands through a queue. Each call waits for that thread, a few microseconds.
internal import CLinux
internal import CRdkafka
internal import Glibc

public final class EmbeddedBroker: Sendable {
  /// Bytes of batches a partition keeps before it drops its oldest.
  public static let partitionBytesMax = 5 * 1024 * 1024
  /// Time a fetch may wait for data, milliseconds: what clients of this broker should set `fetch.wait.max.ms` to.
  public static let fetchWaitMsMax = 50

  /// Requests faults can be injected into; the numbers are Kafka's API keys.
  public enum Request: Int16, Sendable, CaseIterable {
    case produce = 0
    case fetch = 1
    case listOffsets = 2
    case metadata = 3
    case offsetCommit = 8
    case offsetFetch = 9
    case findCoordinator = 10
    case joinGroup = 11
    case heartbeat = 12
    case leaveGroup = 13
    case syncGroup = 14
  }

  /// A topic to create before the first client comes.
  public struct Topic: Hashable, Sendable {
    public var name: String
    public var partitions: Int
    public init(_ name: String, partitions: Int = 1) {
      self.name = name
      self.partitions = partitions
    }
  }

  /// `127.0.0.1:port`, one for each broker, comma separated. The ports are chosen by the kernel.
  public let bootstrapServers: String
  public let brokerCount: Int
  // nonisolated(unsafe): both pointers never change; librdkafka's mock functions may be called from any thread.
  private nonisolated(unsafe) let host: OpaquePointer
  private nonisolated(unsafe) let cluster: OpaquePointer  // as above

  /// - Parameter topics: created at once, so that no client meets an unknown topic.
  /// - Blocking: some milliseconds (threads and listening sockets).
  /// - Errors: no resources, or an impossible topic.
  public init(topics: [Topic] = [], brokers: Int = 1) throws(KafkaError) {
    precondition(brokers > 0)
    let conf = KafkaConf()
    conf.setOwn("client.id", "embedded-broker")
    // The host never connects anywhere; what it has to say would only confuse.
    conf.setOwn("log_level", "2")
    var text = [CChar](repeating: 0, count: KafkaConf.errorTextBytesMax)
    let confRaw = conf.release()
    guard let host = rd_kafka_new(RD_KAFKA_PRODUCER, confRaw, &text, text.count) else {
      rd_kafka_conf_destroy(confRaw)
      throw KafkaError(rd_kafka_last_error(), call: "embedded broker", reason: String(nulTerminated: text))
    }
    guard let cluster = rd_kafka_mock_cluster_new(host, Int32(brokers)),
      let servers = rd_kafka_mock_cluster_bootstraps(cluster)
    else {
      rd_kafka_destroy(host)
      throw KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, call: "rd_kafka_mock_cluster_new")
    }
    self.host = host
    self.cluster = cluster
    bootstrapServers = String(cString: servers)
    brokerCount = brokers
    for topic in topics { try createTopic(topic) }
  }

  /// Ends the brokers: clients still connected see the connection closed.
  /// - Blocking: until the mock's threads have ended, up to a second. Do not drop the last reference on a reactor.
  deinit {
    rd_kafka_mock_cluster_destroy(cluster)
    rd_kafka_destroy(host)
  }

  /// Creates the topic; each partition on every broker.
  public func createTopic(_ topic: Topic) throws(KafkaError) {
    try check(
      rd_kafka_mock_topic_create(cluster, topic.name, Int32(topic.partitions), Int32(brokerCount)),
      "rd_kafka_mock_topic_create", topic.name)
  }

  // MARK: Faults

  /// The next requests of that kind are answered with these errors, one each (`.transport`: the connection is cut).
  public func failNext(_ request: Request, with errors: [KafkaError.Code]) {
    let codes = errors.map { rd_kafka_resp_err_t(rawValue: $0.rawValue) }
    rd_kafka_mock_push_request_errors_array(cluster, request.rawValue, codes.count, codes)
  }

  public func clearFailures(of request: Request) { rd_kafka_mock_clear_request_errors(cluster, request.rawValue) }

  /// Cuts the broker's connections and refuses new ones; no leader changes.
  /// - Parameter broker: 1…`brokerCount`, nil for all.
  public func setDown(broker: Int? = nil) throws(KafkaError) {
    try check(rd_kafka_mock_broker_set_down(cluster, Int32(broker ?? -1)), "rd_kafka_mock_broker_set_down")
  }

  public func setUp(broker: Int? = nil) throws(KafkaError) {
    try check(rd_kafka_mock_broker_set_up(cluster, Int32(broker ?? -1)), "rd_kafka_mock_broker_set_up")
  }

  /// Delays each answer of the broker.
  public func setRoundTrip(milliseconds: Int, broker: Int? = nil) throws(KafkaError) {
    try check(
      rd_kafka_mock_broker_set_rtt(cluster, Int32(broker ?? -1), Int32(milliseconds)), "rd_kafka_mock_broker_set_rtt")
  }

  /// Moves a partition to another broker; nil: it has no leader.
  public func setLeader(topic: String, partition: Int, broker: Int?) throws(KafkaError) {
    try check(
      rd_kafka_mock_partition_set_leader(cluster, topic, Int32(partition), Int32(broker ?? -1)),
      "rd_kafka_mock_partition_set_leader", topic)
  }

  /// Moves a group to another coordinator.
  public func setCoordinator(group: String, broker: Int) throws(KafkaError) {
    try check(rd_kafka_mock_coordinator_set(cluster, "group", group, Int32(broker)), "rd_kafka_mock_coordinator_set")
  }

  /// Makes metadata answer with an error for the topic; nil: no more.
  public func setTopicError(_ topic: String, _ error: KafkaError.Code?) {
    rd_kafka_mock_topic_set_error(cluster, topic, rd_kafka_resp_err_t(rawValue: error?.rawValue ?? 0))
  }

  private func check(_ code: rd_kafka_resp_err_t, _ call: String, _ topic: String? = nil) throws(KafkaError) {
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code, call: call, topic: topic) }
  }
}
