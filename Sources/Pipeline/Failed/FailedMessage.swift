// What the failed topic carries (backbeat-behaviour 4.7): key, member and score of a sorted set in Redis. Ours says more, in a
// member of its own that Backbeat does not look at: why it failed, after how many attempts, and what a list shows of it.
internal import PipelineCore

struct FailedMessage: Hashable, Sendable {
  static let bytesMax = 65_536

  var site: String
  var record: FailedRecord

  init(site: String, record: FailedRecord) {
    self.site = site
    self.record = record
  }

  init(_ entry: ReplicationEntry, _ report: StatusReport, failedAtMs: Int64) {
    site = report.site
    record = FailedRecord(
      bucket: entry.bucket, key: entry.key, versionId: entry.encodedVersionId ?? "", size: entry.contentLength,
      lastModified: entry.lastModified, reason: report.notes.reason ?? "", message: report.notes.message ?? "",
      attempts: report.notes.attempts ?? 0, failedAtMs: failedAtMs)
  }

  /// - Returns: nil for what is no such message.
  init?(_ payload: [UInt8]) {
    guard let json = try? JSONValue(parsing: payload, bytesMax: Self.bytesMax, depthMax: 4),  // not ours: skipped
      let key = json["key"]?.string, let member = json["member"]?.string, let score = json["score"]?.int,
      let site = FailedKeys.site(ofSet: key)
    else { return nil }
    let details = json["downbeat"]?.string ?? ""
    guard let record = FailedRecord(member: member, scoreMs: score, details: details) else { return nil }
    self.init(site: site, record: record)
  }

  var json: [UInt8] {
    JSONValue.object([
      .init("key", .string(FailedKeys.set(site, hourMs: FailedKeys.hour(record.failedAtMs)))),
      .init("member", .string(record.member)), .init("score", .int(record.failedAtMs)),
      .init("downbeat", .string(record.details)),
    ]).bytes
  }
}

/// Names in Redis (backbeat-behaviour 6.3). Hours are of UTC: those of a local clock differ between nodes and jump twice a year.
enum FailedKeys {
  static let prefix = "bb:crr:failed:"
  static let detailsPrefix = "downbeat:crr:failed:"
  static let hourMs: Int64 = 3_600_000

  static func hour(_ ms: Int64) -> Int64 { ms - ms % hourMs }
  static func set(_ site: String, hourMs: Int64) -> String { "\(prefix)\(site):\(hourMs)" }
  static func details(_ site: String, hourMs: Int64) -> String { "\(detailsPrefix)\(site):\(hourMs)" }

  /// The site may hold `:`, the hour cannot.
  static func site(ofSet key: String) -> String? {
    guard key.hasPrefix(prefix), let colon = key.lastIndex(of: ":"), Int64(key[key.index(after: colon)...]) != nil else { return nil }
    let site = key[..<colon].dropFirst(prefix.count)
    return site.isEmpty || colon < key.index(key.startIndex, offsetBy: prefix.count) ? nil : String(site)
  }

  /// Backbeat's name, so that a node of it and one of ours exclude each other.
  static func lock(_ version: FailedVersion, site: String) -> String {
    "\(version.bucket):\(version.key):\(version.versionId):\(site):processingFailures"
  }
}

extension FailedRecord {
  /// `<bucket>:<key>:<encoded version id or nothing>`.
  var member: String { version.member }

  /// What the member does not say, as JSON text.
  var details: String {
    let json = JSONValue.object([
      .init("bucket", .string(bucket)), .init("key", .string(key)), .init("versionId", .string(versionId)),
      .init("size", .int(size)), .init("lastModified", .string(lastModified)), .init("reason", .string(reason)),
      .init("message", .string(message)), .init("attempts", .int(Int64(attempts))),
    ])
    return String(decoding: json.bytes, as: UTF8.self)
  }

  /// - Parameter details: of ours; empty for a member that Backbeat wrote. Then the member is read from both ends: a
  ///   bucket and a version id hold no `:`, the key between them may.
  init?(member: String, scoreMs: Int64, details: String) {
    let json = try? JSONValue(parsing: Array(details.utf8), bytesMax: FailedMessage.bytesMax, depthMax: 2)  // then as Backbeat's
    if let bucket = json?["bucket"]?.string, let key = json?["key"]?.string {
      self.init(
        bucket: bucket, key: key, versionId: json?["versionId"]?.string ?? "", size: json?["size"]?.int ?? 0,
        lastModified: json?["lastModified"]?.string ?? "", reason: json?["reason"]?.string ?? "",
        message: json?["message"]?.string ?? "", attempts: Int(json?["attempts"]?.int ?? 0), failedAtMs: scoreMs)
      return
    }
    guard let first = member.firstIndex(of: ":"), let last = member.lastIndex(of: ":"), first < last else { return nil }
    self.init(
      bucket: String(member[..<first]), key: String(member[member.index(after: first)..<last]),
      versionId: String(member[member.index(after: last)...]), reason: "", message: "", attempts: 0, failedAtMs: scoreMs)
  }
}

extension FailedVersion {
  var member: String { "\(bucket):\(key):\(versionId)" }
}
