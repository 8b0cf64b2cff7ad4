// The operator's properties: which are refused, that a secret never shows, and what is in force in the end.
import Testing

@testable import Pipeline

@Suite struct KafkaPropertiesTests {
  private func refusal(_ user: [String: String]) -> KafkaPropertyError? {
    do throws(KafkaPropertyError) {
      _ = try KafkaProperties(bootstrapServers: "127.0.0.1:9092", user: user)
      return nil
    } catch {
      return error
    }
  }

  @Test func everyPropertyOurPromisesRestOnIsRefusedByName() {
    let keys = [
      "group.id", "group.instance.id", "enable.auto.offset.store", "enable.auto.commit", "auto.offset.reset",
      "partition.assignment.strategy", "plugin.library.paths",
    ]
    for key in keys {
      #expect(refusal([key: "x"]) == .reserved(key: key))
      #expect(refusal([key: "x"])?.description.contains(key) == true)
    }
  }

  /// An offset is committed when its status is on the broker, and statuses keep their order: no value says otherwise.
  @Test func weakerAcknowledgementsAreRefusedByName() {
    let weaker = [
      ("acks", "0"), ("acks", "1"), ("acks", "2"), ("request.required.acks", "0"), ("max.in.flight.requests.per.connection", "5"),
      ("max.in.flight", "1000000"), ("enable.idempotence", "true"), ("queuing.strategy", "lifo"), ("delivery.report.only.error", "true"),
    ]
    for (key, value) in weaker {
      guard case .required(key, _) = refusal([key: value]) else {
        Issue.record("\(key)=\(value) is not refused for itself")
        continue
      }
      #expect(refusal([key: value])?.description.contains(key) == true)
    }
    #expect(refusal(["transactional.id": "x"]) == .reserved(key: "transactional.id"))
    #expect(refusal(["acks": "many"])?.key == "acks")
    let asIs = [
      "acks": "all", "request.required.acks": "-1", "max.in.flight": "1", "enable.idempotence": "false", "queuing.strategy": "fifo",
      "delivery.report.only.error": "false",
    ]
    #expect(refusal(asIs) == nil && refusal(["acks": "-1", "max.in.flight.requests.per.connection": "1"]) == nil)
  }

  @Test func unknownKeysAndRefusedValuesNameTheKey() {
    #expect(refusal(["sesion.timeout.ms": "1"]) == .unknown(key: "sesion.timeout.ms"))
    #expect(refusal(["session.timeout.ms": "soon"])?.key == "session.timeout.ms")
    #expect(refusal(["security.protocol": "carrier-pigeon"])?.description.contains("security.protocol") == true)
    #expect(refusal(["session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"]) == nil)
  }

  /// A pointer given as text would be called.
  @Test func callbacksCannotBeSetByName() {
    for key in ["rebalance_cb", "log_cb", "opaque", "socket_cb", "interceptors", "default_topic_conf"] {
      #expect(refusal([key: "0x1"]) != nil, "\(key)")
    }
  }

