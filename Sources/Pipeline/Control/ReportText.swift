// A node's report as it stands in ZooKeeper: the contract's members (section 5), and `epoch` (the incarnation its version belongs
// to), `observer`, `queued` and `partitions` beside them. Readers skip members they do not know; so do we, and what is missing has the value that
// promises the least.
internal import PipelineCore

enum ReportText {
  static let bytesMax = 4_096

  static func encode(_ report: NodeReport) -> [UInt8] {
    var writer = JSONWriter(reservingCapacity: 160)
    writer.beginObject()
    writer.name("state")
    writer.string(report.state.rawValue)
    writer.name("inFlight")
    writer.int(Int64(report.inFlight))
    writer.name("since")
    writer.string(ISO8601.string(ms: report.sinceMs))
    writer.name("version")
    writer.int(report.version.number)
    writer.name("redis")
    writer.bool(report.hearsBus)
    writer.name("epoch")
    writer.int(report.version.epoch)
    if report.isObserver {
      writer.name("observer")
      writer.bool(true)
    }
    if report.queued > 0 {
      writer.name("queued")
      writer.int(Int64(report.queued))
    }
    if let partitions = PartitionRanges.text(report.partitions) {
      writer.name("partitions")
      writer.string(partitions)
    }
    writer.endObject()
    return writer.bytes
  }

  /// - Returns: nil for what is no report.
  static func decode(_ raw: RawNodeReport) -> NodeReport? {
    let json: JSONValue
    do throws(JSONValue.Malformed) {
      json = try JSONValue(parsing: raw.json, bytesMax: bytesMax, depthMax: 4)
    } catch {
      return nil  // somebody else's node among ours
    }
    guard let state = json["state"]?.string.flatMap(EffectiveState.init(rawValue:)) else { return nil }
    let version = StateVersion(epoch: json["epoch"]?.int ?? -1, number: json["version"]?.int ?? -1)
    return NodeReport(
      nodeId: raw.nodeId, state: state, inFlight: json["inFlight"]?.int.flatMap { Int(exactly: max(0, $0)) } ?? 0,
      sinceMs: json["since"]?.string.flatMap(ISO8601.ms) ?? 0, version: version, hearsBus: json["redis"]?.bool ?? false,
      isObserver: json["observer"]?.bool ?? false, lastSeenMs: raw.writtenAtMs,
      queued: json["queued"]?.int.flatMap { Int(exactly: max(0, $0)) } ?? 0,
      partitions: json["partitions"]?.string.map(PartitionRanges.partitions) ?? [])
  }
}
