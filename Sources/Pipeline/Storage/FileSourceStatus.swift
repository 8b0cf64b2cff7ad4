// The replication status of objects of a `file` source, on the source files: `user.<site>-replication-status` for each
// site, `user.replication-status` for the whole (product contract 7). Never used by `quickstart`, which writes nothing to
// its source.
//
// A status belongs to one state of the file (size and time). Two workers may finish the same object for two sites at once:
// updates of a file are serialised, so the value of the whole is always that of the last site. Between nodes that share a
// source over a network nothing is serialised; the next update puts it right.
internal import CLinux
internal import Glibc
public import PipelineCore
internal import Reactor
internal import Synchronization

public final class FileSourceStatus: Sendable {
  static let wholeName = "user.replication-status"
  /// The state of the file the statuses belong to: `<size>:<mtime ns>`.
  static let stateName = "user.downbeat.replicated-state"
  private static let stripesMax = 64
  /// The kernel's own bound for the names of all attributes of a file.
  private static let attributeNamesBytesMax = 65_536

  private let location: FileLocation
  /// Where the statuses of a file go that refuses attributes; made when first needed.
  private let fallbackDirectory: String
  /// Some statuses are, or may be, there.
  private let hasFallbacks: Atomic<Bool>
  private let saidRefused = Atomic<Bool>(false)
  private let note: @Sendable (String) -> Void
  /// One for each group of files; held for a few system calls.
  private let stripes: [Stripe]

  private final class Stripe: Sendable { let lock = Lock<Void>(()) }

  /// - Parameters:
  ///   - location: opened by `FileLocation.openSource`.
  ///   - fallbackDirectory: in the state directory.
  public init(location: FileLocation, fallbackDirectory: String, note: @escaping @Sendable (String) -> Void) {
    self.location = location
    self.fallbackDirectory = fallbackDirectory
    hasFallbacks = Atomic(access(fallbackDirectory, F_OK) == 0)
    self.note = note
    stripes = (0..<Self.stripesMax).map { _ in Stripe() }
  }

  /// Sets one site's status. COMPLETED is final for this state of the file.
  /// - Parameters:
  ///   - sites: all sites of the object; those never reported count as PENDING.
  ///   - info: the state of the source the status is about.
  ///   - keepsRecorded: sites the file names count as well, where an entry may name only some of them (a retry).
  /// - Returns: the status of the whole; nil if the file has changed or gone since, so that the report is out of date.
  /// - Thread: any. - Blocking: a few system calls.
  public func set(
    _ status: ReplicationStatus, site: String, bucket: String, key: String, sites: [String], info: ObjectInfo,
    keepsRecorded: Bool = false
  ) throws(StoreError) -> ReplicationStatus? {
    let path = try location.objectPath(bucket: bucket, key: key)
    var hasher = Hasher()
    hasher.combine(path)
    let stripe = stripes[Int(UInt(bitPattern: hasher.finalize()) % UInt(stripes.count))]
    return try stripe.lock.withLock { _ throws(StoreError) in
      try withFile(path) { fd, stat throws(StoreError) in
        guard Self.isState(stat, info) else { return nil }
        let state = Self.state(stat)
        let recorded = keepsRecorded ? recordedSites(fd) : []
        var known = read(fd, path, sites + [site] + recorded, state: state)
        if known[site] != .completed { known[site] = status }
        for other in sites where known[other] == nil { known[other] = .pending }
        let whole = ReplicationStatus.overall(Array(known.values))
        try write(fd, path, known, whole: whole, state: state)
        return whole
      }
    }
  }

  /// What the file shows of these sites.
  /// - Parameter info: the state asked about; nil: whatever it is in now.
  /// - Returns: nil if the file is gone or in another state.
  /// - Thread: any. - Blocking: a few system calls.
  public func statuses(
    of sites: [String], bucket: String, key: String, info: ObjectInfo?
  ) throws(StoreError) -> [String: ReplicationStatus]? {
    let path = try location.objectPath(bucket: bucket, key: key)
    return try withFile(path) { fd, stat throws(StoreError) in
      if let info, !Self.isState(stat, info) { return nil }
      return read(fd, path, sites, state: Self.state(stat))
    }
  }

  /// The object's file as it is now; nil if it is gone or no regular file.
  public func file(bucket: String, key: String) throws(StoreError) -> ObjectInfo? {
    try withFile(try location.objectPath(bucket: bucket, key: key)) { _, stat in
      ObjectInfo(size: stat.size, modifiedNs: stat.modifiedNs)
    }
  }

  private static func state(_ stat: FileStat) -> String { "\(stat.size):\(stat.modifiedNs)" }

  private static func isState(_ stat: FileStat, _ info: ObjectInfo) -> Bool {
    stat.size == info.size && (info.modifiedNs == nil || stat.modifiedNs == info.modifiedNs)
  }

