// A bucket with odd keys, several versions, metadata and tags, copied to two S3 servers and a directory by the real daemon beside a
// broker and Redis, which is killed in the middle. `DOWNBEAT_TEST_LONG=1`: 5,000 objects up to 200 MiB.
import CLinux
import Glibc
import PipelineCore
import Reactor
import TestSupport
import Testing

@testable import Pipeline

private final class Replication {
  static let sites = ["s3-a", "s3-b", "plain"]
  let directory = TemporaryDirectory()
  let port: UInt16
  /// The source and a target are buckets of the first.
  let servers: [MotoServer]
  let source: S3Side
  let targets: [S3Side]
  private let redis: RedisServer
  private let broker: ChildProcess
  var configuration: String { "\(directory.path)/config.yaml" }

  init() throws {
    servers = [try MotoServer(), try MotoServer()]
    port = try freeLoopbackPort()
    redis = try RedisServer()
    let mark = UInt64.random(in: 0...UInt64.max)
    source = S3Side(endpoint: servers[0].endpoint, bucket: "source-\(mark)")
    // Names of their own: a service from outside is both servers at once.
    targets = servers.enumerated().map { S3Side(endpoint: $1.endpoint, bucket: "copies-\($0)-\(mark)") }
    _ = mkdir("\(directory.path)/plain", 0o755)
    // The broker drops the oldest beyond some MB a partition: many partitions keep a long backlog.
    let topics = ["replication", "replication-status", "replication-failed", "metrics"].map { "backbeat-\($0)" }
    broker = try ChildProcess(
      try downbeatBinary(), ["broker", "--partitions", "16", "--topic"] + topics, outputPath: "\(directory.path)/broker")
    let broker = broker
    #expect(eventually { broker.output.contains("\n") })
    var places = zip(Self.sites, targets).map {
      "{ site: \($0), type: s3, endpoint: \"\($1.endpoint)\", bucket: \($1.bucket), bucketMatch: true, \(MotoServer.account) }"
    }
    places.append("{ site: plain, type: file, path: \(directory.path)/plain, bucketMatch: true }")
    try writeFile(
      configuration,
      """
      server: { port: \(port) }
      kafka: { hosts: "\(broker.output.split(separator: "\n").first ?? "")" }
      redis: { host: 127.0.0.1, port: \(redis.port) }
      extensions:
        replication:
          source: { type: s3, endpoint: "\(source.endpoint)", \(MotoServer.account) }
          destination:
            bootstrapList:
      \(places.map { "        - \($0)" }.joined(separator: "\n"))
      """)
  }

  func start() throws -> ChildProcess {
    let process = try ChildProcess(
      try downbeatBinary(), ["serve", "--embedded", "--config", configuration, "--state-dir", "\(directory.path)/state"],
      outputPath: "\(directory.path)/out-\(Instant.nowUncached().ns)")
    // Nobody listens at first.
    let isReady = eventually(within: .seconds(60)) { (try? request("GET", "/_/ready", port: port).status) == 200 || process.poll() != nil }
    #expect(isReady && process.poll() == nil, "\(process.output)")
    return process
  }

  func resync(_ site: String, _ more: [String] = []) throws -> String {
    let fixed = ["resync", "--config", configuration, "--state-dir", "\(directory.path)/state", "--bucket", source.bucket, "--location", site]
    let process = try ChildProcess(try downbeatBinary(), fixed + more, outputPath: "\(directory.path)/resync-\(Instant.nowUncached().ns)")
    #expect(process.wait(within: .seconds(600)) == .exited(0), "\(process.output)")
    return process.output
  }

  /// A command of the operator's. - Returns: what it printed.
  func run(_ arguments: String...) throws -> String {
    let process = try ChildProcess(try downbeatBinary(), arguments, outputPath: "\(directory.path)/command-\(Instant.nowUncached().ns)")
    #expect(process.wait(within: .seconds(60)) == .exited(0), "\(process.output)")
    return process.output
  }

  /// Whether every version of the source shows COMPLETED for the site.
  func isDone(_ site: String, markers: Int) throws -> Bool { try resync(site, ["--dry-run"]).contains(" \(markers) to enqueue") }

  func end() {
    broker.signal(SIGTERM)
    _ = broker.wait()
    redis.stop()
  }
}

/// What is put into the source.
private struct Objects: Sendable {
  static let mib = 1 << 20
  let isLong = MotoServer.variable("DOWNBEAT_TEST_LONG") == "1"
  var count: Int { isLong ? 5_000 : 150 }
  /// Keys that get a second and a third version, and those deleted in the end.
  func versions(_ index: Int) -> Int { index % 21 == 5 ? 3 : index % 7 == 5 ? 2 : 1 }
  func isDeleted(_ index: Int) -> Bool { index % 29 == 28 }

