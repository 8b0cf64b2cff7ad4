// The Prometheus names that Backbeat's dashboards and alerts know, on the page of a real daemon that has replicated, failed, replayed,
// retried, waited for a target that is away, and lost entries of its log: each with its type, its labels, its bounds.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Server

/// A family as the reference has it.
private struct Family {
  let name: String
  let type: String
  let labels: Set<String>
  let bounds: [String]

  init(_ name: String, _ type: String, _ labels: String, _ bounds: String = "") {
    self.name = name
    self.type = type
    self.labels = Set(labels.split(separator: " ").map(String.init))
    self.bounds = bounds.split(separator: " ").map(String.init)
  }

  static func all(_ prefix: String, _ names: String, _ type: String, _ labels: String) -> [Family] {
    names.split(separator: " ").map { Family(prefix + $0, type, labels) }
  }

  /// What is wrong with it on a page; nothing where it is as it should be and has at least one sample.
  func problems(in page: Scrape) -> [String] {
    var problems: [String] = []
    if page.types[name] != type { problems.append("\(name) is \(page.types[name] ?? "missing"), not \(type)") }
    let samples = page.samples[type == "histogram" ? name + "_count" : name] ?? []
    if samples.isEmpty { problems.append("\(name) has no sample") }
    for sample in samples where Set(sample.labels.keys) != labels { problems.append("\(name) has \(sample.labels)") }
    guard type == "histogram" else { return problems }
    for found in page.bounds(name) where found != bounds + ["+Inf"] { problems.append("\(name) has the bounds \(found)") }
    if (page.samples[name + "_sum"] ?? []).count != samples.count { problems.append("\(name) lacks sums") }
    return problems
  }
}

private enum Names {
  static let queue = [
    Family("s3_backbeat_queue_latest_published_message_timestamp", "gauge", "topic partition"),
    Family("s3_backbeat_queue_delivery_reports_total", "counter", "status"),
    Family("s3_backbeat_queue_latest_consumed_message_timestamp", "gauge", "topic partition group"),
    Family("s3_backbeat_queue_latest_consume_event_timestamp", "gauge", "topic partition group"),
    Family("s3_backbeat_queue_rebalance_total", "counter", "topic group status"),
    Family("s3_backbeat_queue_slowTasks_count", "gauge", "topic partition group"),
    Family(
      "s3_backbeat_queue_task_processing_time_seconds", "histogram", "topic partition group error", "0.01 0.1 1 10 50 100 200 300"),
    Family("s3_circuit_breaker_errors_count", "counter", ""),
  ]
  static let copies = [
    Family("s3_replication_data_status_changed_total", "counter", "origin location replicationStatus"),
    Family("s3_replication_metadata_status_changed_total", "counter", "origin location replicationStatus"),
    Family("s3_replication_data_bytes_total", "counter", "origin serviceName location"),
    Family("s3_replication_metadata_bytes_total", "counter", "origin serviceName location"),
    Family("s3_replication_source_data_bytes_total", "counter", "origin serviceName location"),
    Family("s3_replication_data_read_total", "counter", "origin serviceName location"),
    Family("s3_replication_data_write_total", "counter", "origin serviceName location replicationContent"),
    Family(
      "s3_replication_stage_time_elapsed", "histogram", "origin serviceName location replicationStage",
      "10 100 1000 10000 30000 60000 120000 300000"),
    Family("s3_replication_rpo_seconds", "histogram", "origin serviceName location", "1 10 30 60 120 300 600"),
  ]
  static let breaker = [Family("s3_circuit_breaker", "gauge", "type")]
  static let statuses = [
    Family("s3_replication_status_changed_total", "counter", "origin replicationStatus"),
    Family(
      "s3_replication_status_process_duration_seconds", "histogram", "origin result replicationStatus", "0.05 0.1 0.2 0.3 0.4 0.5 1"),
    Family("s3_replication_latency_seconds", "histogram", "origin location replayCount replicationStatus", "1 10 30 60 120 300 600"),
    Family("s3_replication_replay_attempts_total", "counter", "origin location replayCount"),
    Family("s3_replication_replay_success_total", "counter", "origin location replayCount"),
    Family("s3_replication_replay_objects_queued_total", "counter", "origin location replayCount"),
    Family("s3_replication_replay_bytes_queued_total", "counter", "origin location replayCount"),
    Family("s3_replication_replay_file_sizes_queued", "histogram", "origin location replayCount", "3 1000"),
    Family("s3_replication_replay_objects_completed_total", "counter", "origin location replayCount replicationStatus"),
    Family("s3_replication_replay_bytes_completed_total", "counter", "origin location replayCount replicationStatus"),
    Family("s3_replication_replay_file_sizes_completed", "histogram", "origin location replayCount replicationStatus", "3 1000"),
    Family("s3_replication_replay_count", "histogram", "origin location", (0..<12).map(String.init).joined(separator: " ")),
  ]
  static let populator = [
    Family("s3_replication_populator_messages_total", "counter", "origin logName logId publishStatus"),
    Family("s3_replication_populator_objects_total", "counter", "origin logName logId"),
    Family("s3_replication_populator_bytes_total", "counter", "origin logName logId"),
  ]
  static let librdkafka: [Family] = [
    Family.all("rdkafka_", "replyq msg_cnt msg_size", "gauge", "handle type"),
    Family.all("rdkafka_cgrp_", "rebalance_age rebalance_cnt assignment_size", "gauge", "handle type"),
    Family.all(
      "rdkafka_broker_",
      "state tx txbytes txerrs txretries req_timeouts rx rxbytes rxerrs outbuf_cnt waitresp_cnt rtt_min rtt_avg rtt_max", "gauge",
      "handle type name nodeid"),
    Family.all(
      "rdkafka_topic_partition_",
      "consumer_lag fetchq_cnt fetchq_size next_offset app_offset committed_offset lo_offset hi_offset txmsgs txbytes msgq_cnt", "gauge",
      "handle type topic partition"),
  ].flatMap { $0 }
  static let process: [Family] = [
    Family.all("process_cpu_", "seconds_total user_seconds_total system_seconds_total", "counter", ""),
    Family.all(
      "process_", "start_time_seconds resident_memory_bytes virtual_memory_bytes open_fds max_fds", "gauge", ""),
  ].flatMap { $0 }
  static let gaps = [
    Family("downbeat_gap_entries", "gauge", "location topic"),
    Family("downbeat_gap_range_entries", "gauge", "location topic partition start end cause"),
  ]
}

