// Writes entries in Backbeat's own form: as its queue populator does (backbeat-behaviour 4.1) and as its processors
// publish them again (4.2), with the member order and the bytes of `JSON.stringify`.
//
// Invariant: what is written decodes to what was given. A republished entry carries the metadata it came with, byte for
// byte, but for `replicationInfo` and `originOp`.
// It deliberately knows no topic and no partition.

/// An object version as the populator finds it.
public struct ObjectRecord: Sendable {
  public var bucket: String
  /// Base key.
  public var key: String
  /// Raw; nil for an object without versions.
  public var versionId: String?
  public var contentLength: Int64 = 0
  public var contentType = "application/octet-stream"
  /// Lower-case hex; empty leaves it to the copy.
  public var contentMD5 = ""
  /// ISO 8601 UTC with milliseconds.
  public var lastModified: String
  public var isDeleteMarker = false
  public var ownerId = ""
  public var ownerDisplayName = ""
  public var dataStoreName = "us-east-1"
  /// Names with the prefix `x-amz-meta-`.
  public var userMetadata: [(name: String, value: String)] = []
  public var tags: [(key: String, value: String)] = []
  /// Sites still to be done: each gets a PENDING line.
  public var sites: [String]
  public var content: [String] = ["DATA", "METADATA"]
  /// Members of `replicationInfo` a `file` source has no use for.
  public var destination = ""
  public var role = ""
  public var storageType = ""
  /// When the populator read it; ISO 8601 UTC with milliseconds.
  public var commitTimestamp: String?

  public init(bucket: String, key: String, versionId: String?, lastModified: String, sites: [String]) {
    self.bucket = bucket
    self.key = key
    self.versionId = versionId
    self.lastModified = lastModified
    self.sites = sites
  }
}

public enum EntryEncoder {
  /// The model version CloudServer writes into metadata of this shape.
  static let modelVersion: Int64 = 3

  /// The Kafka message key: `encodeURIComponent` of `<bucket>/<key>`.
  /// - Parameter key: base key, without version.
  public static func messageKey(bucket: String, key: String) -> [UInt8] {
    // Each octet is one or three.
    [UInt8](bytesMax: 3 * (bucket.utf8.count + key.utf8.count + 1)) { bytes in
      appendURIComponent(bucket.utf8.span, to: &bytes)
      bytes.append(literal: "%2F")
      appendURIComponent(key.utf8.span, to: &bytes)
    }
  }

  private static let upperHex = Array("0123456789ABCDEF".utf8)
  private static let unreserved = Array("-_.!~*'()".utf8)

  private static func appendURIComponent(_ text: Span<UInt8>, to bytes: inout OutputSpan<UInt8>) {
    for index in text.indices {
      let byte = text[index]
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: bytes.append(byte)
      case _ where unreserved.contains(byte): bytes.append(byte)
      default:
        bytes.append(UInt8(ascii: "%"))
        bytes.append(upperHex[Int(byte >> 4)])
        bytes.append(upperHex[Int(byte & 15)])
      }
    }
  }

  /// The canary: proves that a partition can be consumed. Its message key is `canary`.
  public static let canary = Array(#"{"canary":true}"#.utf8)

  // MARK: As the populator writes it

  /// One `put` of an object version.
  public static func populated(_ object: ObjectRecord) -> [UInt8] {
    var writer = JSONWriter(reservingCapacity: 1024)
    writer.beginObject()
    writer.member("type", "put")
    writer.member("bucket", object.bucket)
    writer.member("key", object.versionId.map { "\(object.key)\0\($0)" } ?? object.key)
    writer.name("value")
    writer.beginNested()
    metadata(object, &writer)
    writer.endNested()
    writer.name("overheadFields")
    writer.beginObject()
    if let time = object.commitTimestamp { writer.member("commitTimestamp", time) }
    writer.name("opTimestamp")
    writer.null()
    if let id = object.versionId { writer.member("versionId", id) }
    writer.endObject()
    writer.endObject()
    return writer.bytes
  }

  private static func metadata(_ object: ObjectRecord, _ writer: inout JSONWriter) {
    writer.beginObject()
    writer.name("md-model-version")
    writer.int(modelVersion)
    writer.member("owner-display-name", object.ownerDisplayName)
    writer.member("owner-id", object.ownerId)
    writer.name("content-length")
    writer.int(object.contentLength)
    writer.member("content-type", object.contentType)
    writer.member("content-md5", object.contentMD5)
    for (name, value) in object.userMetadata {
      writer.name(text: name)
      writer.string(value)
    }
    writer.member("last-modified", object.lastModified)
    if let id = object.versionId { writer.member("versionId", id) }
    writer.name("location")
    writer.null()
    writer.member("dataStoreName", object.dataStoreName)
    writer.name("isDeleteMarker")
    writer.bool(object.isDeleteMarker)
    writer.name("tags")
    writer.beginObject()
    for (key, value) in object.tags {
      writer.name(text: key)
      writer.string(value)
    }
    writer.endObject()
    writer.name("acl")
    writer.beginObject()
    writer.member("Canned", "private")
    for list: StaticString in ["FULL_CONTROL", "WRITE_ACP", "READ", "READ_ACP"] {
      writer.name(list)
      writer.beginArray()
      writer.endArray()
    }
    writer.endObject()
    writer.name("replicationInfo")
    replicationInfo(object, &writer)
    writer.endObject()
  }

  private static func replicationInfo(_ object: ObjectRecord, _ writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("status", ReplicationStatus.pending.rawValue)
    writer.name("backends")
    writer.beginArray()
    for site in object.sites {
      writer.beginObject()
      writer.member("site", site)
      writer.member("status", ReplicationStatus.pending.rawValue)
      writer.member("dataStoreVersionId", "")
      writer.endObject()
    }
    writer.endArray()
    writer.name("content")
    writer.beginArray()
    for kind in object.content { writer.string(kind) }
    writer.endArray()
    writer.member("destination", object.destination)
    writer.member("storageClass", object.sites.joined(separator: ","))
    writer.member("role", object.role)
    writer.member("storageType", object.storageType)
    writer.member("dataStoreVersionId", "")
    writer.name("isNFS")
    writer.null()
    writer.endObject()
  }
}