  func key(_ index: Int) -> String {
    guard index >= OddKeys.all.count else { return OddKeys.all[index] }
    // One is the prefix of the next.
    let base = OddKeys.all[index % 24]
    return index % 2 == 0 ? "\(base)-\(index / 2)" : "\(base)-\(index / 2)/below"
  }

  func size(_ index: Int) -> Int {
    switch index {
    case 60: isLong ? 200 * Self.mib : 21_000_000
    case 61..<64 where isLong: 64 * Self.mib
    case 64: 17_000_000
    case 65: BlockPool.blockBytes
    case 66: BlockPool.blockBytes + 1
    default: index % 50 == 0 ? 0 : index % 100 == 1 ? 1_500_000 : 10 + index * 37 % 20_000
    }
  }

  func bytes(_ index: Int, _ version: Int) -> [UInt8] {
    var random = SeededGenerator(seed: UInt64(index * 8 + version))
    // Large ones repeat a piece: making them should not take longer than copying them.
    let piece = (0..<(min(size(index), 65_537) + 7) / 8).flatMap { _ in
      let word = random.next()
      return (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) }
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(size(index) + piece.count)
    while bytes.count < size(index) { bytes += piece }
    return Array(bytes.prefix(size(index)))
  }

  func upload(_ index: Int, _ version: Int) -> S3Side.Upload {
    var headers = [HTTPHeader("content-type", "text/x-\(index % 5)"), HTTPHeader("x-amz-meta-number", "\(index) & \(version)")]
    if index % 3 == 0 { headers.append(HTTPHeader("cache-control", "max-age=\(index)")) }
    if index % 4 == 0 { headers.append(HTTPHeader("x-amz-tagging", "colour=light%20blue&n=\(index)")) }
    return S3Side.Upload(key: key(index), bytes: bytes(index, version), headers: headers)
  }
}

