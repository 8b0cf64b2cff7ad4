// Counters of a site in Redis under Backbeat's names (backbeat-behaviour 10.1): what is pending for ever, what was done and has
// failed in intervals of five minutes that live a day. Backbeat's nodes and ours add to the same ones.
//
// - Thread: the reactor's it was made on.
internal import PipelineCore
internal import Reactor

enum MetricKeys {
  static let intervalMs: Int64 = 300_000
  static let lifeS = 86_400
  static var intervalCount: Int { lifeS / Int(intervalMs / 1_000) }

  static func opsPending(_ site: String) -> String { "\(site):bb:crr:opspending" }
  static func bytesPending(_ site: String) -> String { "\(site):bb:crr:bytespending" }
  static func interval(_ site: String, _ name: String, _ ms: Int64) -> String {
    "\(site):bb:crr:\(name):requests:\(ms - ms % intervalMs)"
  }
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

final class MetricStore {
  private let redis: RedisCaller

  init(redis: RedisCaller) { self.redis = redis }

  /// One command that adds all of it; nil if there is nothing to add.
  func addCommand(_ messages: [MetricsMessage]) -> [[UInt8]]? {
    var amounts: [String: (amount: Int64, life: Int)] = [:]
    func add(_ key: String, _ amount: Int64, _ life: Int) { amounts[key, default: (0, life)].amount += amount }
    for message in messages where !message.isObjectLevel {
      let (pending, counted): (Int64, (String, String)?)
      switch message.type {
      case "queued": (pending, counted) = (1, ("ops", "bytes"))
      case "completed": (pending, counted) = (-1, ("opsdone", "bytesdone"))
      case "failed": (pending, counted) = (-1, ("opsfail", "bytesfail"))
      case "pendingOnly": (pending, counted) = (1, nil)
      default: continue
      }
      add(MetricKeys.opsPending(message.site), pending * message.ops, 0)
      add(MetricKeys.bytesPending(message.site), pending * message.bytes, 0)
      if let counted {
        add(MetricKeys.interval(message.site, counted.0, message.timestampMs), message.ops, MetricKeys.lifeS)
        add(MetricKeys.interval(message.site, counted.1, message.timestampMs), message.bytes, MetricKeys.lifeS)
      }
    }
    guard !amounts.isEmpty else { return nil }
    let keys = amounts.keys.sorted()
    return RedisScripts.command(
      RedisScripts.add, keys: keys, keys.flatMap { [String(amounts[$0]!.amount), String(amounts[$0]!.life)] })
  }

  /// Everything but `failures`.
  func figures(of site: String, nowMs: Int64) async throws(ControlBusError) -> SiteFigures {
    var figures = SiteFigures()
    figures.pendingOps = try await redis.call(redisCommand("GET", MetricKeys.opsPending(site))).number ?? 0
    figures.pendingBytes = try await redis.call(redisCommand("GET", MetricKeys.bytesPending(site))).number ?? 0
    let ops = try await intervals(site, "opsdone", nowMs)
    let bytes = try await intervals(site, "bytesdone", nowMs)
    figures.doneOps = ops.reduce(0, +)
    figures.doneBytes = bytes.reduce(0, +)
    figures.opsRate = SiteFigures.rate(Array(ops.prefix(4)), nowMs: nowMs)
    figures.bytesRate = SiteFigures.rate(Array(bytes.prefix(4)), nowMs: nowMs)
    return figures
  }

  /// Newest first; 0 where nothing was counted.
  private func intervals(_ site: String, _ name: String, _ nowMs: Int64) async throws(ControlBusError) -> [Int64] {
    let keys = (0..<MetricKeys.intervalCount).map {
      MetricKeys.interval(site, name, nowMs - Int64($0) * MetricKeys.intervalMs)
    }
    let reply = try await redis.call((["MGET"] + keys).map { Array($0.utf8) })
    return (reply.elements ?? []).map { $0.number ?? 0 }
  }
}