@Suite(.serialized) struct MetricNamesTests {
  private static let topic = "backbeat-replication"

  private static func page(_ bench: ExternalBench) -> Scrape? {
    (try? bench.get("/metrics").body).map { Scrape($0) }  // asked for again
  }

  /// A partition whose beginning the broker has dropped, while a group stands at it.
  private static func loseEntries(_ side: TopicSide) throws {
    let garbage = [UInt8](repeating: UInt8(ascii: "x"), count: 900_000)
    for _ in 0..<9 { try side.send(topic, value: garbage, partition: 0) }
    try side.commit(topic, group: "backbeat-replication-group-east", partition: 0, offset: 0)
  }

  private static func removal(of key: String) -> ObjectRecord {
    var removal = ObjectRecord(bucket: "photos", key: key, versionId: nil, lastModified: ISO8601.string(ms: WallClock.nowMs()), sites: ["east"])
    removal.isDeleteMarker = true
    removal.content = ["METADATA"]
    return removal
  }

  @Test func aDaemonBesideABrokerShowsEveryNameItCanFill() throws {
    let bench = try ExternalBench(
      replication: """
        replayTopics: [{ topicName: replay-a, retries: 8 }, { topicName: replay-b, retries: 4 }]
            objectSizeMetrics: [3, 1000]
        """,
      locations: ["{ site: away, type: s3, endpoint: \"http://127.0.0.1:1\", bucket: copies, \(MotoServer.account) }"])
    let source = "\(bench.directory.path)/source/photos"
    for index in 0..<20 { try writeFile("\(source)/cat\(index)", "cat \(index)") }
    for key in ["cat3", "cat4"] { try writeFile("\(bench.directory.path)/west/photos/\(key)", "somebody else's") }
    let side = try TopicSide(bench.kafkaAddress)
    try Self.loseEntries(side)
    let daemon = try bench.start()
    for site in ["east", "west", "away"] {
      let resync = try bench.resync(site)
      #expect(resync.ending == .exited(0), "\(resync)")
    }
    // Failed, and again from a replay topic; then the way is free for one of the two.
    let queued = "s3_replication_replay_objects_queued_total"
    #expect(eventually(within: .seconds(90)) { (Self.page(bench)?.sum(queued, ["location": "west"]) ?? 0) >= 2 }, "\(daemon.output)")
    unlink("\(bench.directory.path)/west/photos/cat4")
    #expect(eventually(within: .seconds(120)) { bench.status("cat4", "west") == "COMPLETED" }, "\(daemon.output)")
    #expect(eventually(within: .seconds(120)) { bench.status("cat3", "west") == "FAILED" }, "\(daemon.output)")
    #expect(eventually(within: .seconds(60)) { (try? bench.get("/_/crr/failed?sitename=west").body.contains("cat3")) == true })  // not yet
    unlink("\(bench.directory.path)/west/photos/cat3")
    let retry = try bench.run("retry", "west", "--all", "--url", "http://127.0.0.1:\(bench.port)")
    #expect(retry.ending == .exited(0), "\(retry)")
    #expect(eventually(within: .seconds(60)) { bench.status("cat3", "west") == "COMPLETED" }, "\(daemon.output)")
    #expect(eventually(within: .seconds(60)) { bench.status("cat5", "east") == "COMPLETED" }, "\(daemon.output)")
    unlink("\(source)/cat5")
    let removal = Self.removal(of: "cat5")
    try side.send(Self.topic, key: EntryEncoder.messageKey(bucket: "photos", key: "cat5"), value: EntryEncoder.populated(removal))
    #expect(eventually(within: .seconds(60)) { access("\(bench.directory.path)/east/photos/cat5", F_OK) != 0 }, "\(daemon.output)")

    let expected = [Names.queue, Names.copies, Names.breaker, Names.statuses, Names.librdkafka, Names.process, Names.gaps].flatMap { $0 }
    // librdkafka reports every fifteen seconds.
    let isComplete = eventually(within: .seconds(90)) {
      guard let page = Self.page(bench) else { return false }
      return Self.isAllTold(page) && expected.allSatisfy { $0.problems(in: page).isEmpty }
    }
    #expect(isComplete, "\(daemon.output)")
    let page = try #require(Self.page(bench))
    #expect(expected.flatMap { $0.problems(in: page) } == [])
    #expect(PrometheusText(page.text).problems == [])
    check(page, daemon.output)
    try checkEachAlone(page) { try bench.get("/metrics?name[]=\($0)").body }
    try lint(page, bench.directory)
    side.close()
    daemon.killNow()
    bench.end()
  }

