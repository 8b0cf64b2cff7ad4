// The failed list in Redis, with Backbeat's keys (backbeat-behaviour 6.3): a sorted set for each site and hour, the members'
// scores the moments of failing. What Backbeat's members do not say (reason, attempts, size) stands in a hash beside each set,
// which only we read.
//
// Invariant: a page is everything from its first score down to its last, so pages neither repeat nor leave out anything that did
// not change meanwhile, and a marker is a plain number. Each object is listed once, at its newest failure.
//
// - Thread: the reactor's it was made on.
internal import PipelineCore
internal import Reactor

final class FailedStore {
  static let pageCount = 100
  /// How long a retry may hold an object; a node that dies with it leaves it retryable again.
  static let lockLifeS = 60
  /// Hours that can be looked through in one step. Each is a set and a hash, and a member may stand in all of them: to settle 200 retries
  /// takes 300,000 commands here and 3.5 million with a year's hours, seconds in which Redis answers nobody.
  static let hoursMax: Int64 = 24 * 31
  static var expiryMax: Duration { .milliseconds(hoursMax * FailedKeys.hourMs) }

  private let redis: RedisCaller
  private let expiryMs: Int64
  private let token: String

  /// - Parameter token: what this process' locks hold.
  init(redis: RedisCaller, expiry: Duration, token: String) {
    self.redis = redis
    self.token = token
    // Cut, as a note about the configuration says.
    expiryMs = min(expiry, Self.expiryMax).nanoseconds / 1_000_000
  }

  // MARK: Writing

  /// The commands that record these failures, one for each site and hour; what has expired already is left out.
  func recordCommands(_ messages: [FailedMessage], nowMs: Int64) -> [[[UInt8]]] {
    struct Hour: Hashable {
      var site: String
      var ms: Int64
    }
    var hours: [Hour: [FailedRecord]] = [:]
    for message in messages where message.record.failedAtMs > nowMs - expiryMs {
      hours[Hour(site: message.site, ms: FailedKeys.hour(message.record.failedAtMs)), default: []].append(message.record)
    }
    return hours.map { hour, records in
      // A little longer than the youngest member lives: reading leaves out what is too old.
      var arguments = [String((hour.ms + FailedKeys.hourMs + expiryMs) / 1_000)]
      for record in records {
        arguments += [String(record.failedAtMs), record.member, record.reason.isEmpty && record.size == 0 ? "" : record.details]
      }
      return RedisScripts.command(
        RedisScripts.record, keys: [FailedKeys.set(hour.site, hourMs: hour.ms), FailedKeys.details(hour.site, hourMs: hour.ms)],
        arguments)
    }
  }

  // MARK: Reading

  func page(of site: String, markerMs: Int64?, nowMs: Int64) async throws(ControlBusError) -> FailedListPage {
    let keys = keys(site, nowMs)
    let reply = try await redis.call(
      RedisScripts.command(
        RedisScripts.page, keys: keys.sets + keys.details,
        [markerMs.map(String.init) ?? "+inf", String(nowMs - expiryMs), String(Self.pageCount)]))
    guard let parts = reply.elements, parts.count == 2, let items = parts[1].elements else { throw .refused("not a page: \(reply)") }
    var page = FailedListPage()
    page.nextMarkerMs = parts[0].number
    for start in stride(from: 0, to: items.count - 2, by: 3) {
      guard let member = items[start].text, let score = items[start + 1].number else { continue }
      if let record = FailedRecord(member: member, scoreMs: score, details: items[start + 2].text ?? "") {
        page.records.append(record)
      }
    }
    return page
  }

  /// The newest failure of one version.
  func record(of version: FailedVersion, site: String, nowMs: Int64) async throws(ControlBusError) -> FailedRecord? {
    let keys = keys(site, nowMs)
    let reply = try await redis.call(
      RedisScripts.command(RedisScripts.find, keys: keys.sets + keys.details, [String(nowMs - expiryMs), version.member]))
    guard let items = reply.elements, items.count == 2, let score = items[0].number else { return nil }
    return FailedRecord(member: version.member, scoreMs: score, details: items[1].text ?? "")
  }

  /// Failures of a site that are listed now.
  func count(of site: String, nowMs: Int64) async throws(ControlBusError) -> Int64 {
    var sum: Int64 = 0
    for key in keys(site, nowMs).sets {
      sum += try await redis.call(redisCommand("ZCOUNT", key, String(nowMs - expiryMs), "+inf")).number ?? 0
    }
    return sum
  }

  // MARK: Retrying

  struct Claim: Sendable {
    var version: FailedVersion
    var isForced: Bool
  }

  /// Locks what may be retried. - Returns: for each whether it is the caller's now.
  func claim(_ claims: [Claim], site: String, nowMs: Int64) async throws(ControlBusError) -> [Bool] {
    var arguments = [token, String(Self.lockLifeS)]
    for claim in claims {
      arguments += [claim.version.member, FailedKeys.lock(claim.version, site: site), claim.isForced ? "1" : "0"]
    }
    let reply = try await redis.call(RedisScripts.command(RedisScripts.claim, keys: keys(site, nowMs).sets, arguments))
    guard let answers = reply.elements, answers.count == claims.count else { throw .refused("not an answer to a claim: \(reply)") }
    return answers.map { $0 == .integer(1) }
  }

  struct Settlement: Sendable {
    var version: FailedVersion
    var leavesList: Bool
  }

  /// Gives locks back, and takes what was queued (or is gone) off the list.
  func settle(
    _ settlements: [Settlement], site: String, ops: Int64, bytes: Int64, nowMs: Int64
  ) async throws(ControlBusError) {
    let keys = keys(site, nowMs)
    var arguments = [token, String(ops), String(bytes)]
    for item in settlements {
      arguments += [item.version.member, FailedKeys.lock(item.version, site: site), item.leavesList ? "1" : "0"]
    }
    _ = try await redis.call(
      RedisScripts.command(
        RedisScripts.settle, keys: keys.sets + keys.details + [MetricKeys.opsPending(site), MetricKeys.bytesPending(site)], arguments))
  }

  /// Newest first.
  private func keys(_ site: String, _ nowMs: Int64) -> (sets: [String], details: [String]) {
    let newest = FailedKeys.hour(nowMs)
    // A clock that is a little ahead elsewhere may have begun the next hour.
    let hours = stride(from: newest + FailedKeys.hourMs, through: FailedKeys.hour(max(0, nowMs - expiryMs)), by: -Int(FailedKeys.hourMs))
    return (hours.map { FailedKeys.set(site, hourMs: $0) }, hours.map { FailedKeys.details(site, hourMs: $0) })
  }
}
