// What we know of a copy in an S3 bucket: which state of the source it is. Kept in the copy's user metadata, together with the
// version id as Backbeat writes it, so that either finds the other's copies. From it follows what must not happen: the same
// thing written twice, an older version over a newer one.
internal import PipelineCore

struct S3CopyRecord {
  /// The record.
  static let header: StaticString = "x-amz-meta-downbeat"
  /// As Backbeat writes it: the encoded version id of the source, or `null`.
  static let versionHeader: StaticString = "x-amz-meta-scal-version-id"
  static let statusHeader: StaticString = "x-amz-meta-scal-replication-status"
  static let headers = [header, versionHeader, statusHeader].map(\.description)
  private static let version = "1"

  /// Bytes at the source.
  var size: Int64
  var modifiedNs: Int64?
  /// Nil where it was not known when the copy began.
  var md5: MD5Digest?
  /// Raw.
  private(set) var versionId: String?
  /// The same as headers spell it, where it is known already.
  private var encodedVersionId: String?
  /// ISO 8601 of the version; empty if unknown.
  var lastModified = ""
  /// Of the metadata and tags, to tell whether an update was carried out.
  var attributesHash = ""

  init(_ request: ObjectRequest, _ info: ObjectInfo, md5: MD5Digest?, attributesHash: String) {
    size = info.size
    modifiedNs = info.modifiedNs
    self.md5 = md5
    versionId = request.versionId
    encodedVersionId = request.encodedVersionId
    lastModified = request.lastModified
    self.attributesHash = attributesHash
  }

  /// Nil for an object that neither we nor Backbeat wrote.
  init?(_ head: ResponseHead, size: Int64) {
    if let text = head[Self.header], let record = S3CopyRecord(text: text) {
      self = record
      return
    }
    guard head[Self.statusHeader] == "REPLICA", let encoded = head[Self.versionHeader] else { return nil }
    self.size = size
    versionId = encoded == "null" ? nil : VersionId.decode(encoded)
    guard encoded == "null" || versionId != nil else { return nil }
  }

  // MARK: As a header

  func write(to headers: inout HeaderLines) {
    headers.append(Self.statusHeader, "REPLICA")
    headers.append(Self.versionHeader, encodedVersionId ?? versionId.map(VersionId.encode) ?? VersionId.null)
    headers.append(Self.header, bytesMax: bytesMax) { write(to: &$0) }
  }

  /// Of the record as text: its parts, and what separates them.
  private var bytesMax: Int {
    let numbers = 2 * OutputSpan<UInt8>.decimalBytesMax
    let texts = Self.version.utf8.count + lastModified.utf8.count + attributesHash.utf8.count
    return numbers + texts + 2 * MD5Digest.bytes + URIEncoding.bytesMax(versionId?.utf8.count ?? 1) + Self.separators
  }

  private static let separators = 6

  private func write(to text: inout OutputSpan<UInt8>) {
    let separator = UInt8(ascii: ";")
    text.append(text: Self.version)
    text.append(separator)
    text.append(decimal: size)
    text.append(separator)
    if let modifiedNs { text.append(decimal: modifiedNs) }
    text.append(separator)
    md5?.withBytes { Hex.append($0, to: &text) }
    text.append(separator)
    text.append(text: lastModified)
    text.append(separator)
    text.append(text: attributesHash)
    text.append(separator)
    if let versionId { URIEncoding.append(versionId, keepsSlash: false, to: &text) } else { text.append(UInt8(ascii: "-")) }
  }

  private init?(text: String) {
    let parts = text.split(separator: ";", omittingEmptySubsequences: false)
    guard parts.count == 7, parts[0] == Self.version, let size = Int64(parts[1]) else { return nil }
    self.size = size
    modifiedNs = Int64(parts[2])
    md5 = MD5Digest(hex: parts[3])
    lastModified = String(parts[4])
    attributesHash = String(parts[5])
    guard parts[6] != "-" else { return }
    guard let raw = URIEncoding.decoded(parts[6]) else { return nil }
    versionId = raw
  }

  // MARK: What follows from it

  /// The copy is of the very state that is to be copied.
  func isOf(_ request: ObjectRequest, _ info: ObjectInfo) -> Bool {
    if let asked = request.md5, let md5, asked != md5 { return false }
    guard request.versionId == versionId, info.size == size else { return false }
    return info.modifiedNs == nil || info.modifiedNs == modifiedNs
  }

  /// Another version, and nothing tells which is the later.
  func isTie(with request: ObjectRequest) -> Bool {
    guard let ours = versionId, let asked = request.versionId, ours != asked else { return false }
    return !VersionOrder.isComparable(ours, asked) && lastModified == request.lastModified
  }

  func isNewer(than request: ObjectRequest) -> Bool {
    VersionOrder.isLater(versionId, lastModified, than: request.versionId, request.lastModified)
  }
}

extension ObjectAttributes {
  /// Twelve hex digits of a digest over all of them, in whatever order they came.
  var shortHash: String {
    let pairs = system.count + user.count + tags.count
    let text = [UInt8](bytesMax: Int(byteCount) + pairs * Self.hashSeparators) { text in
      Self.append(0, system, to: &text)
      Self.append(1, user, to: &text)
      Self.append(2, tags, to: &text)
    }
    return SHA256.withDigest(of: text) { Hex.text(UnsafeRawBufferPointer(rebasing: $0.prefix(6))) }
  }

  /// Kind, space, equals sign and NUL.
  private static let hashSeparators = 4

  private static func append(_ kind: UInt8, _ pairs: [Pair], to text: inout OutputSpan<UInt8>) {
    let isSorted = zip(pairs, pairs.dropFirst()).allSatisfy { ($0.name, $0.value) <= ($1.name, $1.value) }
    for pair in isSorted ? pairs : pairs.sorted(by: { ($0.name, $0.value) < ($1.name, $1.value) }) {
      text.append(UInt8(ascii: "0") + kind)
      text.append(UInt8(ascii: " "))
      text.append(text: pair.name)
      text.append(UInt8(ascii: "="))
      text.append(text: pair.value)
      text.append(0)
    }
  }
}
