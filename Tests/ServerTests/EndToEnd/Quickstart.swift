// Runs `downbeat quickstart` as its users do: the real binary, real directories, the API over TCP.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

/// One source, two targets and the processes working on them.
final class QuickstartBench {
  let directory = TemporaryDirectory()
  let port: UInt16
  var source: String { "\(directory.path)/source" }
  var targets: [String] { ["\(directory.path)/east", "\(directory.path)/west"] }

  init() throws {
    port = try freeLoopbackPort()
    for path in [source] + targets { _ = mkdir(path, 0o755) }
  }

  func start(_ flags: [String] = ["--once"], targets chosen: [String]? = nil) throws -> ChildProcess {
    try ChildProcess(
      try downbeatBinary(), ["quickstart", source] + (chosen ?? targets) + ["--port", "\(port)"] + flags,
      outputPath: "\(directory.path)/out-\(Instant.nowUncached().ns)")
  }

  /// Runs to the end. - Returns: the exit code, -1 for a signal or a time-out.
  @discardableResult
  func run(_ flags: [String] = ["--once"], targets: [String]? = nil) throws -> (code: Int32, output: String) {
    let process = try start(flags, targets: targets)
    guard case .exited(let code)? = process.wait(within: .seconds(120)) else { return (-1, process.output) }
    return (code, process.output)
  }

  func expectIdentical(_ comment: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let (expected, _) = try Tree.read(source)
    for target in targets {
      let (copy, others) = try Tree.read(target, ignoring: [".downbeat"])
      #expect(expected.differences(from: copy) == [], "\(comment): \(target)", sourceLocation: sourceLocation)
      #expect(others == [], "\(comment): \(target)", sourceLocation: sourceLocation)
    }
  }

  func get(_ path: String) throws -> LoopbackResponse { try request("GET", path, port: port) }
  func post(_ path: String, body: String = "") throws -> LoopbackResponse { try request("POST", path, port: port, body: body) }

  /// Waits until the API answers 200 on readiness.
  func waitUntilReady(_ process: ChildProcess) throws {
    // Nobody listens at first: not an error while starting.
    let isReady = eventually { (try? get("/_/ready").status) == 200 || process.poll() != nil }
    #expect(isReady && process.poll() == nil, "not ready: \(process.output)")
  }

  func copiedCount(_ target: Int) throws -> Int { try Tree.read(targets[target], ignoring: [".downbeat"]).tree.files.count }

  /// Inode and change time of each copy: equal means untouched.
  func identities(_ target: Int) throws -> [String: [Int]] {
    var result: [String: [Int]] = [:]
    for path in try Tree.read(targets[target], ignoring: [".downbeat"]).tree.files.keys {
      var status = stat()
      guard stat("\(targets[target])/\(path)", &status) == 0 else { throw Errno.last("stat \(path)") }
      result[path] = [Int(status.st_ino), status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
    }
    return result
  }
}
