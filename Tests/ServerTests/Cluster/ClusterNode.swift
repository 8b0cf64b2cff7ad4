// One daemon of a deployment: a process of its own, with its own port and state directory.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

final class ClusterNode {
  let id: String
  let port: UInt16
  private let configuration: String
  private let stateDirectory: String
  private let outputs: String
  private var process: ChildProcess?

  init(id: String, port: UInt16, configuration: String, directory: String) {
    self.id = id
    self.port = port
    self.configuration = configuration
    stateDirectory = "\(directory)/state-\(id)"
    outputs = "\(directory)/out-\(id)"
  }

  // MARK: Life

  func start() throws {
    process = try ChildProcess(
      try downbeatBinary(), ["serve", "--config", configuration, "--state-dir", stateDirectory],
      outputPath: "\(outputs)-\(Instant.nowUncached().ns)")
  }

  var isReady: Bool { status(of: "/_/ready") == 200 }
  var ending: ChildProcess.Ending? { process?.poll() }
  var output: String { process?.output ?? "" }
  func signal(_ number: Int32) { process?.signal(number) }
  func killNow() { process?.killNow() }
  func wait(within deadline: Duration = .seconds(60)) -> ChildProcess.Ending? { process?.wait(within: deadline) }

  /// Changes its configuration file; SIGHUP makes it read that.
  func reconfigure(_ change: (String) -> String) throws {
    try writeFile(configuration, change(String(decoding: try readFile(configuration), as: UTF8.self)))
  }

  func wipeStateDirectory() throws {
    let erase = try ChildProcess("rm", ["-rf", stateDirectory], outputPath: outputs + "-erase")
    _ = erase.wait()
  }

  /// SIGTERM. - Returns: whether it ended as it should.
  func stop() -> Bool {
    guard process?.poll() == nil else { return true }  // the test has ended it
    process?.signal(SIGTERM)
    return wait() == .exited(0)
  }

  // MARK: API

  func get(_ path: String) throws -> LoopbackResponse { try request("GET", path, port: port) }

  @discardableResult
  func post(_ path: String, body: String = "") throws -> LoopbackResponse { try request("POST", path, port: port, body: body) }

  /// 0: nobody answers.
  func status(of path: String) -> Int { (try? get(path).status) ?? 0 }  // not started yet, or gone: that is the answer

  /// The desired state of a location as this node tells it: `enabled` or `disabled`.
  func desired(_ location: String = "east") throws -> String {
    let body = try get("/_/crr/status/\(location)").body
    return body.split(separator: "\"").last { $0 != "}" }.map(String.init) ?? body
  }

  // MARK: Figures

  /// All lines of `/metrics` with their values.
  func figures() throws -> Figures {
    var values: [String: Int] = [:]
    for line in try get("/metrics").body.split(separator: "\n") where !line.hasPrefix("#") {
      guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else { continue }
      values[String(line[..<space])] = Int(value)
    }
    return Figures(values: values)
  }

  struct Figures {
    let values: [String: Int]

    func entries(_ outcome: String, _ location: String = "east") -> Int {
      values["downbeat_entries_total{location=\"\(location)\",outcome=\"\(outcome)\"}"] ?? 0
    }
    func taken(_ location: String = "east") -> Int { entries("taken", location) }
    func finished(_ location: String = "east") -> Int {
      ["done", "already_there", "skipped", "failed", "dead_letter"].reduce(0) { $0 + entries($1, location) }
    }
    /// Dropped by the broker before they were read.
    func gaps(_ location: String = "east") -> Int { entries("gap", location) }
    func assigned(_ location: String = "east") -> Int { values["downbeat_assigned_partitions{location=\"\(location)\"}"] ?? 0 }
    /// The effective state on this node.
    func state(_ location: String = "east") -> String? {
      for state in ["enabled", "pausing", "disabled", "resuming"]
      where values["downbeat_location_state{location=\"\(location)\",state=\"\(state)\"}"] == 1 { return state }
      return nil
    }
    /// Live nodes that this node knows to run the location.
    func nodes(_ location: String = "east") -> Int { values["downbeat_location_nodes{location=\"\(location)\"}"] ?? 0 }
    var isBusUp: Bool { values["downbeat_control_bus_up"] == 1 }
    var isStoreUp: Bool { values["downbeat_state_store_up"] == 1 }
  }
}
