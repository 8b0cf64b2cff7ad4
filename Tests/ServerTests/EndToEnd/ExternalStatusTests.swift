// The way of a result beside an external broker, as an operator sees it: `resync` enqueues, the daemon copies, the status processor
// marks the source, the failed list in Redis names what failed, a retry clears it. The real binary four times over: broker,
// daemon and commands; redis-server.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@Suite(.serialized) struct ExternalStatusTests {
  @Test func whatIsEnqueuedIsMarkedListedAndRetried() throws {
    let bench = try ExternalBench()
    let count = 20
    for index in 0..<count { try writeFile("\(bench.directory.path)/source/photos/cat\(index)", "cat \(index)") }
    try writeFile("\(bench.directory.path)/west/photos/cat3", "somebody else's")
    let url = ["--url", "http://127.0.0.1:\(bench.port)"]
    let dry = try bench.resync("east", "--dry-run")
    #expect(dry.ending == .exited(0) && dry.output.contains("20 listed, 0 there already, 20 to enqueue"), "\(dry)")
    let daemon = try bench.start()
    for site in ["east", "west"] {
      let resync = try bench.resync(site)
      #expect(resync.ending == .exited(0) && resync.output.contains("20 enqueued"), "\(resync)")
    }
    let isMarked = eventually(within: .seconds(60)) {
      (0..<count).allSatisfy { bench.status("cat\($0)") == ($0 == 3 ? "FAILED" : "COMPLETED") }
    }
    #expect(isMarked, "\((0..<count).map { bench.status("cat\($0)") ?? "-" }) \(daemon.output)")
    #expect(eventually(within: .seconds(30)) { bench.status("cat3", "east") == "COMPLETED" }, "\(daemon.output)")
    #expect(bench.status("cat3", "west") == "FAILED")

    let list = "/_/crr/failed?sitename=west"
    #expect(eventually(within: .seconds(60)) { (try? bench.get(list).body.contains("TargetOccupied")) == true })  // not yet there
    let page = try bench.get(list).body
    #expect(page.contains(#""Bucket":"photos","Key":"cat3","StorageClass":"west","Size":5"#), "\(page)")
    #expect(page.contains(#""Attempts":1"#), "\(page)")
    let failed = try bench.run("failed", "west", url[0], url[1])
    #expect(failed.ending == .exited(0) && failed.output.contains("TargetOccupied"), "\(failed)")
    #expect(try bench.get("/_/crr/failed/photos/cat3?versionId=").status == 200)

    unlink("\(bench.directory.path)/west/photos/cat3")
    let retry = try bench.run("retry", "west", "--all", url[0], url[1])
    #expect(retry.ending == .exited(0) && retry.output.contains("1 of 1"), "\(retry) \(daemon.output)")
    #expect(eventually(within: .seconds(60)) { bench.status("cat3") == "COMPLETED" }, "\(daemon.output)")
    #expect(try bench.get(list).body == #"{"IsTruncated":false,"Versions":[]}"#)
    let again = try bench.resync("west")
    #expect(again.output.contains("20 listed, 20 there already, 0 enqueued"), "\(again)")
    let isCounted = eventually(within: .seconds(60)) {
      (try? bench.get("/_/metrics/crr/all/completions").body.contains(#""count":40"#)) == true  // counted a moment later
    }
    let metrics = try bench.get("/_/metrics/crr/all").body
    #expect(isCounted, "\(metrics)")
    let table = try bench.run("metrics", url[0], url[1])
    #expect(table.ending == .exited(0) && table.output.contains("COMPLETED") && table.output.contains("all "), "\(table)")
    let prometheus = try bench.get("/metrics").body
    #expect(PrometheusText(prometheus).problems.isEmpty)
    for name in ["s3_replication_status_changed_total", "s3_replication_latency_seconds_bucket", "downbeat_status_in_flight"] {
      #expect(prometheus.contains(name), "\(prometheus)")
    }
    #expect(prometheus.contains(#"s3_replication_status_changed_total{origin="replication",replicationStatus="COMPLETED"} 40"#))

    daemon.signal(SIGTERM)
    #expect(daemon.wait() == .exited(0), "\(daemon.output)")
    bench.end()
  }

  @Test func aResyncNamesWhatItCannotDo() throws {
    let bench = try ExternalBench()
    let unknown = try bench.resync("north")
    #expect(unknown.ending == .exited(2) && unknown.output.contains("no location “north”"), "\(unknown)")
    let bucket = try bench.resync("east", "--bucket", "none")
    #expect(bucket.ending == .exited(1), "\(bucket)")
    bench.end()
  }

  @Test func aResyncKeepsToItsRateAndTellsHowFarItIs() throws {
    let bench = try ExternalBench()
    for index in 0..<60 { try writeFile("\(bench.directory.path)/source/photos/cat\(index)", "cat") }
    let start = Instant.nowUncached()
    let resync = try bench.resync("east", "--rate", "10")
    let took = Instant.nowUncached() - start
    #expect(resync.ending == .exited(0) && resync.output.contains("60 enqueued"), "\(resync)")
    #expect(took > .milliseconds(5_500), "\(took)")
    // Every five seconds a line, where it is no terminal, and one at the end.
    #expect(resync.output.split(separator: "\n").count { $0.hasPrefix("east: 5") || $0.hasPrefix("east: 6") } >= 2, "\(resync)")
    bench.end()
  }

  /// Nothing listens there: who waits is told after half a minute, who interrupts is not kept.
  @Test func aResyncWithoutBrokersEndsAndSaysSo() throws {
    let bench = try ExternalBench()
    let elsewhere = "\(bench.directory.path)/elsewhere.yaml"
    let text = String(decoding: try readFile(bench.configuration), as: UTF8.self).replacing(#/hosts: "[^"]*"/#, with: #"hosts: "127.0.0.1:1""#)
    try writeFile(elsewhere, text)
    for index in 0..<3 { try writeFile("\(bench.directory.path)/source/photos/cat\(index)", "cat") }
    let arguments = ["resync", "--config", elsewhere, "--state-dir", "\(bench.directory.path)/state", "--location", "east"]
    let patient = try ChildProcess(try downbeatBinary(), arguments, outputPath: "\(bench.directory.path)/patient")
    let hasty = try ChildProcess(try downbeatBinary(), arguments, outputPath: "\(bench.directory.path)/hasty")
    #expect(eventually(within: .seconds(20)) { hasty.output.contains("3 listed") }, "\(hasty.output)")
    hasty.signal(SIGINT)
    #expect(hasty.wait(within: .seconds(20)) == .exited(1), "\(hasty.output)")
    #expect(hasty.output.contains("interrupted") && hasty.output.contains("unacknowledged"), "\(hasty.output)")
    #expect(patient.wait(within: .seconds(60)) == .exited(1), "\(patient.output)")
    #expect(patient.output.contains("acknowledged nothing") && patient.output.contains("kafka.hosts"), "\(patient.output)")
    bench.end()
  }
}
