// `downbeat serve --embedded` as an operator runs it: the real binary, a configuration file, the API over TCP, signals.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

/// A configuration of one `file` source and two locations, and the daemon working on it.
final class ServeBench {
  let directory = TemporaryDirectory()
  let port: UInt16
  var source: String { "\(directory.path)/source" }
  var configuration: String { "\(directory.path)/config.yaml" }

  init() throws {
    port = try freeLoopbackPort()
    for name in ["source", "source/photos", "east", "west"] { _ = mkdir("\(directory.path)/\(name)", 0o755) }
    try configure(["east", "west"])
  }

  /// Writes the configuration. All but `east` leave the bucket out of a copy's path.
  func configure(_ sites: [String], queue: String = "{}", failures: String = "", servers: String = "", disabled: [String] = []) throws {
    let list = (sites + disabled).map {
      "        - { site: \($0), type: file, path: \(directory.path)/\($0), bucketMatch: \($0 != "east"), disabled: \(disabled.contains($0)) }"
    }
    try writeFile(
      configuration,
      """
      server: { port: \(port) }
      \(servers)
      extensions:
        replication:
          \(failures)
          source: { type: file, path: \(source) }
          queueProcessor: \(queue)
          destination:
            bootstrapList:
      \(list.joined(separator: "\n"))
      """)
  }

  func start(_ arguments: [String]? = nil, environment: [String: String?] = [:]) throws -> ChildProcess {
    try ChildProcess(
      try downbeatBinary(),
      arguments ?? ["serve", "--embedded", "--config", configuration, "--state-dir", "\(directory.path)/state"],
      environment: environment, outputPath: "\(directory.path)/out-\(Instant.nowUncached().ns)")
  }

  func startReady(environment: [String: String?] = [:]) throws -> ChildProcess {
    let process = try start(environment: environment)
    // Nobody listens at first: not an error while starting.
    let isReady = eventually { (try? get("/_/ready").status) == 200 || process.poll() != nil }
    #expect(isReady && process.poll() == nil, "\(process.output)")
    return process
  }

  func get(_ path: String) throws -> LoopbackResponse { try request("GET", path, port: port) }
  func post(_ path: String, body: String = "") throws -> LoopbackResponse { try request("POST", path, port: port, body: body) }

  func exists(_ path: String) -> Bool { access("\(directory.path)/\(path)", F_OK) == 0 }
}

