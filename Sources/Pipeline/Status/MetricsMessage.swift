// One message of the metrics topic (backbeat-behaviour 4.8): how much of a site was queued, completed or has failed, or how many bytes of
// one object version are to go there and are there. Whoever consumes the topic, a Backbeat node or one of ours, adds it to the
// counters in Redis.
//
// A message that names an object is about it and nothing else, also where it names no version: Backbeat takes those for messages
// about the site, whose bytes it counts twice then (its defect B29). Ours name the version `null` where there is none.
internal import PipelineCore

/// Whose figures they are.
public enum MetricsService: String, Hashable, Sendable {
  case crr, ingestion
}

struct MetricsMessage: Hashable, Sendable {
  static let bytesMax = 65_536

  var service = MetricsService.crr
  /// `queued`, `completed`, `failed` or `pendingOnly`.
  var type: String
  var site: String
  /// 0 in a message about an object.
  var ops: Int64
  var bytes: Int64
  var timestampMs: Int64
  /// nil: about the site.
  var object: FailedVersion?

  init(type: String, site: String, ops: Int64, bytes: Int64, timestampMs: Int64) {
    self.type = type
    self.site = site
    self.ops = ops
    self.bytes = bytes
    self.timestampMs = timestampMs
  }

  /// About one object version.
  init(type: String, site: String, object: FailedVersion, bytes: Int64, timestampMs: Int64) {
    self.init(type: type, site: site, ops: 0, bytes: bytes, timestampMs: timestampMs)
    self.object = object
  }

  /// - Returns: nil for what is no message of the service about a site or an object.
  init?(_ payload: [UInt8], of service: MetricsService) {
    guard let json = try? JSONValue(parsing: payload, bytesMax: Self.bytesMax, depthMax: 4) else { return nil }  // not ours: skipped
    guard json["extension"]?.string == service.rawValue, let type = json["type"]?.string, let site = json["site"]?.string else { return nil }
    self.init(
      type: type, site: site, ops: json["ops"]?.int ?? 0, bytes: json["bytes"]?.int ?? 0,
      timestampMs: json["timestamp"]?.int ?? 0)
    self.service = service
    guard json["objectKey"] != nil else { return }
    guard let key = json["objectKey"]?.string, let bucket = json["bucketName"]?.string else { return nil }
    object = FailedVersion(bucket: bucket, key: key, versionId: json["versionId"]?.string ?? "")
  }

  var json: [UInt8] {
    var json = JSONWriter(reservingCapacity: 256)
    json.beginObject()
    json.name("timestamp")
    json.int(timestampMs)
    if object == nil {
      json.name("ops")
      json.int(ops)
    }
    json.name("bytes")
    json.int(bytes)
    json.member("extension", service.rawValue)
    json.member("type", type)
    json.member("site", site)
    if let object { Self.write(object, to: &json) }
    json.endObject()
    return json.bytes
  }

  fileprivate static func write(_ object: FailedVersion, to json: inout JSONWriter) {
    json.member("bucketName", object.bucket)
    json.member("objectKey", object.key)
    json.member("versionId", object.namedVersionId)
  }
}

/// Messages about one object version, of which only type, bytes and time differ: what is equal is written once.
struct ObjectMetricsMessages {
  /// From the site's value on.
  private let tail: [UInt8]

  init(site: String, object: FailedVersion) {
    var json = JSONWriter(reservingCapacity: 256)
    json.beginObject()
    json.member("site", site)
    MetricsMessage.write(object, to: &json)
    json.endObject()
    tail = json.bytes
  }

  /// As `MetricsMessage.json` writes it.
  /// - Parameter type: with nothing in it to be escaped.
  func json(type: StaticString, bytes: Int64, timestampMs: Int64) -> [UInt8] {
    let others = 64 + 2 * OutputSpan<UInt8>.decimalBytesMax
    return [UInt8](bytesMax: others + type.utf8CodeUnitCount + tail.count) { json in
      json.append(literal: #"{"timestamp":"#)
      json.append(decimal: timestampMs)
      json.append(literal: #","bytes":"#)
      json.append(decimal: bytes)
      json.append(literal: #","extension":"crr","type":""#)
      json.append(literal: type)
      json.append(literal: #"","#)
      // Without its brace.
      tail.withUnsafeBytes { json.append(octets: UnsafeRawBufferPointer(rebasing: $0.dropFirst())) }
    }
  }
}

extension FailedVersion {
  /// As routes, and counters in Redis, name it: they have a name for no version.
  var namedVersionId: String { versionId.isEmpty ? VersionId.null : versionId }
}