  private static func isAllTold(_ page: Scrape) -> Bool {
    let data = "s3_replication_data_status_changed_total"
    let metadata = "s3_replication_metadata_status_changed_total"
    return page.sum(data, ["location": "east"]) >= 20 && page.sum(metadata, ["location": "east"]) >= 21
      && page.sum(data, ["location": "west", "replicationStatus": "COMPLETED"]) >= 20
  }

  /// Figures that follow from what was done.
  private func check(_ page: Scrape, _ log: String) {
    let main = ["serviceName": "ReplicationQueueProcessor", "location": "west"]
    let replay = ["serviceName": "ReplicationReplayProcessor", "location": "west"]
    let data = ["replicationContent": "data"]
    let write = "s3_replication_data_write_total"
    // Eighteen at once, one by its retry, one from a replay topic.
    #expect(page.sum(write, data.merging(["location": "west"]) { $1 }) == 20)
    #expect(page.sum(write, data.merging(["location": "east"]) { $1 }) == 20)
    // A location's group has three members, for its topic and two replay topics. The mock cluster refuses a member's SyncGroup that comes
    // when the others have theirs (a broker answers it with the assignment); that member joins again, the group moves, and until it
    // has, commits are refused: what was done then comes again, and is told again.
    func hasMoved(_ site: String) -> Bool {
      log.split(separator: "\n").count { $0.contains("\"partitions assigned\"") && $0.contains("\"location\":\"\(site)\"") } > 3
    }
    func expect(_ told: Double, _ done: Double, of site: String, at location: SourceLocation = #_sourceLocation) {
      if told == done || hasMoved(site) && told > done { return }
      Issue.record("\(told) told of \(done) done\n\(log)", sourceLocation: location)
    }
    if !hasMoved("west") {
      #expect(page.sum(write, replay.merging(data) { $1 }) == 1)
      #expect(page.sum("s3_replication_data_bytes_total", replay) == 5)
    }
    #expect(page.sum("s3_replication_source_data_bytes_total", main) >= page.sum("s3_replication_data_bytes_total", main))
    expect(page.sum("s3_replication_data_status_changed_total", ["location": "west", "replicationStatus": "COMPLETED"]), 20, of: "west")
    #expect(page.sum("s3_replication_data_status_changed_total", ["location": "west", "replicationStatus": "FAILED"]) >= 14)
    // Twenty objects and a removal.
    expect(page.sum("s3_replication_metadata_status_changed_total", ["location": "east"]), 21, of: "east")
    expect(page.sum("s3_replication_data_status_changed_total", ["location": "east"]), 20, of: "east")
    #expect(
      page.sum("s3_replication_stage_time_elapsed_count", ["location": "east", "replicationStage": "ReplicationDestinationMetadataWrite"])
        == 1)
    expect(page.sum("s3_replication_rpo_seconds_count", main), 21, of: "west")
    expect(page.sum("s3_replication_replay_success_total", ["location": "west"]), 1, of: "west")
    expect(page.sum("s3_replication_replay_count_count", ["location": "west"]), 1, of: "west")
    expect(page.sum("s3_replication_replay_objects_completed_total", ["replicationStatus": "FAILED", "replayCount": "0"]), 1, of: "west")
    #expect(page.sum("s3_replication_replay_attempts_total") == page.sum("s3_replication_replay_objects_queued_total"))
    #expect(page.sum("s3_circuit_breaker_errors_count") >= 5)
    #expect(page.sum("s3_backbeat_queue_delivery_reports_total", ["status": "success"]) > 40)
    #expect(page.sum("downbeat_gap_entries", ["location": "east"]) > 0)
    #expect(page.sum("downbeat_gap_entries", ["location": "west"]) == 0)
    #expect(page.sum("downbeat_gap_range_entries", ["location": "east", "partition": "0", "start": "0", "cause": "belowLogStart"]) > 0)
    let now = Double(WallClock.nowMs()) / 1e3
    for kind in ["published_message", "consumed_message", "consume_event"] {
      let samples = page.samples["s3_backbeat_queue_latest_\(kind)_timestamp"] ?? []
      for sample in samples { #expect(abs(now - sample.value) < 600, "\(kind) \(sample)") }
    }
    #expect(abs(now - page.sum("process_start_time_seconds")) < 600)
    #expect(page.sum("process_resident_memory_bytes") > 1e6 && page.sum("process_open_fds") > 5)
    #expect(page.sum("process_cpu_seconds_total") > 0)
  }

