// The daemon with real S3 servers: one directory to two buckets and a directory, killed in the middle; and a bucket that is
// away for a while.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@testable import Pipeline

private final class S3Serve {
  let directory = TemporaryDirectory()
  let servers: [MotoServer]
  /// What stands before each.
  let proxies: [FaultProxy]
  private let mark = UInt64.random(in: 0...UInt64.max)
  let port: UInt16

  init(servers count: Int) throws {
    servers = try (0..<count).map { _ in try MotoServer() }
    proxies = try servers.map { try FaultProxy(upstream: $0.port) }
    port = try freeLoopbackPort()
    for name in ["source", "source/photos", "plain"] { _ = mkdir("\(directory.path)/\(name)", 0o755) }
  }

  var source: String { "\(directory.path)/source" }

  /// - Parameter behindProxies: the daemon's way to the servers.
  func configure(behindProxies: Bool = false) throws {
    let endpoints = behindProxies ? proxies.map(\.endpoint) : servers.map(\.endpoint)
    var list = endpoints.enumerated().map {
      "{ site: s3-\($0.offset), type: s3, endpoint: \"\($0.element)\", bucket: \(bucket($0.offset)), \(MotoServer.account) }"
    }
    list.append("{ site: plain, type: file, path: \(directory.path)/plain }")
    try writeFile(
      "\(directory.path)/config.yaml",
      """
      server: { port: \(port) }
      extensions:
        replication:
          source: { type: file, path: \(source) }
          queueProcessor:
            retry: { aws_s3: { maxRetries: 3, timeoutS: 60, backoff: { min: 50, max: 500, jitter: 0.1, factor: 1.5 } } }
          destination:
            bootstrapList:
      \(list.map { "        - \($0)" }.joined(separator: "\n"))
      """)
  }

  func start() throws -> ChildProcess {
    let process = try ChildProcess(
      try downbeatBinary(), ["serve", "--embedded", "--config", "\(directory.path)/config.yaml", "--state-dir", "\(directory.path)/state"],
      outputPath: "\(directory.path)/out-\(Instant.nowUncached().ns)")
    // Nobody listens at first.
    let isReady = eventually(within: .seconds(60)) { (try? request("GET", "/_/ready", port: port).status) == 200 || process.poll() != nil }
    #expect(isReady && process.poll() == nil, "\(process.output)")
    return process
  }

  func makeBuckets() async throws { for index in servers.indices { try await side(index).make() } }

  private func side(_ index: Int) -> S3Side { S3Side(endpoint: servers[index].endpoint, bucket: bucket(index)) }

  /// Names of their own: a service from outside is all servers at once.
  private func bucket(_ index: Int) -> String { "copies-\(index)-\(mark)" }

  /// MD5s (from ETags) by key, and how many versions there are in all.
  func copies(_ index: Int) async throws -> (etags: [String: String], versions: Int) {
    let all = try await side(index).versions()
    return (all.compactMapValues { $0.last?.etag }, all.values.map(\.count).reduce(0, +))
  }

  func status(_ name: String) -> String? { extendedAttribute("user.replication-status", of: "\(source)/photos/\(name)") }
  func location(_ site: String) throws -> String { try request("GET", "/_/crr/locations/\(site)", port: port).body }
}

@Suite(.serialized) struct S3ServeTests {
  private static let isLong = MotoServer.variable("DOWNBEAT_TEST_LONG") == "1"

