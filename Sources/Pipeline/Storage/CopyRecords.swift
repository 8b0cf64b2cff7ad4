// Reading the records of copies: from the copy's attribute, else from its sidecar file. Plain calls on an open file, short
// ones; used by the workers and by the probe of the lister.
//
// A sidecar names the last few states of its copy, the ones before a replacement and the one after, because it is written
// before the rename it describes: whichever the file on disk looks like is the one that counts, so neither a crash between
// the two writes nor a second writer leaves anything that looks like somebody's change.
internal import CLinux
internal import Glibc
internal import PipelineCore
internal import Reactor
internal import Synchronization

/// What stands under an object's name at a target.
enum CopyState: Hashable, Sendable {
  /// Ours, as we left it.
  case ours(CopyRecord)
  /// Ours once, changed by somebody since.
  case changed(CopyRecord)
  /// A regular file we did not write.
  case foreign
}

struct CopyRecords: Sendable {
  /// Of a record that is an attribute; most file systems hold no more.
  static let attributeBytesMax = 4_096
  /// Of a sidecar: written from one block.
  static let sidecarBytesMax = BlockPool.blockBytes
  /// Of an object's metadata and tags as JSON. With a path, whose bytes may each become six, and the records it fits a sidecar.
  static let metadataBytesMax = 131_072
  /// States a sidecar names.
  static let statesMax = 4
  /// Of a version's id and of its time.
  static let nameBytesMax = 1_024

  let location: FileLocation

  /// - Parameters:
  ///   - fd: the copy, open for reading.
  ///   - path: of the object (not its displaced one); its sidecar is named after it.
  func state(_ fd: Int32, _ stat: FileStat, _ path: ObjectPath) -> CopyState {
    var known = attribute(fd).map { [$0] } ?? []
    if known.first?.isUnchanged(stat) != true, location.hasSidecars.load(ordering: .relaxed) { known += copies(path) }
    if let record = known.last(where: { $0.isUnchanged(stat) }) { return .ours(record) }
    return known.last.map { .changed($0) } ?? .foreign
  }

  private func attribute(_ fd: Int32) -> CopyRecord? {
    let bytes = [UInt8](unsafeUninitializedCapacity: Self.attributeBytesMax) { buffer, count in
      // No attribute, none possible, or one longer than any of ours: no record here.
      count = max(0, fgetxattr(fd, CopyRecord.attributeName, buffer.baseAddress, buffer.count))
    }
    return bytes.isEmpty ? nil : CopyRecord(bytes: bytes)
  }

  // MARK: Sidecar files

  /// `.downbeat/meta/<2 hex>/<62 hex>`: bounded names, spread over directories.
  static func sidecarPath(_ path: ObjectPath) -> [UInt8] {
    let hex = Array(SHA256.hex(path.bytes).utf8)
    return FileLocation.sidecarPath + Array("/".utf8) + hex[..<2] + Array("/".utf8) + hex[2...]
  }

  struct Sidecar {
    /// The states it names, the latest last.
    var copies: [CopyRecord]
    /// Metadata and tags of the last of them; nil if it has none.
    var metadata: JSONValue?
  }

  /// The states a sidecar names, the latest last; empty if there is none.
  func copies(_ path: ObjectPath) -> [CopyRecord] { sidecar(path)?.copies ?? [] }