@Suite(.serialized) struct S3ReplicationTests {
  @Test func everyVersionReachesEveryPlaceOnceThoughTheDaemonIsKilled() async throws {
    let (bench, objects) = (try Replication(), Objects())
    for side in [bench.source] + bench.targets { try await side.make() }
    for version in 0..<3 {
      let indices = (0..<objects.count).filter { objects.versions($0) > version }
      try await bench.source.put(indices.count) { objects.upload(indices[$0], version) }
    }
    let deleted = (0..<objects.count).filter(objects.isDeleted).map(objects.key)
    try await bench.source.remove(deleted)
    let began = Instant.nowUncached()
    var process = try bench.start()
    for site in Replication.sites { _ = try bench.resync(site) }
    // In the middle: some are there, some are not.
    while try await bench.targets[1].versions().count < objects.count / 3, Instant.nowUncached() - began < .seconds(600) {}
    process.killNow()
    process = try bench.start()
    let deadline: Duration = objects.isLong ? .seconds(600) : .seconds(90)
    for site in Replication.sites {
      let isDone = try eventually(within: deadline) { try bench.isDone(site, markers: deleted.count) }
      let left = isDone ? "" : try bench.resync(site, ["--dry-run"])
      #expect(isDone, "\(site): \(left) \(process.output.suffix(3_000))")
    }
    let seconds = Double((Instant.nowUncached() - began).nanoseconds) / 1e9

    let wanted = try await bench.source.versions()
    let all = wanted.values.flatMap { $0 }
    for (site, target) in zip(Replication.sites, bench.targets) {
      let has = try await target.versions()
      #expect(Set(has.keys) == Set(wanted.keys), "\(site)")
      for (key, versions) in wanted { try await Self.compare(versions, has[key] ?? [], bench.source, target, "\(site) \(key.debugDescription)") }
      // All in the short form.
      let sample = wanted.keys.sorted().enumerated().filter { !objects.isLong || $0.offset % 10 == 0 }.map(\.element)
      let (here, there) = (sample.compactMap { Self.last(wanted[$0]) }, sample.compactMap { Self.last(has[$0]) })
      let (asked, found) = (try await bench.source.attributes(here), try await target.attributes(there))
      for (index, key) in sample.enumerated() { #expect(asked[index] == found[index], "\(site) \(key.debugDescription)") }
    }
    try await compareFiles(bench, wanted)

    let objectVersions = all.filter { !$0.isDeleteMarker }
    for (version, statuses) in zip(objectVersions, try await bench.source.statuses(objectVersions)) {
      #expect(statuses == Dictionary(uniqueKeysWithValues: Replication.sites.map { ($0, "COMPLETED") }), "\(version.key.debugDescription)")
      #expect(ReplicationStatus.overall(statuses.values.compactMap(ReplicationStatus.init(rawValue:))) == .completed)
    }
    for site in Replication.sites {
      #expect(try request("GET", "/_/crr/failed?sitename=\(site)", port: bench.port).body == #"{"IsTruncated":false,"Versions":[]}"#)
    }
    let bytes = objectVersions.reduce(0) { $0 + $1.size }
    print("\(objects.count) objects, \(all.count) versions, \(bytes / 1_000_000) MB to three places in \(Int(seconds)) s, killed once")
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
    bench.end()
  }

  private static func last(_ versions: [S3Version]?) -> S3Version? { versions?.last { !$0.isDeleteMarker } }

  /// The same versions in the same order, each once.
  private static func compare(
    _ wanted: [S3Version], _ found: [S3Version], _ source: S3Side, _ target: S3Side, _ name: String
  ) async throws {
    let isSame = found.map(\.isDeleteMarker) == wanted.map(\.isDeleteMarker) && found.map(\.size) == wanted.map(\.size)
    #expect(isSame, "\(name): \(found), not \(wanted)")
    guard isSame else { return }
    for (ours, theirs) in zip(wanted, found) where !ours.isDeleteMarker && ours.etag != theirs.etag {
      // Copied in parts, or a wrong copy.
      #expect(theirs.etag.contains("-"), "\(name)")
      #expect(try await source.md5(ours) == target.md5(theirs), "\(name)")
    }
  }

  /// A directory has the last version of each key, and none of what was deleted.
  private func compareFiles(_ bench: Replication, _ wanted: [String: [S3Version]]) async throws {
    let path = "\(bench.directory.path)/plain"
    let probe = FileCopyProbe(location: try FileLocation.openTarget(path, layout: .keyOnly), bucket: bench.source.bucket)
    for (key, versions) in wanted {
      guard let version = versions.last else { continue }
      let object = ObjectName(bucket: bench.source.bucket, key: key)
      let file = try #require(probe.path(ofCopyOf: object), "\(key.debugDescription)")
      guard !version.isDeleteMarker else {
        #expect(!probe.hasCopy(of: object), "\(key.debugDescription)")
        continue
      }
      let md5 = MD5()
      // Not there: as if it were empty, which the comparison tells.
      ((try? readFile("\(path)/\(file)")) ?? []).withUnsafeBytes { md5.add($0) }
      #expect(md5.finish().hex == version.etag, "\(key.debugDescription) at \(file)")
    }
  }

  /// A bucket that is missing at one place: listed with its reason, and copied when it is there and somebody asks.
  @Test func whatFailedIsListedAndRetriedFromTheCommandLine() async throws {
    let (bench, count) = (try Replication(), 12)
    for side in [bench.source, bench.targets[0]] { try await side.make() }
    try await bench.source.put(count) { S3Side.Upload(key: "a:b/\($0) ü", bytes: Array("object \($0)".utf8)) }
    let process = try bench.start()
    let url = "http://127.0.0.1:\(bench.port)"
    let (fine, failing) = (Replication.sites[0], Replication.sites[1])
    for site in [fine, failing] { _ = try bench.resync(site) }
    let isListed = try eventually(within: .seconds(90)) {
      let listed = try bench.run("failed", failing, "--json", "--url", url)
      return (0..<count).allSatisfy { listed.contains("a:b/\($0) ü") } && listed.contains("NoSuchBucket")
    }
    #expect(isListed, "\(process.output.suffix(2_000))")
    let isElsewhere = try eventually(within: .seconds(60)) { try bench.isDone(fine, markers: 0) }
    #expect(isElsewhere)
    try await bench.targets[1].make()
    #expect(try bench.run("retry", failing, "--all", "--url", url).contains("\(count) of \(count)"))
    let isThere = try eventually(within: .seconds(90)) { try bench.isDone(failing, markers: 0) }
    #expect(isThere, "\(process.output.suffix(2_000))")
    #expect(try request("GET", "/_/crr/failed?sitename=\(failing)", port: bench.port).body == #"{"IsTruncated":false,"Versions":[]}"#)
    #expect(try await bench.targets[1].versions().map(\.value.count) == Array(repeating: 1, count: count))
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0))
    bench.end()
  }
}