  @Test func secretsAreNeverPrinted() throws {
    let secret = "hunter2-\u{1F511}"
    let keys = ["sasl.password", "sasl.username", "ssl.key.password", "ssl.keystore.password", "sasl.oauthbearer.client.secret"]
    for key in keys {
      #expect(KafkaProperties.isSecret(key), "\(key)")
      if let refused = refusal([key: secret]) { #expect(!refused.description.contains(secret)) }
    }
    let properties = try KafkaProperties(bootstrapServers: "h:1", user: ["sasl.password": secret, "debug": "cgrp"])
    #expect(!"\(properties)".contains(secret))
    #expect("\(properties)".contains("debug=cgrp") && "\(properties)".contains("sasl.password=(hidden)"))
    #expect(refusal(["ssl.key.pem": secret])?.description.contains(secret) != true)
  }

  @Test func withoutABrokerThereIsNothingToConnectTo() {
    #expect(throws: KafkaPropertyError.self) { try KafkaProperties(bootstrapServers: "") }
  }

  @Test func defaultsThenTheOperatorsThenOurs() throws {
    let properties = try KafkaProperties(
      bootstrapServers: "127.0.0.1:1", user: ["session.timeout.ms": "7000", "log.queue": "false", "linger.ms": "50"])
    var consumer = ConsumerConfiguration(properties: properties, groupId: "grp", topic: "t")
    consumer.instanceId = "node-a/t"
    let conf = try consumer.conf()
    let expected = [
      "bootstrap.servers": "127.0.0.1:1", "group.id": "grp", "group.instance.id": "node-a/t", "session.timeout.ms": "7000",
      "heartbeat.interval.ms": "3000", "enable.auto.commit": "false", "enable.auto.offset.store": "false",
      "auto.offset.reset": "error", "partition.assignment.strategy": "range,roundrobin", "check.crcs": "true",
      "log.queue": "true", "queued.max.messages.kbytes": "16384", "client.id": "downbeat", "statistics.interval.ms": "0",
    ]
    for (key, value) in expected { #expect(conf.get(key) == value, "\(key)") }
    let producer = try ProducerConfiguration(properties: properties).conf()
    #expect(producer.get("acks") == "-1" && producer.get("enable.idempotence") == "false" && producer.get("linger.ms") == "50")
    #expect(producer.get("max.in.flight.requests.per.connection") == "1")
  }

  /// A hundred locations share the prefetch of one; an answer under way is no larger than what may wait.
  @Test func anAnswerToAFetchIsBoundedAsTheQueueIs() throws {
    func fetchBytesMax(queuedKiBMax: Int, _ user: [String: String]) throws -> String? {
      var consumer = ConsumerConfiguration(
        properties: try KafkaProperties(bootstrapServers: "127.0.0.1:1", user: user), groupId: "grp", topic: "t")
      consumer.queuedKiBMax = queuedKiBMax
      return try consumer.conf().get("fetch.max.bytes")
    }
    #expect(try fetchBytesMax(queuedKiBMax: 16_384, [:]) == "16777216")
    #expect(try fetchBytesMax(queuedKiBMax: 1_024, [:]) == "1048576")
    #expect(KafkaConf().get("message.max.bytes") == String(ConsumerConfiguration.messageBytesMaxDefault))
    #expect(try fetchBytesMax(queuedKiBMax: 512, [:]) == "1000000")
    #expect(try fetchBytesMax(queuedKiBMax: 1_024, ["message.max.bytes": "5000020"]) == "5000020")
    #expect(try fetchBytesMax(queuedKiBMax: 1_024, ["fetch.max.bytes": "20000000"]) == "20000000")
  }

  /// The bound for the answer to a join; never below the session, which librdkafka would refuse.
  @Test func aJoinIsAskedForAgainAfterAMinute() throws {
    func pollIntervalMs(_ user: [String: String], _ given: Int? = nil) throws -> String? {
      var consumer = ConsumerConfiguration(
        properties: try KafkaProperties(bootstrapServers: "127.0.0.1:1", user: user), groupId: "grp", topic: "t")
      consumer.maxPollIntervalMs = given
      return try consumer.conf().get("max.poll.interval.ms")
    }
    #expect(try pollIntervalMs([:]) == "60000")
    #expect(try pollIntervalMs([:], 300_000) == "300000")
    #expect(try pollIntervalMs(["session.timeout.ms": "90000"]) == "90000")
    #expect(try pollIntervalMs(["max.poll.interval.ms": "7000", "session.timeout.ms": "6000"], 45_000) == "7000")
  }

  @Test func errorsNameWhatFailedAndWhetherToTryAgain() {
    let error = KafkaError(.queueFull, call: "produce", topic: "t", partition: nil)
    #expect(error.description == "produce t: Local: Queue full (_QUEUE_FULL)")
    #expect(error.isRetriable && !error.isFatal)
    #expect(KafkaError(.fatal, call: "x").isFatal && KafkaError(.fencedInstance, call: "x").isFatal)
    #expect(!KafkaError(.topicAuthorizationFailed, call: "x").isRetriable)
    #expect(KafkaError(KafkaError.Code(rawValue: 12_345), call: "x").description.contains("12345"))
  }
}

@Suite struct RefillTests {
  @Test func fetchingIsAskedForWhenAWellFilledQueueIsHalfEmpty() {
    let conf = KafkaConf()
    conf.setOwn("queued.max.messages.kbytes", "1000")
    var refill = Refill(conf)
    // The bound is 100 messages. First never near it, then beyond it; what does not come is asked for again.
    let asks = [40, 10, 160, 81, 80, 79, 40, 20].map { refill.shouldAsk(waiting: $0, bytesEach: 10_240) }
    #expect(asks == [false, false, false, false, true, false, true, false])
  }
}
