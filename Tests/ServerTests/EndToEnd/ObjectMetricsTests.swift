// How far single objects are, what is ingested, and what the failed list says of objects it was told nothing about: over the API of the
// real daemon, with redis-server and without.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@Suite(.serialized) struct ObjectMetricsTests {
  private static let progress = #"{"description":"Object replication progress","#

  /// backbeat-behaviour 13, tests 95, 96 and 97: Backbeat's keys, written by somebody else; then copies of our own.
  @Test func withRedisTheFiguresAreThoseOfBackbeatsKeys() throws {
    let bench = try ExternalBench(ingestion: "{ sources: [{ name: ring-1, disabled: true }, { name: ring-2, disabled: true }] }")
    let daemon = try bench.start()
    let object = "photos/2031/cat.png?versionId=3937383530"
    let progress = { (site: String, object: String) in try bench.get("/_/metrics/crr/\(site)/progress/\(object)").body }
    let throughput = { (site: String, object: String) in try bench.get("/_/metrics/crr/\(site)/throughput/\(object)").body }
    #expect(try progress("east", object) == Self.progress + #""pending":0,"completed":0,"progress":"0%"}"#)
    #expect(try throughput("east", object).hasSuffix(#""throughput":"0.00"}"#))
    let nowMs = WallClock.nowMs()
    let interval = nowMs - nowMs % 300_000
    let subject = "east:photos:2031/cat.png:3937383530:bb:crr:object"
    _ = try bench.redisCli("INCRBY", "\(subject):bytes:requests:\(interval)", "100")
    _ = try bench.redisCli("INCRBY", "\(subject):bytesdone:requests:\(interval)", "50")
    #expect(try progress("east", object) == Self.progress + #""pending":50,"completed":50,"progress":"50%"}"#)
    #expect(try throughput("east", object).hasSuffix(#""throughput":"0.06"}"#))
    #expect(try progress("west", object).hasSuffix(#""progress":"0%"}"#))

    for (site, done, pending) in [("ring-1", "100", "12"), ("ring-2", "200", "30")] {
      _ = try bench.redisCli("INCRBY", "\(site):bb:ingestion:opsdone:requests:\(interval)", done)
      _ = try bench.redisCli("INCRBY", "\(site):bb:ingestion:opspending", pending)
    }
    let ingestion = try bench.get("/_/metrics/ingestion/all").body
    for part in [#""results":{"count":300}"#, #""results":{"count":"0.33"}"#, #""results":{"count":42}"#] {
      #expect(ingestion.contains(part), "\(ingestion)")
    }
    #expect(!ingestion.contains("size") && !ingestion.contains("backlog") && !ingestion.contains("failures"), "\(ingestion)")
    #expect(try bench.get("/_/metrics/ingestion/ring-1/pending").body.contains(#""results":{"count":12}"#))
    #expect(try bench.get("/_/metrics/ingestion/all/backlog").status == 404)

    // Our own: told by the copying node, brought into Redis by the status processor's.
    let bytes = 20 << 20
    try writeFile("\(bench.directory.path)/source/photos/large", [UInt8](repeating: 7, count: bytes))
    let resync = try bench.resync("east")
    #expect(resync.ending == .exited(0), "\(resync)")
    let whole = Self.progress + #""pending":0,"completed":\#(bytes),"progress":"100%"}"#
    let isWhole = eventually(within: .seconds(60)) {
      let isThere = (try? progress("east", "photos/large?versionId=null")) == whole  // not yet told
      return isThere && (try? throughput("east", "photos/large?versionId=null").contains("0.00")) == false  // the same
    }
    #expect(isWhole, "\(daemon.output)")
    #expect(try progress("west", "photos/large?versionId=null") == Self.progress + #""pending":\#(bytes),"completed":0,"progress":"0%"}"#)

    // A failure that Backbeat wrote down: its size and time are the source's; one that is gone is not listed.
    let hour = nowMs - nowMs % 3_600_000
    _ = try bench.redisCli("ZADD", "bb:crr:failed:west:\(hour)", "\(nowMs)", "photos:large:", "\(nowMs)", "photos:gone:")
    let list = try bench.get("/_/crr/failed?sitename=west").body
    #expect(list.contains(#""Versions":[{"Bucket":"photos","Key":"large","StorageClass":"west","Size":\#(bytes),"LastModified":"20"#), "\(list)")
    #expect(!list.contains("gone"), "\(list)")
    daemon.signal(SIGTERM)
    #expect(daemon.wait() == .exited(0), "\(daemon.output)")
    bench.end()
  }

  @Test func withoutRedisProgressIsWhatTheNodeKnows() throws {
    let bench = try ServeBench()
    let bytes = 9 << 20
    let process = try bench.startReady()
    #expect(try bench.post("/_/crr/pause/west?wait=10").status == 200)
    try writeFile("\(bench.source)/photos/large", [UInt8](repeating: 7, count: bytes))
    let progress = { (site: String, key: String) in try bench.get("/_/metrics/crr/\(site)/progress/photos/\(key)?versionId=null").body }
    let throughput = { (site: String, key: String) in try bench.get("/_/metrics/crr/\(site)/throughput/photos/\(key)?versionId=null").body }
    let whole = Self.progress + #""pending":0,"completed":\#(bytes),"progress":"100%"}"#
    #expect(eventually { (try? progress("east", "large")) == whole }, "\(process.output)")  // being copied
    #expect(try !throughput("east", "large").contains(#""0.00""#))
    #expect(try progress("west", "large") == Self.progress + #""pending":\#(bytes),"completed":0,"progress":"0%"}"#)
    #expect(try progress("east", "unknown") == Self.progress + #""pending":0,"completed":0,"progress":"0%"}"#)
    #expect(try throughput("east", "unknown").contains(#""0.00""#))
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0), "\(process.output)")
    // What it has forgotten the source's status still says; the rate is gone with the memory.
    let again = try bench.startReady()
    #expect(try progress("east", "large") == whole)
    #expect(try throughput("east", "large").contains(#""0.00""#))
    again.signal(SIGTERM)
    #expect(again.wait() == .exited(0), "\(again.output)")
  }

  /// backbeat-behaviour 1.8, step 3: the source is looked at first.
  @Test func aRetryLooksAtTheSourceFirst() throws {
    let bench = try ServeBench()
    try writeFile("\(bench.source)/photos/cat", "meow")
    try writeFile("\(bench.directory.path)/west/cat", "somebody else's")
    let process = try bench.startReady()
    let list = { try bench.get("/_/crr/failed?sitename=west").body }
    #expect(eventually { (try? list().contains("TargetOccupied")) == true }, "\(process.output)")  // not yet
    func retry(_ key: String, _ site: String, force: Bool) throws -> String {
      try bench.post("/_/crr/failed", body: #"[{"Bucket":"photos","Key":"\#(key)","StorageClass":"\#(site)","ForceRetry":\#(force)}]"#).body
    }
    #expect(try retry("nothing", "west", force: true) == "[]")
    #expect(try retry("../../etc/passwd", "west", force: true) == "[]")
    let there = try retry("cat", "east", force: true)
    #expect(there.hasPrefix(#"[{"Bucket":"photos","Key":"cat","StorageClass":"east","Size":4,"LastModified":"20"#), "\(there)")
    #expect(there.hasSuffix(#""ReplicationStatus":"PENDING"}]"#), "\(there)")
    let cli = try ChildProcess(
      try downbeatBinary(), ["retry", "west", "photos", "nothing", "--force", "--url", "http://127.0.0.1:\(bench.port)"],
      outputPath: "\(bench.directory.path)/cli")
    #expect(cli.wait(within: .seconds(30)) == .exited(1))
    #expect(cli.output.contains("0 of 1 will be tried again") && cli.output.contains("the source does not have it"), "\(cli.output)")

    // What failed and is gone since leaves the list, and is not answered.
    unlink("\(bench.source)/photos/cat")
    #expect(try retry("cat", "west", force: false) == "[]")
    #expect(try list() == #"{"IsTruncated":false,"Versions":[]}"#)
    process.signal(SIGTERM)
    #expect(process.wait() == .exited(0), "\(process.output)")
  }
}
