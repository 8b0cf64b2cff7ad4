// The metrics routes of a node without Redis: what this node's own locations did, counted in memory since its start, and what of
// it is on the way. What nobody has listed yet, or lists while a location is paused, is no backlog that anybody knows of.
internal import Pipeline
internal import PipelineCore
internal import Reactor

final class NodeLocationMetrics: LocationMetricsProvider {
  /// How often the locations' counters are looked at.
  static let period = Duration.seconds(5)

  private struct Seen {
    var done: UInt64 = 0
    var bytes: Int64 = 0
    var counts = IntervalCounts()
  }

  private unowned let node: ReplicationNode
  private var seen: [String: Seen] = [:]

  init(node: ReplicationNode) {
    self.node = node
    watch()
  }

  private func watch() {
    look()
    node.reactor.schedule(after: Self.period) { [weak self] _ in self?.watch() }
  }

  private func look() {
    let now = WallClock.nowMs()
    for location in node.locations {
      var known = seen[location.site] ?? Seen()
      let counters = location.counters
      known.counts.add(ops: Int64(counters.done - known.done), bytes: counters.bytes - known.bytes, atMs: now)
      (known.done, known.bytes) = (counters.done, counters.bytes)
      seen[location.site] = known
    }
  }

  func metrics(of locations: [LocationKey], _ reply: @escaping (LocationMetrics?) -> Void) {
    look()
    let now = WallClock.nowMs()
    var sum = LocationMetrics()
    var lists: [FailedList] = []
    for key in locations where key.service == .crr {
      guard let location = node.served.controller(of: key.location), let known = seen[key.location] else { continue }
      let (day, rates) = (known.counts.day(nowMs: now), known.counts.rates(nowMs: now))
      sum.completions.count += day.ops
      sum.completions.bytes += day.bytes
      sum.operationsPerSecond += rates.ops
      sum.bytesPerSecond += rates.bytes
      let waiting = node.served.feeds.status(of: key.location)
      sum.pending.count += max(Int64(location.inFlightCount), Int64((waiting?.unconsumed ?? 0) + (waiting?.changesWaiting ?? 0)))
      sum.pending.bytes += waiting?.unconsumedBytes ?? 0
      if let list = node.served.failedLists?.list(of: key.location) { lists.append(list) }
    }
    guard !lists.isEmpty else { return reply(sum) }
    let box = ReplyBox(reply)
    Task.detached(executorPreference: node.reactor.handle.executor) { [sum, lists] in
      var sum = sum
      for list in lists { sum.failures += Int64(await list.countNow()) }
      box.reply(sum)
    }
  }

  /// The copy that runs or has lately ended; else what the source's status, or the copy itself, says.
  func metrics(of object: ObjectVersionName, at location: LocationKey, _ reply: @escaping (ObjectMetrics?) -> Void) {
    let version = FailedVersion(object.isNullVersion ? object.withoutVersion : object)
    if let figures = node.served.transferBoard?.figures(of: version, at: location.location) { return reply(ObjectMetrics(figures)) }
    // What is listed here has no versions.
    guard version.versionId.isEmpty, let look = node.served.failedLists?.look else { return reply(ObjectMetrics()) }
    let box = ReplyBox(reply)
    Task.detached(executorPreference: node.reactor.handle.executor) {
      let name = Pipeline.ObjectName(bucket: version.bucket, key: version.key)
      box.reply(ObjectMetrics(await look.figures(of: name, at: location.location)))
    }
  }
}