@Suite(.serialized) struct ServeTests {
  @Test func objectsReachBothLocationsAndTheSourceShowsTheirStatus() throws {
    let bench = try ServeBench()
    for index in 0..<20 { try writeFile("\(bench.source)/photos/cat\(index)", "cat \(index)") }
    let process = try bench.startReady()
    #expect(eventually { (0..<20).allSatisfy { bench.exists("east/photos/cat\($0)") && bench.exists("west/cat\($0)") } })
    let file = "\(bench.source)/photos/cat7"
    #expect(eventually { extendedAttribute("user.replication-status", of: file) == "COMPLETED" }, "\(process.output)")
    #expect(extendedAttribute("user.east-replication-status", of: file) == "COMPLETED")
    #expect(try bench.get("/_/crr/status").body == #"{"east":"enabled","west":"enabled"}"#)
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0), "\(process.output)")
  }

  @Test func aPauseAndItsScheduleSurviveAKill() throws {
    let bench = try ServeBench()
    var process = try bench.startReady()
    #expect(try bench.post("/_/crr/pause/west?wait=10").body == #"{"west":{"state":"disabled","inFlight":0}}"#)
    #expect(try bench.post("/_/crr/resume/west/schedule", body: #"{"hours":2}"#).status == 200)
    let scheduled = try bench.get("/_/crr/resume/west").body
    process.killNow()
    process = try bench.startReady()
    #expect(try bench.get("/_/crr/status/west").body == #"{"west":"disabled"}"#)
    #expect(try bench.get("/_/crr/resume/west").body == scheduled)
    try writeFile("\(bench.source)/photos/late", "late")
    #expect(eventually { bench.exists("east/photos/late") })
    #expect(!bench.exists("west/late"))
    #expect(try bench.post("/_/crr/resume/west").status == 200)
    #expect(eventually { bench.exists("west/late") }, "\(process.output)")
    process.signal(SIGINT)
    #expect(process.wait() == .exited(0))
  }

  @Test func aSecondDaemonOnTheSameStateDirectoryIsRefused() throws {
    let bench = try ServeBench()
    let first = try bench.startReady()
    let second = try bench.start()
    #expect(second.wait() == .exited(2), "\(second.output)")
    #expect(second.output.contains("in use by another downbeat"), "\(second.output)")
    first.signal(SIGTERM)
    #expect(first.wait() == .exited(0))
  }

  @Test func aBadReloadIsNamedAndTheDaemonGoesOn() throws {
    let bench = try ServeBench()
    let process = try bench.startReady()
    try writeFile(bench.configuration, "server: { port: many }\n")
    process.signal(SIGHUP)
    #expect(eventually { process.output.contains("configuration not applied") }, "\(process.output)")
    #expect(try bench.get("/_/live").status == 200)
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
  }

  @Test func aReloadAddsAndRemovesLocationsAndKeepsWhatTheyWereTold() throws {
    let bench = try ServeBench()
    _ = mkdir("\(bench.directory.path)/north", 0o755)
    for index in 0..<5 { try writeFile("\(bench.source)/photos/cat\(index)", "cat \(index)") }
    let process = try bench.startReady()
    #expect(try bench.post("/_/crr/pause/west?wait=10").status == 200)
    #expect(eventually { bench.exists("east/photos/cat4") })

    try bench.configure(["north", "west"], queue: "{ concurrency: 3 }")
    process.signal(SIGHUP)
    #expect(
      eventually { (try? bench.get("/_/crr/status").body) == #"{"north":"enabled","west":"disabled"}"# },  // while it changes
      "\(process.output)")
    #expect(eventually { (0..<5).allSatisfy { bench.exists("north/cat\($0)") } }, "\(process.output)")
    try writeFile("\(bench.source)/photos/late", "late")
    #expect(eventually { bench.exists("north/late") })
    #expect(!bench.exists("east/photos/late") && !bench.exists("west/late"))
    #expect(try bench.get("/_/crr/status/east").status == 404)

    // East comes back, hears what happened meanwhile, and goes on; west is resumed where it stood.
    try bench.configure(["east", "north", "west"])
    process.signal(SIGHUP)
    #expect(eventually { bench.exists("east/photos/late") }, "\(process.output)")
    #expect(try bench.post("/_/crr/resume/west").status == 200)
    #expect(eventually { bench.exists("west/late") && bench.exists("west/cat0") }, "\(process.output)")
    #expect(eventually { extendedAttribute("user.replication-status", of: "\(bench.source)/photos/late") == "COMPLETED" })
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0), "\(process.output)")
  }

  /// Signals faster than locations can leave, and a stop in the middle.
  @Test func manyReloadsAndAStopAmongThem() throws {
    let bench = try ServeBench()
    for index in 0..<200 { try writeFile("\(bench.source)/photos/cat\(index)", "cat \(index)") }
    for rounds in [3, 10] {
      let process = try bench.startReady()
      for round in 1...rounds {
        try bench.configure(round % 2 == 0 ? ["east", "west"] : ["west"], queue: "{ concurrency: \(round) }")
        process.signal(SIGHUP)
        if rounds == 3 { #expect(eventually { process.output.count(of: "configuration read again") >= round }) }
      }
      process.signal(SIGTERM)
      #expect(process.wait() == .exited(0), "\(process.output)")
    }
    try bench.configure(["east", "west"])
    let process = try bench.startReady()
    #expect(eventually { (0..<200).allSatisfy { bench.exists("east/photos/cat\($0)") && bench.exists("west/cat\($0)") } }, "\(process.output)")
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
  }

  @Test func aProbeServerAnswersOnItsOwnPort() throws {
    let bench = try ServeBench()
    let port = try freeLoopbackPort()
    try bench.configure(["east"], queue: "{ probeServer: { bindAddress: localhost, port: \(port) } }")
    let process = try bench.startReady()
    for path in ["/_/live", "/_/ready", "/_/health/readiness"] { #expect(try request("GET", path, port: port).status == 200) }
    #expect(try request("GET", "/metrics", port: port).body.contains("downbeat_reactor_ticks_total"))
    #expect(try request("GET", "/_/crr/status", port: port).status == 400)
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0), "\(process.output)")
    try bench.configure(["east"], queue: "{ probeServer: { bindAddress: somewhere, port: 1 } }")
    let refused = try bench.start()
    #expect(refused.wait() == .exited(2) && refused.output.contains("must be an IP address or localhost"), "\(refused.output)")
  }

  @Test func ordinaryFileCallsAreSaidOnce() throws {
    let bench = try ServeBench()
    try writeFile("\(bench.source)/photos/cat", "cat")
    let process = try bench.startReady(environment: ["DOWNBEAT_FILE_CALLS": "plain"])
    #expect(eventually { bench.exists("east/photos/cat") && bench.exists("west/cat") })
    #expect(try bench.get("/_/crr/locations/east").body.contains("files are copied with ordinary calls"))
    #expect(eventually { process.output.contains("ordinary calls") })
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
    #expect(process.output.count(of: "ordinary calls") == 1)
  }

  @Test(arguments: ["source", "west"]) func aDirectoryThatIsMissingExitsTwoNamingIt(name: String) throws {
    let bench = try ServeBench()
    #expect(rename("\(bench.directory.path)/\(name)", "\(bench.directory.path)/elsewhere") == 0)
    let process = try bench.start()
    #expect(process.wait() == .exited(2))
    #expect(process.output.contains("\(bench.directory.path)/\(name): "), "\(process.output)")
  }

  @Test func wrongConfigurationsExitTwoNamingFileAndLine() throws {
    let bench = try ServeBench()
    try writeFile(bench.configuration, "server: { port: many }\n")
    let process = try bench.start()
    #expect(process.wait() == .exited(2))
    #expect(process.output.contains("config.yaml:1"), "\(process.output)")
    let missing = try bench.start(["serve", "--embedded", "--config", "/no/such/file"])
    #expect(missing.wait() == .exited(2))
    #expect(missing.output.contains("/no/such/file"), "\(missing.output)")
  }
}

extension String {
  fileprivate func count(of part: String) -> Int { ranges(of: part).count }
}