  /// - Returns: nil also if the file is not there or no regular one.
  private func withFile<Result>(
    _ path: ObjectPath, _ body: (Int32, FileStat) throws(StoreError) -> Result?
  ) throws(StoreError) -> Result? {
    let raw = db_openat2(location.root.raw, path.text, UInt64(O_RDONLY | O_NONBLOCK | O_CLOEXEC), 0, ResolveRule.beneath)
    guard raw >= 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw .source(errno, "openat2", location.fullPath(path.bytes))
    }
    let file = OwnedFD(adopting: raw)
    guard let stat = FileStat.of(raw) else { throw .source(errno, "fstat", location.fullPath(path.bytes)) }
    guard stat.isRegular else { return nil }
    return try body(file.raw, stat)
  }

  /// The sites the file's attributes name.
  private func recordedSites(_ fd: Int32) -> [String] {
    var names = [UInt8](repeating: 0, count: Self.attributeNamesBytesMax)
    let count = names.withUnsafeMutableBytes { flistxattr(fd, $0.baseAddress, $0.count) }
    guard count > 0 else { return [] }
    let (prefix, suffix) = ("user.", "-replication-status")
    return names[..<count].split(separator: 0).compactMap { bytes in
      let name = String(decoding: bytes, as: UTF8.self)
      guard name.hasPrefix(prefix), name.hasSuffix(suffix), name.utf8.count > prefix.utf8.count + suffix.utf8.count else {
        return nil
      }
      return String(name.dropFirst(prefix.count).dropLast(suffix.count))
    }
  }

  // MARK: Where they are kept

  private func read(_ fd: Int32, _ path: ObjectPath, _ sites: [String], state: String) -> [String: ReplicationStatus] {
    // Statuses of an earlier state of the file say nothing.
    var known: [String: ReplicationStatus] = [:]
    if attribute(fd, Self.stateName) == state {
      for site in sites { known[site] = attribute(fd, statusAttributeName(site)).flatMap(ReplicationStatus.init(rawValue:)) }
    }
    // The fallback is only there while it is the later of the two.
    if hasFallbacks.load(ordering: .relaxed), let json = readFallback(path), json["state"]?.string == state {
      for member in json["sites"]?.members ?? [] { known[member.name] = member.value.string.flatMap(ReplicationStatus.init(rawValue:)) }
    }
    return known
  }

  /// The attributes in the order they are written, for a kill between two of them: a site that is COMPLETED is never done again, so
  /// the whole must say by then what follows from it; and before the state names the file as it is, nothing counts.
  static func writes(
    _ known: [String: ReplicationStatus], whole: ReplicationStatus, state: String
  ) -> [(name: String, value: String)] {
    [(wholeName, whole.rawValue)] + known.map { (statusAttributeName($0.key), $0.value.rawValue) } + [(stateName, state)]
  }

  private func write(
    _ fd: Int32, _ path: ObjectPath, _ known: [String: ReplicationStatus], whole: ReplicationStatus, state: String
  ) throws(StoreError) {
    let failed = Self.writes(known, whole: whole, state: state).first { name, value in
      attribute(fd, name) != value && fsetxattr(fd, name, value, value.utf8.count, 0) != 0
    }
    guard failed != nil else {
      if hasFallbacks.load(ordering: .relaxed) { unlink(fallbackPath(path)) }
      return
    }
    let refusal = Errno.last("fsetxattr").reason
    if !saidRefused.exchange(true, ordering: .relaxed) {
      note("\(location.path): extended attributes are refused (\(refusal)); such statuses are kept in \(fallbackDirectory)")
    }
    let sites = known.sorted { $0.key < $1.key }.map { JSONValue.Member($0.key, .string($0.value.rawValue)) }
    let json: JSONValue = .object([
      .init("path", .string(path.text)), .init("state", .string(state)), .init("status", .string(whole.rawValue)),
      .init("sites", .object(sites)),
    ])
    try writeFallback(path, json.bytes)
  }

  private func attribute(_ fd: Int32, _ name: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: 128)
    let count = fgetxattr(fd, name, &bytes, bytes.count)
    return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
  }

  // MARK: State directory

  private func fallbackPath(_ path: ObjectPath) -> String { "\(fallbackDirectory)/\(SHA256.hex(path.bytes)).json" }

  private func readFallback(_ path: ObjectPath) -> JSONValue? {
    let raw = open(fallbackPath(path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard raw >= 0 else { return nil }
    let file = OwnedFD(adopting: raw)
    let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
      count = max(0, pread(file.raw, buffer.baseAddress, buffer.count, 0))
    }
    do throws(JSONValue.Malformed) {
      return try JSONValue(parsing: bytes, bytesMax: 65_536, depthMax: 4)
    } catch {
      // Written by nobody of us, or cut short: as if it were not there.
      return nil
    }
  }

  private func writeFallback(_ path: ObjectPath, _ bytes: [UInt8]) throws(StoreError) {
    let name = fallbackPath(path)
    _ = mkdir(fallbackDirectory, 0o700)
    hasFallbacks.store(true, ordering: .relaxed)
    let raw = open(name + ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard raw >= 0 else { throw .target(errno, "open", name) }
    let file = OwnedFD(adopting: raw)
    let count = Glibc.write(file.raw, bytes, bytes.count)
    guard count == bytes.count else { throw .target(count < 0 ? errno : ENOSPC, "write", name) }
    guard fsync(file.raw) == 0 else { throw .target(errno, "fsync", name) }
    guard rename(name + ".new", name) == 0 else { throw .target(errno, "rename", name) }
  }
}
