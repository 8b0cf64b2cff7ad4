// Counters in Redis under Backbeat's names (backbeat-behaviour 10.1): what of a site is pending for ever, what was done and has
// failed, and the bytes of each object, in intervals of five minutes that live a day. Backbeat's nodes and ours add to the same ones.
//
// - Thread: the reactor's it was made on.
internal import PipelineCore
internal import Reactor

enum MetricKeys {
  static let intervalMs: Int64 = 300_000
  static let lifeS = 86_400
  static var intervalCount: Int { lifeS / Int(intervalMs / 1_000) }

  static func opsPending(_ site: String, _ service: MetricsService = .crr) -> String { "\(site):bb:\(service.rawValue):opspending" }
  static func bytesPending(_ site: String, _ service: MetricsService = .crr) -> String { "\(site):bb:\(service.rawValue):bytespending" }

  /// - Parameter subject: a site, or an object version at one (`subject`).
  static func interval(_ subject: String, _ name: String, _ ms: Int64, _ service: MetricsService = .crr) -> String {
    "\(subject):bb:\(service.rawValue):\(name):requests:\(ms - ms % intervalMs)"
  }

  static func subject(_ version: FailedVersion, at site: String) -> String {
    "\(site):\(version.bucket):\(version.key):\(version.namedVersionId)"
  }

  static let objectBytes = "object:bytes"
  static let objectBytesDone = "object:bytesdone"
}

/// The figures of one site, or of several together.
public struct SiteFigures: Hashable, Sendable {
  public var pendingOps: Int64 = 0
  public var pendingBytes: Int64 = 0
  /// Of the last 24 hours.
  public var doneOps: Int64 = 0
  public var doneBytes: Int64 = 0
  /// Listed as failed now.
  public var failures: Int64 = 0
  /// A second, over the last 15 minutes.
  public var opsRate = 0.0
  public var bytesRate = 0.0

  public init() {}

  public static func + (a: SiteFigures, b: SiteFigures) -> SiteFigures {
    var sum = a
    sum.pendingOps += b.pendingOps
    sum.pendingBytes += b.pendingBytes
    sum.doneOps += b.doneOps
    sum.doneBytes += b.doneBytes
    sum.failures += b.failures
    sum.opsRate += b.opsRate
    sum.bytesRate += b.bytesRate
    return sum
  }

  /// Backbeat's rate: the three newest intervals and, of the fourth, the share that makes up fifteen minutes.
  /// - Parameter newest: counts of the four newest intervals, newest first.
  static func rate(_ newest: [Int64], nowMs: Int64) -> Double {
    guard newest.count == 4 else { return 0 }
    let elapsed = Double(nowMs % MetricKeys.intervalMs) / Double(MetricKeys.intervalMs)
    return (Double(newest[0] + newest[1] + newest[2]) + (1 - elapsed) * Double(newest[3])) / 900
  }
}

/// How far one object version is on its way to a site.
public struct ObjectFigures: Hashable, Sendable {
  public var bytesTotal: Int64 = 0
  public var bytesDone: Int64 = 0
  /// A second, over the last 15 minutes.
  public var bytesRate = 0.0

  public init(bytesTotal: Int64 = 0, bytesDone: Int64 = 0, bytesRate: Double = 0) {
    self.bytesTotal = bytesTotal
    self.bytesDone = bytesDone
    self.bytesRate = bytesRate
  }
}

final class MetricStore {
  private let redis: RedisCaller

  init(redis: RedisCaller) { self.redis = redis }

  /// One command that adds all of it; nil if there is nothing to add.
  func addCommand(_ messages: [MetricsMessage]) -> [[UInt8]]? {
    var amounts = Amounts()
    for message in messages {
      if let object = message.object { amounts.add(message, object) } else { amounts.add(message) }
    }
    guard !amounts.byKey.isEmpty else { return nil }
    let sorted = amounts.byKey.sorted { $0.key < $1.key }
    return RedisScripts.command(
      RedisScripts.add, keys: sorted.map(\.key), sorted.flatMap { [String($0.value.amount), String($0.value.life)] })
  }