  /// Each family of a page can be asked for, and comes alone. How many samples it has may have changed since.
  private func checkEachAlone(_ page: Scrape, _ get: (String) throws -> String) throws {
    for (name, type) in page.types {
      let alone = Scrape(try get(name))
      #expect(alone.types == [name: type], "\(name)")
      let series = type == "histogram" ? name + "_count" : name
      #expect((alone.samples[series] ?? []).isEmpty == (page.samples[series] ?? []).isEmpty, "\(name)")
    }
  }

  /// Where Prometheus' own tool is installed it must be able to read the page; what it says of names is for ours to mind, Backbeat's
  /// are as they are.
  private func lint(_ page: Scrape, _ directory: TemporaryDirectory) throws {
    let path = "\(directory.path)/page"
    try writeFile(path, page.text)
    let output = "\(directory.path)/promtool"
    let tool = try ChildProcess("sh", ["-c", "command -v promtool >/dev/null || exit 0; promtool check metrics < \(path)"], outputPath: output)
    let ending = tool.wait(within: .seconds(60))
    #expect(ending == .exited(0) || ending == .exited(3), "\(tool.output)")
    let complaints = tool.output.split(separator: "\n").filter { $0.hasPrefix("downbeat_") || $0.hasPrefix("process_") }
    #expect(complaints.isEmpty, "\(complaints)")
  }

  @Test func anEmbeddedDaemonShowsWhatItsPopulatorDoes() throws {
    let directory = TemporaryDirectory()
    let port = try freeLoopbackPort()
    for name in ["source", "source/photos", "east"] { _ = mkdir("\(directory.path)/\(name)", 0o755) }
    for index in 0..<5 { try writeFile("\(directory.path)/source/photos/cat\(index)", "cat") }
    try writeFile(
      "\(directory.path)/config.yaml",
      """
      server: { port: \(port) }
      extensions:
        replication:
          source: { type: file, path: \(directory.path)/source }
          destination: { bootstrapList: [{ site: east, type: file, path: \(directory.path)/east }] }
      """)
    let daemon = try ChildProcess(
      try downbeatBinary(), ["serve", "--embedded", "--config", "\(directory.path)/config.yaml", "--state-dir", "\(directory.path)/state"],
      outputPath: "\(directory.path)/daemon")
    func page() -> Scrape? { (try? request("GET", "/metrics", port: port).body).map { Scrape($0) } }  // nobody listens at first
    let done = ["location": "east", "replicationStatus": "COMPLETED"]
    let isDone = eventually(within: .seconds(60)) {
      guard let page = page() else { return false }
      return page.sum("s3_replication_data_status_changed_total", done) == 5 && page.sum("s3_replication_populator_objects_total") == 5
    }
    #expect(isDone, "\(daemon.output)")
    let shown = try #require(page())
    let expected = [Names.queue, Names.copies, Names.populator, Names.process].flatMap { $0 }
    #expect(expected.flatMap { $0.problems(in: shown) } == [])
    #expect(PrometheusText(shown.text).problems == [])
    #expect(shown.sum("s3_replication_populator_messages_total", ["publishStatus": "SUCCESS", "logId": "east"]) == 5)
    #expect(shown.sum("s3_replication_populator_bytes_total") == 15)
    #expect(shown.sum("s3_backbeat_queue_delivery_reports_total", ["status": "success"]) == 5)
    try checkEachAlone(shown) { try request("GET", "/metrics?name[]=\($0)", port: port).body }
    daemon.signal(SIGTERM)
    #expect(daemon.wait() == .exited(0), "\(daemon.output)")
  }
}
