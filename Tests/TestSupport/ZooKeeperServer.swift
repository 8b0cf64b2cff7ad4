// A ZooKeeper for tests, and a cable to it that can be pulled.
internal import CLinux
internal import Glibc
public import Reactor

/// A ZooKeeper of the test's own (Debian's package), on a free loopback port, with its own data; ended by its pid.
public final class ZooKeeperServer {
  public let port: Int
  public let directory = TemporaryDirectory()
  private var process: ChildProcess?

  public init() throws {
    port = try Int(freeLoopbackPort())
    try start()
  }

  public var dataPath: String { directory.path + "/data" }

  /// Ticks are short, so that sessions of a second are allowed.
  public func start() throws {
    let configuration = directory.path + "/zoo.cfg"
    try writeFile(
      configuration,
      """
      tickTime=200
      dataDir=\(dataPath)
      clientPort=\(port)
      clientPortAddress=127.0.0.1
      admin.enableServer=false
      4lw.commands.whitelist=*
      maxClientCnxns=0

      """)
    process = try ChildProcess(
      "java",
      [
        "-Xmx96m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar",
        "org.apache.zookeeper.server.quorum.QuorumPeerMain", configuration,
      ], outputPath: directory.path + "/log")
    precondition(eventually(within: .seconds(30)) { ask("ruok") == "imok" }, "zookeeper: \(process?.output ?? "")")
  }

  public func stop() {
    process?.killNow()
    process = nil
  }

  /// As an operator who loses the disk.
  public func wipe() throws {
    stop()
    let erase = try ChildProcess("rm", ["-rf", dataPath], outputPath: directory.path + "/erase")
    _ = erase.wait()
    try start()
  }

  public func signal(_ number: Int32) { process?.signal(number) }

  /// SIGSTOP, and waits until every thread has stopped: one of them may be answering still.
  public func freeze() {
    guard let process else { return }
    process.signal(SIGSTOP)
    let isStopped = eventually {
      let status = (try? readFile("/proc/\(process.pid)/status")) ?? []  // gone: then the next look fails as well
      return String(decoding: status, as: UTF8.self).contains("State:\tT")
    }
    precondition(isStopped, "zookeeper does not stop")
  }

  /// zkCli, as an operator would; about a second each. - Returns: what it printed.
  @discardableResult
  public func cli(_ words: String...) throws -> String {
    let output = "\(directory.path)/cli-\(UInt64.random(in: 0...UInt64.max))"
    let cli = try ChildProcess(
      "java",
      [
        "-Xmx64m", "-XX:TieredStopAtLevel=1", "-cp", "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar",
        "org.apache.zookeeper.ZooKeeperMain", "-waitforconnection", "-server", "127.0.0.1:\(port)",
      ] + words, outputPath: output)
    _ = cli.wait()
    return cli.output
  }

  /// A four-letter word. - Returns: the answer; nil if nobody listens.
  public func ask(_ word: String) -> String? {
    let fd = LoopbackSocket.connect(port)
    guard fd >= 0 else { return nil }
    defer { close(fd) }
    var limit = timeval(tv_sec: 1, tv_usec: 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    guard write(fd, word, word.utf8.count) == word.utf8.count else { return nil }
    var text: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = read(fd, &block, block.count)
      guard count > 0 else { break }
      text += block[..<count]
    }
    return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
  }
}

enum LoopbackSocket {
  private static func address(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }

  /// - Returns: a connected socket, or -1.
  static func connect(_ port: Int) -> Int32 {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = address(port)
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    if code == 0 { return fd }
    close(fd)
    return -1
  }

  static func listen(_ port: Int) -> Int32 {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    var one: Int32 = 1
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 4)
    var address = address(port)
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    precondition(code == 0 && Glibc.listen(fd, 64) == 0, "listen: errno \(errno)")
    return fd
  }
}

/// A cable between a client and a server on this machine, that can be pulled. It runs on the test's reactor.
public final class PullableCable: EventSource {
  public let port: Int
  private let target: Int
  private let reactor: Reactor
  private let fd: Int32
  private var wires: [Wire] = []
  /// True: connections are closed, new ones at once.
  public var isPulled = false {
    didSet {
      guard isPulled else { return }
      for wire in wires { wire.cut() }
      wires = []
    }
  }

  public init(to target: Int, reactor: Reactor) throws {
    self.target = target
    self.reactor = reactor
    port = Int(try freeLoopbackPort())
    fd = LoopbackSocket.listen(port)
    _ = try reactor.register(fd: fd, interest: .read, source: self)
  }

  public func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
    let client = accept(fd, nil, nil)
    guard client >= 0 else { return }
    let server = isPulled ? -1 : LoopbackSocket.connect(target)
    guard server >= 0 else {
      close(client)
      return
    }
    wires.append(Wire(from: client, to: server, reactor: reactor))
    wires.append(Wire(from: server, to: client, reactor: reactor))
  }

  public func runTurn(_ reactor: Reactor) -> Turn { .idle }
  public func didClose(_ reactor: Reactor) { close(fd) }

  /// One direction. The amounts are small: writing waits for no one.
  private final class Wire: EventSource {
    private let from: Int32
    private let to: Int32
    private let reactor: Reactor
    private var token: SourceToken?

    init(from: Int32, to: Int32, reactor: Reactor) {
      (self.from, self.to, self.reactor) = (from, to, reactor)
      do throws(Errno) {
        token = try reactor.register(fd: from, interest: .read, source: self)
      } catch {
        preconditionFailure("\(error)")
      }
    }

    func reactor(_ reactor: Reactor, didReceive readiness: Readiness) {
      var block = [UInt8](repeating: 0, count: 65_536)
      let count = read(from, &block, block.count)
      if count > 0 { _ = send(to, block, count, Int32(MSG_NOSIGNAL)) } else { cut() }
    }

    func cut() {
      shutdown(to, Int32(SHUT_RDWR))
      shutdown(from, Int32(SHUT_RDWR))
      if let token { reactor.scheduleClose(token) }
      token = nil
    }

    func runTurn(_ reactor: Reactor) -> Turn { .idle }
    func didClose(_ reactor: Reactor) { close(from) }
  }
}
