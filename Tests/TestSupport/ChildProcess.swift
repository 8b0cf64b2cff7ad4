// Real processes for tests: the daemon itself, redis-server, zookeeper. Started with a cleared signal mask, output in a
// file (a full pipe would stop the child), ended by pid, killed when the test forgets it.
internal import CLinux
internal import Glibc
internal import Reactor

public final class ChildProcess {
  public enum Ending: Equatable, Sendable {
    case exited(Int32)
    case signalled(Int32)
  }

  public struct StartError: Error, CustomStringConvertible {
    public let description: String
    public init(description: String) { self.description = description }
  }

  public let pid: Int32
  public let outputPath: String
  private var ending: Ending?

  /// - Parameters:
  ///   - executable: absolute path, or a name looked up in PATH.
  ///   - environment: added to this process's own; a nil value removes the name.
  ///   - outputPath: where standard output and error go (created or truncated).
  public init(
    _ executable: String, _ arguments: [String], environment: [String: String?] = [:],
    outputPath: String
  ) throws {
    self.outputPath = outputPath
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

    var argv: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) } + [nil]
    var envp = Self.environment(adding: environment).map { strdup($0) } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var child = pid_t()
    let code = posix_spawnp(&child, executable, &actions, &attributes, &argv, &envp)
    guard code == 0 else { throw StartError(description: "cannot start \(executable): \(Errno(code, "posix_spawn"))") }
    pid = child
  }

  deinit {
    guard ending == nil else { return }
    kill(pid, SIGKILL)
    var status: Int32 = 0
    waitpid(pid, &status, 0)
  }

  public func signal(_ number: Int32) { if ending == nil { kill(pid, number) } }

  /// - Returns: how it ended, or nil if it still runs.
  public func poll() -> Ending? {
    guard ending == nil else { return ending }
    var status: Int32 = 0
    guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
    ending = status & 0x7f == 0 ? .exited((status >> 8) & 0xff) : .signalled(status & 0x7f)
    return ending
  }

  /// - Blocking: at most `deadline`. - Returns: nil if it still runs then.
  public func wait(within deadline: Duration = .seconds(30)) -> Ending? {
    _ = eventually(within: deadline) { poll() != nil }
    return ending
  }

  /// SIGKILL, and waits until it is gone.
  public func killNow() {
    signal(SIGKILL)
    _ = wait()
  }

  /// What it has printed so far.
  public var output: String { (try? readFile(outputPath)).map { String(decoding: $0, as: UTF8.self) } ?? "" }  // not yet created: nothing printed

  private static func environment(adding changes: [String: String?]) -> [String] {
    var lines: [String] = []
    var cursor = environ
    while let entry = cursor.pointee {
      let line = String(cString: entry)
      let name = String(line.prefix { $0 != "=" })
      if changes[name] == nil { lines.append(line) }
      cursor += 1
    }
    for (name, value) in changes { if let value { lines.append("\(name)=\(value)") } }
    return lines
  }
}

/// The `downbeat` binary built next to this test bundle.
public func downbeatBinary() throws -> String {
  var buffer = [UInt8](repeating: 0, count: 4096)
  let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
  let own = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  let beside = own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/downbeat"
  guard access(beside, X_OK) == 0 else { throw ChildProcess.StartError(description: "no downbeat binary at \(beside)") }
  return beside
}

/// The whole file. Errors: `Errno` naming the path.
public func readFile(_ path: String) throws -> [UInt8] {
  let fd = open(path, O_RDONLY | O_CLOEXEC)
  guard fd >= 0 else { throw Errno.last("open \(path)") }
  defer { close(fd) }
  var bytes: [UInt8] = []
  var block = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = read(fd, &block, block.count)
    if count < 0 { throw Errno.last("read \(path)") }
    if count == 0 { return bytes }
    bytes += block[..<count]
  }
}

/// Creates or replaces a file. Errors: `Errno` naming the path.
public func writeFile(_ path: String, _ bytes: [UInt8]) throws {
  let fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  guard fd >= 0 else { throw Errno.last("open \(path)") }
  defer { close(fd) }
  var done = 0
  while done < bytes.count {
    let count = bytes[done...].withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
    guard count > 0 else { throw Errno.last("write \(path)") }
    done += count
  }
}

public func writeFile(_ path: String, _ text: String) throws { try writeFile(path, Array(text.utf8)) }

/// Ports handed out begin somewhere else in each process, and none is handed out twice before all others were.
private let nextPort = Lock(Int.random(in: 0..<testPorts.count))
/// Below those the kernel gives to outgoing connections (32768 and up): any of these could take one before its server has started.
private let testPorts = 10_000..<32_000

/// A TCP port of 127.0.0.1 that is free and that nobody takes by chance.
public func freeLoopbackPort() throws -> UInt16 {
  for _ in testPorts {
    let port = nextPort.withLock { next in
      next = (next + 1) % testPorts.count
      return UInt16(testPorts.lowerBound + next)
    }
    if try isFree(port) { return port }
  }
  throw Errno(EADDRINUSE, "bind 127.0.0.1")
}

private func isFree(_ port: UInt16) throws -> Bool {
  let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  guard fd >= 0 else { throw Errno.last("socket") }
  defer { close(fd) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
  address.sin_port = port.bigEndian
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
  }
}
