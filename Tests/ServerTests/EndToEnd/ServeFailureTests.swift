// What a daemon says of what goes wrong: failed lists that expire or are not kept, health and readiness where a server is away.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@Suite(.serialized) struct ServeFailureTests {
  /// One object that `west` refuses, because something of somebody else's stands in its place.
  private func occupied(_ failures: String) throws -> ServeBench {
    let bench = try ServeBench()
    try bench.configure(["east", "west"], failures: failures)
    try writeFile("\(bench.source)/photos/cat", "cat")
    try writeFile("\(bench.directory.path)/west/cat", "somebody else's")
    return bench
  }

  private func failures(_ bench: ServeBench) throws -> String { try bench.get("/_/crr/failed?sitename=west").body }

  @Test func aFailureIsListedAsLongAsTheConfigurationSays() throws {
    let bench = try occupied("monitorReplicationFailureExpiryTimeS: 4")
    let process = try bench.startReady()
    #expect(eventually { (try? failures(bench).contains("TargetOccupied")) == true }, "\(process.output)")  // asked again
    #expect(try bench.get("/_/metrics/crr/west/failures").body.contains(#""count":1"#))
    #expect(try bench.get("/_/crr/failed/photos/cat?versionId=null").body.contains("TargetOccupied"))
    #expect(eventually { (try? failures(bench)) == #"{"IsTruncated":false,"Versions":[]}"# }, "\(process.output)")  // asked again
    #expect(try bench.get("/_/crr/failed/photos/cat?versionId=null").body == #"{"IsTruncated":false,"Versions":[]}"#)
    #expect(try bench.get("/_/metrics/crr/west/failures").body.contains(#""count":0"#))
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
  }

  @Test func failuresNobodyWantsToMonitorAreNotListed() throws {
    let bench = try occupied("monitorReplicationFailures: false")
    let process = try bench.startReady()
    let file = "\(bench.source)/photos/cat"
    #expect(eventually { extendedAttribute("user.west-replication-status", of: file) == "FAILED" }, "\(process.output)")
    #expect(eventually { process.output.contains("TargetOccupied") }, "\(process.output)")
    #expect(try failures(bench) == #"{"IsTruncated":false,"Versions":[]}"#)
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
  }

  @Test func theHealthcheckNamesTheConfiguredTopicAndMakesNone() throws {
    let bench = try ServeBench()
    var process = try bench.startReady()
    let health = try bench.get("/_/healthcheck").body
    #expect(health.hasPrefix(#"{"topics":{"backbeat-replication":{"name":"backbeat-replication","partitions":[{"id":0,"#), "\(health)")
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
    // Without locations there is no topic either, and the question does not make one.
    let state = "\(bench.directory.path)/state"
    process = try bench.start(["serve", "--embedded", "--roles", "api", "--config", bench.configuration, "--state-dir", state])
    // Nobody listens at first: not an error while starting.
    #expect(eventually { (try? bench.get("/_/healthcheck").body.hasPrefix(#"{"topics":{},"#)) == true }, "\(process.output)")
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
  }

  @Test func aStatusProcessorWithoutABrokerIsNotReady() throws {
    let bench = try ServeBench()
    let dead = try freeLoopbackPort()
    try bench.configure(["east"], servers: "kafka: { hosts: \"127.0.0.1:\(dead)\" }")
    let process = try bench.start([
      "serve", "--embedded", "--roles", "api,status-processor", "--config", bench.configuration, "--state-dir", "\(bench.directory.path)/state",
    ])
    // Nobody listens at first: not an error while starting.
    #expect(eventually { (try? bench.get("/_/live").status) == 200 || process.poll() != nil }, "\(process.output)")
    let ready = try bench.get("/_/ready")
    #expect(ready.status == 500, "\(process.output)")
    #expect(ready.body.contains(#"{"component":"Consumer","status":"NOT_READY","topic":"backbeat-replication-status""#), "\(ready.body)")
    #expect(ready.body.contains(#"{"component":"Failed CRR Producer","status":"NOT_READY""#), "\(ready.body)")
    process.signal(SIGTERM)
    _ = process.wait()
  }

  @Test func aReloadSaysWhatItCouldNotOpenAndTriesAgain() throws {
    let bench = try ServeBench()
    let socket = "\(bench.directory.path)/notify"
    let manager = try NotifyReceiver(socket)
    let process = try bench.startReady(environment: ["NOTIFY_SOCKET": socket])
    #expect(manager.next() == "READY=1\nSTATUS=2 locations")
    // A directory that cannot be a target: what is ours lives under .downbeat.
    _ = mkdir("\(bench.directory.path)/north", 0o755)
    try writeFile("\(bench.directory.path)/north/.downbeat", "in the way")
    try writeFile("\(bench.source)/photos/cat", "cat")
    try bench.configure(["east", "north", "west"])
    process.signal(SIGHUP)
    let north = { try bench.get("/_/crr/locations/north").body }
    #expect(eventually { (try? north().contains(#""state":"resuming""#)) == true }, "\(process.output)")  // 404 before
    #expect(try north().contains(#""notes":["this node does not replicate to it: location north: "#))
    let ready = try bench.get("/_/ready")
    #expect(ready.status == 500 && ready.body.contains(#"{"component":"Consumer","status":"NOT_READY","site":"north","reason":"location north"#))
    #expect(eventually { bench.exists("east/photos/cat") && bench.exists("west/cat") }, "\(process.output)")
    #expect(try bench.post("/_/crr/pause/north?wait=10").body == #"{"north":{"state":"disabled","inFlight":0}}"#)
    #expect(try bench.post("/_/crr/resume/north").status == 200)
    #expect(manager.next()?.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") == true)
    var told = ""
    let isTold = { (text: String) in
      eventually {
        told = manager.next() ?? told
        return told == text
      }
    }
    #expect(isTold("READY=1\nSTATUS=2 locations"), "\(told)")

    unlink("\(bench.directory.path)/north/.downbeat")
    process.signal(SIGHUP)
    #expect(eventually { bench.exists("north/cat") }, "\(process.output)")
    #expect(eventually { (try? bench.get("/_/ready").status) == 200 }, "\(process.output)")  // while it changes
    #expect(try north().contains(#""state":"enabled""#))
    #expect(manager.next()?.hasPrefix("RELOADING=1") == true)
    #expect(isTold("READY=1\nSTATUS=3 locations"), "\(told)")

    try writeFile(bench.configuration, "server: { port: many }\n")
    process.signal(SIGHUP)
    #expect(isTold("READY=1\nSTATUS=configuration not applied, 3 locations"), "\(told)")
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0), "\(process.output)")
  }

  @Test func aDisabledLocationSaysSo() throws {
    let bench = try ServeBench()
    try bench.configure(["east"], disabled: ["west"])
    let process = try bench.startReady()
    let note = #""notes":["this node does not replicate to it: the configuration says disabled: true"]"#
    #expect(try bench.get("/_/crr/locations/west").body.contains(note))
    #expect(try bench.get("/_/crr/locations/east").body.contains(#""notes":[]"#))
    // Of locations that are served; a gap is a gauge of its own, for an alarm.
    let metrics = try bench.get("/metrics").body
    #expect(metrics.contains("# TYPE downbeat_gap_entries gauge\ndownbeat_gap_entries{location=\"east\",topic="))
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
  }
}
