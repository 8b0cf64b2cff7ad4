// What we know of a copy in an S3 bucket: which state of the source it is. Kept in the copy's user metadata, together with the
// version id as Backbeat writes it, so that either finds the other's copies. From it follows what must not happen: the same
// thing written twice, an older version over a newer one.
internal import PipelineCore

struct S3CopyRecord: Hashable {
  /// The record. `x-amz-meta-` and this.
  static let name = "downbeat"
  /// As Backbeat writes it: the encoded version id of the source, or `null`.
  static let versionName = "scal-version-id"
  static let statusName = "scal-replication-status"
  static let header = "x-amz-meta-\(name)"
  static let versionHeader = "x-amz-meta-\(versionName)"
  static let statusHeader = "x-amz-meta-\(statusName)"
  private static let version = "1"

  /// Bytes at the source.
  var size: Int64
  var modifiedNs: Int64?
  /// Nil where it was not known when the copy began.
  var md5: MD5Digest?
  /// Raw.
  var versionId: String?
  /// ISO 8601 of the version; empty if unknown.
  var lastModified = ""
  /// Of the metadata and tags, to tell whether an update was carried out.
  var attributesHash = ""

  init(_ request: ObjectRequest, _ info: ObjectInfo, md5: MD5Digest?, _ attributes: ObjectAttributes) {
    size = info.size
    modifiedNs = info.modifiedNs
    self.md5 = md5
    versionId = request.versionId
    lastModified = request.lastModified
    attributesHash = attributes.shortHash
  }

  /// Nil for an object that neither we nor Backbeat wrote.
  init?(_ head: ResponseHead, size: Int64) {
    if let text = head["x-amz-meta-downbeat"], let record = S3CopyRecord(text: text) {
      self = record
      return
    }
    guard head["x-amz-meta-scal-replication-status"] == "REPLICA", let encoded = head["x-amz-meta-scal-version-id"] else { return nil }
    self.size = size
    versionId = encoded == "null" ? nil : VersionId.decode(encoded)
    guard encoded == "null" || versionId != nil else { return nil }
  }

  // MARK: As a header

  func write(to headers: inout HeaderLines) {
    headers.append(Self.statusHeader, "REPLICA")
    headers.append(Self.versionHeader, versionId.map(VersionId.encode) ?? "null")
    headers.append(Self.header) { write(to: &$0) }
  }

  private func write(to text: inout [UInt8]) {
    text.append(text: Self.version)
    func part(_ value: String) {
      text.append(UInt8(ascii: ";"))
      text.append(text: value)
    }
    part(String(size))
    part(modifiedNs.map { String($0) } ?? "")
    text.append(UInt8(ascii: ";"))
    md5?.withBytes { Hex.append($0, to: &text) }
    part(lastModified)
    part(attributesHash)
    text.append(UInt8(ascii: ";"))
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
    var text: [UInt8] = []
    text.reserveCapacity(512)
    func add(_ kind: UInt8, _ pairs: [Pair]) {
      let isSorted = zip(pairs, pairs.dropFirst()).allSatisfy { ($0.name, $0.value) <= ($1.name, $1.value) }
      for pair in isSorted ? pairs : pairs.sorted(by: { ($0.name, $0.value) < ($1.name, $1.value) }) {
        text.append(UInt8(ascii: "0") + kind)
        text.append(UInt8(ascii: " "))
        text += pair.name.utf8
        text.append(UInt8(ascii: "="))
        text += pair.value.utf8
        text.append(0)
      }
    }
    add(0, system)
    add(1, user)
    add(2, tags)
    return SHA256.withDigest(of: text) { Hex.text(UnsafeRawBufferPointer(rebasing: $0.prefix(6))) }
  }
}