  private struct Amounts {
    private(set) var byKey: [String: (amount: Int64, life: Int)] = [:]

    /// An object's counters are its own: what its site has done is told in messages about the site.
    mutating func add(_ message: MetricsMessage, _ object: FailedVersion) {
      let name: String
      switch message.type {
      case "queued": name = MetricKeys.objectBytes
      case "completed": name = MetricKeys.objectBytesDone
      default: return
      }
      let subject = MetricKeys.subject(object, at: message.site)
      add(MetricKeys.interval(subject, name, message.timestampMs, message.service), message.bytes, MetricKeys.lifeS)
    }

    mutating func add(_ message: MetricsMessage) {
      let (pending, counted): (Int64, (String, String)?)
      switch message.type {
      case "queued": (pending, counted) = (1, ("ops", "bytes"))
      case "completed": (pending, counted) = (-1, ("opsdone", "bytesdone"))
      case "failed": (pending, counted) = (-1, ("opsfail", "bytesfail"))
      case "pendingOnly": (pending, counted) = (1, nil)
      default: return
      }
      add(MetricKeys.opsPending(message.site, message.service), pending &* message.ops, 0)
      add(MetricKeys.bytesPending(message.site, message.service), pending &* message.bytes, 0)
      // Ingestion keeps no counters of what was queued and has failed.
      guard let counted, message.service == .crr || message.type == "completed" else { return }
      let interval = { MetricKeys.interval(message.site, $0, message.timestampMs, message.service) }
      add(interval(counted.0), message.ops, MetricKeys.lifeS)
      add(interval(counted.1), message.bytes, MetricKeys.lifeS)
    }

    private mutating func add(_ key: String, _ amount: Int64, _ life: Int) { byKey[key, default: (0, life)].amount &+= amount }
  }

  /// Everything but `failures`.
  func figures(of site: String, _ service: MetricsService, nowMs: Int64) async throws(ControlBusError) -> SiteFigures {
    var figures = SiteFigures()
    figures.pendingOps = try await redis.call(redisCommand("GET", MetricKeys.opsPending(site, service))).number ?? 0
    figures.pendingBytes = try await redis.call(redisCommand("GET", MetricKeys.bytesPending(site, service))).number ?? 0
    let ops = try await intervals(site, "opsdone", service, nowMs)
    let bytes = try await intervals(site, "bytesdone", service, nowMs)
    figures.doneOps = ops.reduce(0, +)
    figures.doneBytes = bytes.reduce(0, +)
    figures.opsRate = SiteFigures.rate(Array(ops.prefix(4)), nowMs: nowMs)
    figures.bytesRate = SiteFigures.rate(Array(bytes.prefix(4)), nowMs: nowMs)
    return figures
  }

  /// What the last day's messages said of one object version; zeros if there were none.
  func figures(of version: FailedVersion, at site: String, nowMs: Int64) async throws(ControlBusError) -> ObjectFigures {
    let subject = MetricKeys.subject(version, at: site)
    let total = try await intervals(subject, MetricKeys.objectBytes, .crr, nowMs)
    let done = try await intervals(subject, MetricKeys.objectBytesDone, .crr, nowMs)
    return ObjectFigures(
      bytesTotal: total.reduce(0, +), bytesDone: done.reduce(0, +), bytesRate: SiteFigures.rate(Array(done.prefix(4)), nowMs: nowMs))
  }

  /// Newest first; 0 where nothing was counted.
  private func intervals(
    _ subject: String, _ name: String, _ service: MetricsService, _ nowMs: Int64
  ) async throws(ControlBusError) -> [Int64] {
    let keys = (0..<MetricKeys.intervalCount).map {
      MetricKeys.interval(subject, name, nowMs - Int64($0) * MetricKeys.intervalMs, service)
    }
    let reply = try await redis.call((["MGET"] + keys).map { Array($0.utf8) })
    return (reply.elements ?? []).map { $0.number ?? 0 }
  }
}
