// One object that could not be replicated to a location, and its line in the failed list's file: fields separated by tabs,
// with tab, newline, carriage return and backslash escaped, so that a person can read the file and a torn last line shows.

public struct FailedRecord: Hashable, Sendable {
  public enum Origin: String, Hashable, Sendable {
    /// Replication was tried and given up.
    case replication = "r"
    /// The source's path cannot become an object (its name, or it cannot be read).
    case listing = "l"
  }

  public var bucket: String
  /// For `listing` a printable path, perhaps a directory's.
  public var key: String
  /// Encoded; empty for an object without version.
  public var versionId: String
  public var size: Int64
  /// ISO 8601, UTC, milliseconds; empty if unknown.
  public var lastModified: String
  /// A code such as `TargetOccupied`.
  public var reason: String
  /// One line for a person.
  public var message: String
  public var attempts: Int
  public var failedAtMs: Int64
  public var origin: Origin

  public init(
    bucket: String, key: String, versionId: String = "", size: Int64 = 0, lastModified: String = "", reason: String,
    message: String, attempts: Int = 1, failedAtMs: Int64, origin: Origin = .replication
  ) {
    self.bucket = bucket
    self.key = key
    self.versionId = versionId
    self.size = size
    self.lastModified = lastModified
    self.reason = reason
    self.message = message
    self.attempts = attempts
    self.failedAtMs = failedAtMs
    self.origin = origin
  }

  /// A path of the source that the populator could not use.
  public init(_ failure: TreeFailure, bucket: String, failedAtMs: Int64) {
    self.init(
      bucket: bucket, key: failure.path, reason: failure.reason.code, message: failure.message, failedAtMs: failedAtMs,
      origin: .listing)
  }

  public var version: FailedVersion { FailedVersion(bucket: bucket, key: key, versionId: versionId) }
}

/// What a record is found by.
public struct FailedVersion: Hashable, Sendable {
  public var bucket: String
  public var key: String
  /// Encoded; empty for an object without version.
  public var versionId: String

  public init(bucket: String, key: String, versionId: String = "") {
    self.bucket = bucket
    self.key = key
    self.versionId = versionId
  }

  /// The lists tell versions apart by this; of two with one hash the older record would be replaced.
  var hash: UInt64 {
    objectKeyHash(Array(bucket.utf8) + [0] + Array(key.utf8) + [0] + Array(versionId.utf8))
  }
}

/// A line of the file.
enum FailedLine: Hashable {
  case failed(FailedRecord)
  case cleared(FailedVersion)

  /// Longest line that is read back; keys and messages are far shorter.
  static let bytesMax = 65_536

  /// With its newline.
  var bytes: [UInt8] {
    let fields: [String]
    switch self {
    case .failed(let record):
      fields = [
        "+", String(record.failedAtMs), record.origin.rawValue, String(record.attempts), String(record.size), record.reason,
        record.lastModified, record.bucket, record.key, record.versionId, record.message,
      ]
    case .cleared(let version): fields = ["-", version.bucket, version.key, version.versionId]
    }
    var line: [UInt8] = []
    for (index, field) in fields.enumerated() {
      if index > 0 { line.append(UInt8(ascii: "\t")) }
      Self.escape(field, into: &line)
    }
    line.append(UInt8(ascii: "\n"))
    return line
  }

  /// - Parameter line: without its newline. Nil if it is none of ours.
  init?(_ line: some Collection<UInt8>) {
    let fields = line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false).map { Self.unescape($0) }
    switch (fields.first, fields.count) {
    case ("+", 11):
      guard let failedAtMs = Int64(fields[1]), let origin = FailedRecord.Origin(rawValue: fields[2]),
        let attempts = Int(fields[3]), let size = Int64(fields[4])
      else { return nil }
      self = .failed(
        FailedRecord(
          bucket: fields[7], key: fields[8], versionId: fields[9], size: size, lastModified: fields[6], reason: fields[5],
          message: fields[10], attempts: attempts, failedAtMs: failedAtMs, origin: origin))
    case ("-", 4): self = .cleared(FailedVersion(bucket: fields[1], key: fields[2], versionId: fields[3]))
    default: return nil
    }
  }

  private static let escapes: [(plain: UInt8, letter: UInt8)] = [
    (UInt8(ascii: "\t"), UInt8(ascii: "t")), (UInt8(ascii: "\n"), UInt8(ascii: "n")),
    (UInt8(ascii: "\r"), UInt8(ascii: "r")), (UInt8(ascii: "\\"), UInt8(ascii: "\\")),
  ]

  private static func escape(_ field: String, into line: inout [UInt8]) {
    for byte in field.utf8 {
      if let escape = escapes.first(where: { $0.plain == byte }) {
        line += [UInt8(ascii: "\\"), escape.letter]
      } else {
        line.append(byte)
      }
    }
  }

  private static func unescape(_ field: some Collection<UInt8>) -> String {
    var bytes: [UInt8] = []
    var isEscaped = false
    for byte in field {
      if isEscaped {
        bytes.append(escapes.first { $0.letter == byte }?.plain ?? byte)
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