  func sidecar(_ path: ObjectPath) -> Sidecar? {
    let name = String(decoding: Self.sidecarPath(path), as: UTF8.self)
    let raw = db_openat2(location.root.raw, name, UInt64(O_RDONLY | O_NONBLOCK | O_CLOEXEC), 0, ResolveRule.beneath)
    guard raw >= 0 else { return nil }
    let file = OwnedFD(adopting: raw)
    // One that is larger is none of ours.
    guard let size = FileStat.of(file.raw)?.size, size <= Int64(Self.sidecarBytesMax) else { return nil }
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(size)) { buffer, count in
      count = max(0, pread(file.raw, buffer.baseAddress, buffer.count, 0))
    }
    do throws(JSONValue.Malformed) {
      let json = try JSONValue(parsing: bytes, bytesMax: Self.sidecarBytesMax, depthMax: 6)
      // A different path would mean a collision of SHA-256, or somebody's own file.
      guard json["path"]?.string == path.text else { return nil }
      return Sidecar(copies: (json["copies"]?.array ?? []).compactMap { CopyRecord(json: $0) }, metadata: json["object"])
    } catch {
      return nil
    }
  }

  static func sidecarJSON(_ path: ObjectPath, _ sidecar: Sidecar, _ status: String) -> [UInt8] {
    var members: [JSONValue.Member] = [
      .init("path", .string(path.text)), .init("copies", .array(sidecar.copies.map(\.json))), .init("status", .string(status)),
    ]
    if let metadata = sidecar.metadata { members.append(.init("object", metadata)) }
    return JSONValue.object(members).bytes
  }

  // MARK: Metadata

  /// Metadata and tags kept with a copy, and where.
  enum Metadata {
    case nowhere
    case attribute(JSONValue)
    /// With those of a copy that has none.
    case sidecar(JSONValue?)

    var json: JSONValue? {
      switch self {
      case .nowhere: nil
      case .attribute(let json): json
      case .sidecar(let json): json
      }
    }
  }

  /// A sidecar that was written for this very copy counts before the attribute: it is where they go that do not fit one.
  func metadata(_ fd: Int32, _ path: ObjectPath, _ record: CopyRecord) -> Metadata {
    // Looked for whatever this process knows of sidecars: another one may have written it.
    if let sidecar = sidecar(path), sidecar.copies.last?.isSameCopy(as: record) == true {
      return .sidecar(sidecar.metadata)
    }
    let size = fgetxattr(fd, ObjectAttributes.attributeName, nil, 0)
    guard size > 0 else { return .nowhere }
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = max(0, fgetxattr(fd, ObjectAttributes.attributeName, buffer.baseAddress, buffer.count))
    }
    do throws(JSONValue.Malformed) {
      return .attribute(try JSONValue(parsing: bytes, bytesMax: Self.metadataBytesMax, depthMax: 4))
    } catch {
      // Damaged: written anew.
      return .nowhere
    }
  }
}

extension ObjectRequest {
  /// A copy keeps version id, time, metadata and tags. What it could not hold is refused before anything is written: a copy
  /// without them would count as a whole one.
  func checkKeepable() throws(StoreError) {
    let names = max(versionId?.utf8.count ?? 0, lastModified.utf8.count)
    // Counted only where it may matter.
    let metadata = attributes.jsonBytesAtMost <= CopyRecords.metadataBytesMax ? 0 : attributes.json.bytes.count
    guard names > CopyRecords.nameBytesMax || metadata > CopyRecords.metadataBytesMax else { return }
    let what =
      metadata > CopyRecords.metadataBytesMax
      ? "\(metadata) bytes of metadata and tags; at most \(CopyRecords.metadataBytesMax) can be kept with a copy"
      : "a version id or a time of \(names) bytes; at most \(CopyRecords.nameBytesMax) can be kept with a copy"
    throw StoreError(.targetRefused, isRetryable: false, "\(PrintableName.of("\(bucket)/\(key)")): \(what)")
  }
}

extension ObjectAttributes {
  /// An upper bound of `json`'s bytes: each byte of a text becomes six at the most.
  fileprivate var jsonBytesAtMost: Int {
    let (frame, pairFrame) = (64, 8)
    return [system, user, tags].reduce(frame) { sum, pairs in
      pairs.reduce(sum) { $0 + pairFrame + 6 * ($1.name.utf8.count + $1.value.utf8.count) }
    }
  }

  /// Name of the attribute that holds them on a copy.
  static let attributeName = "user.downbeat.object"

  var json: JSONValue {
    func object(_ pairs: [Pair]) -> JSONValue { .object(pairs.map { JSONValue.Member($0.name, .string($0.value)) }) }
    var members: [JSONValue.Member] = []
    if !system.isEmpty { members.append(.init("system", object(system))) }
    if !user.isEmpty { members.append(.init("user", object(user))) }
    if !tags.isEmpty { members.append(.init("tags", object(tags))) }
    return .object(members)
  }
}

/// Name of the attribute that holds a site's status, on the source and on the copy.
func statusAttributeName(_ site: String) -> String { "user.\(site)-replication-status" }
