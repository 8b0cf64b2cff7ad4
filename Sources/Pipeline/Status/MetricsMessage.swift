// One message of the metrics topic (backbeat-behaviour 4.8): how much of a site was queued, completed or has failed. Whoever
// consumes the topic, a Backbeat node or one of ours, adds it to the counters in Redis.
internal import PipelineCore

struct MetricsMessage: Hashable, Sendable {
  static let bytesMax = 65_536

  /// `queued`, `completed`, `failed` or `pendingOnly`.
  var type: String
  var site: String
  var ops: Int64
  var bytes: Int64
  var timestampMs: Int64
  var isObjectLevel = false

  init(type: String, site: String, ops: Int64, bytes: Int64, timestampMs: Int64) {
    self.type = type
    self.site = site
    self.ops = ops
    self.bytes = bytes
    self.timestampMs = timestampMs
  }

  /// - Returns: nil for what is no message of the `crr` service about a site or an object.
  init?(_ payload: [UInt8]) {
    guard let json = try? JSONValue(parsing: payload, bytesMax: Self.bytesMax, depthMax: 4) else { return nil }  // not ours: skipped
    guard json["extension"]?.string == "crr", let type = json["type"]?.string, let site = json["site"]?.string else { return nil }
    self.init(
      type: type, site: site, ops: json["ops"]?.int ?? 0, bytes: json["bytes"]?.int ?? 0,
      timestampMs: json["timestamp"]?.int ?? 0)
    isObjectLevel = json["objectKey"] != nil
  }

  var json: [UInt8] {
    JSONValue.object([
      .init("timestamp", .int(timestampMs)), .init("ops", .int(ops)), .init("bytes", .int(bytes)),
      .init("extension", .string("crr")), .init("type", .string(type)), .init("site", .string(site)),
    ]).bytes
  }
}