  private static func bytes(_ size: Int, _ seed: Int) -> [UInt8] {
    var value = UInt32(truncatingIfNeeded: seed &* 2_654_435_761 | 1)
    return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      for index in 0..<size {
        value = value &* 1_664_525 &+ 1_013_904_223
        buffer[index] = UInt8(truncatingIfNeeded: value >> 24)
      }
      count = size
    }
  }

  /// Sizes from nothing to several parts; most are small, as in life.
  private static func size(_ index: Int) -> Int {
    switch index % 100 {
    case 0: 0
    case 1: 1
    case 2: 262_144
    case 3: 262_145
    case 4: 1_500_000
    case 50 where index < 100: isLong ? 200 << 20 : 21_000_000
    case 51 where index < 300: 17_000_000
    default: 10 + index * 37 % 20_000
    }
  }

  private static let names = ["plain", "with space", "a+b", "100%", "c:d", "e&f=g", "h?i", "j#k", "ü日本🦉", "q\"uote", "back\\slash", ".hidden"]

  @Test func everyObjectReachesEveryPlaceOnceThoughTheDaemonIsKilled() async throws {
    let count = Self.isLong ? 5_000 : 250
    let bench = try S3Serve(servers: 2)
    try await bench.makeBuckets()
    try bench.configure()
    var expected: [String: (md5: String, size: Int)] = [:]
    for index in 0..<count {
      let name = "\(Self.names[index % Self.names.count])-\(index)"
      let bytes = Self.bytes(Self.size(index), index)
      try writeFile("\(bench.source)/photos/\(name)", bytes)
      let md5 = MD5()
      bytes.withUnsafeBytes { md5.add($0) }
      expected[name] = (md5.finish().hex, bytes.count)
    }
    var process = try bench.start()
    let isHalfWay = eventually(within: .seconds(120)) { expected.keys.contains { bench.status($0) == "COMPLETED" } }
    #expect(isHalfWay, "\(process.output)")
    process.killNow()
    process = try bench.start()
    let deadline: Duration = Self.isLong ? .seconds(1_500) : .seconds(240)
    let isDone = eventually(within: deadline) { expected.keys.allSatisfy { bench.status($0) == "COMPLETED" } }
    #expect(isDone, "\(expected.keys.filter { bench.status($0) != "COMPLETED" }.prefix(5)) \(process.output.suffix(2_000))")
    for index in bench.servers.indices {
      let copies = try await bench.copies(index)
      #expect(Set(copies.etags.keys) == Set(expected.keys.map { "photos/\($0)" }))
      #expect(copies.versions == count, "one version of the copy for each of the source")
      for (name, facts) in expected {
        let etag = copies.etags["photos/\(name)"] ?? ""
        // Parts were compared while they were sent.
        #expect(etag == facts.md5 || etag.contains("-") && facts.size > 262_144, "\(name): \(etag)")
      }
    }
    for (name, facts) in expected {
      let md5 = MD5()
      try readFile("\(bench.directory.path)/plain/photos/\(name)").withUnsafeBytes { md5.add($0) }
      #expect(md5.finish().hex == facts.md5, "\(name)")
      #expect(extendedAttribute("user.s3-1-replication-status", of: "\(bench.source)/photos/\(name)") == "COMPLETED")
    }
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
  }

  @Test func aTargetThatIsAwayDelaysOnlyItselfAndRecovers() async throws {
    let bench = try S3Serve(servers: 1)
    try await bench.makeBuckets()
    try bench.configure(behindProxies: true)
    let process = try bench.start()
    let proxy = bench.proxies[0]
    proxy.set(.answer(503, code: "ServiceUnavailable"))
    for index in 0..<40 { try writeFile("\(bench.source)/photos/o\(index)", "object \(index)") }
    #expect(eventually(within: .seconds(60)) { (0..<40).allSatisfy { access("\(bench.directory.path)/plain/photos/o\($0)", F_OK) == 0 } })
    // Asked over HTTP: an answer that does not come is asked for again.
    let isOpen = eventually(within: .seconds(60)) { (try? bench.location("s3-0"))?.contains("\"breaker\":{\"state\":\"open\"") == true }
    let open = try bench.location("s3-0")
    #expect(isOpen && open.contains("TargetUnavailable"), "\(open)")
    #expect(!(try bench.location("plain").contains("breaker")))
    // A storm would be hundreds: ten tasks, each asking again at once.
    #expect(proxy.requests.count < 60, "\(proxy.requests.count) requests to a target that is away")
    proxy.heal()
    let isDone = eventually(within: .seconds(120)) { (0..<40).allSatisfy { bench.status("o\($0)") == "COMPLETED" } }
    let after = try bench.location("s3-0")
    #expect(isDone && after.contains("\"breaker\":{\"state\":\"closed\""), "\(after) \(process.output.suffix(2_000))")
    #expect(try await bench.copies(0).versions == 40)
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
  }
}
