// One `file` location's root directory, shared by all workers: the root itself, our `.downbeat/` in it, and the few facts
// all workers must agree on. Everything below the root is reached through its descriptor.
//
// Made once at start with plain calls. It never opens an object's file; that is done by `FileSource`, `FileDestination`
// (per worker, through the ring) and `FileCopyProbe` (plain calls).
internal import PipelineCore
internal import CLinux
internal import Glibc
internal import Reactor
internal import Synchronization

public final class FileLocation: Sendable {
  public struct Layout: Hashable, Sendable {
    /// A path is `<bucket>/<key>`; else `<key>`: the tree is one bucket, or all share it (`bucketMatch: true`).
    public var bucketInPath: Bool
    public var naming: FileNaming

    public init(bucketInPath: Bool, naming: FileNaming) {
      self.bucketInPath = bucketInPath
      self.naming = naming
    }

    /// Destination with `bucketMatch: false`, and every configured `file` source.
    public static let bucketThenKey = Layout(bucketInPath: true, naming: .mapped)
    /// Destination with `bucketMatch: true`.
    public static let keyOnly = Layout(bucketInPath: false, naming: .mapped)
    /// Both sides of a `quickstart`: same relative path, same name.
    public static let sameTree = Layout(bucketInPath: false, naming: .verbatim)
    /// A configured `file` source: its file names are the keys.
    public static let source = Layout(bucketInPath: true, naming: .verbatim)
  }

  /// Where our own things live below a target's root.
  static let ownName = Array(".downbeat".utf8)
  static let temporaryPath = Array(".downbeat/tmp".utf8)
  static let sidecarPath = Array(".downbeat/meta".utf8)
  static let displacedMark = Array(".downbeat/displaced".utf8)

  public let path: String
  public let layout: Layout
  /// Descriptor of the root (O_PATH).
  let root: OwnedFD
  /// Descriptor of `.downbeat/tmp`, shared-locked while this lives; -1 for a source.
  let temporaryFD: Int32
  private let temporaryOwner: OwnedFD?
  /// In every temporary name, so that nothing of another process is ever taken for ours.
  private let instance: String
  private let temporaryCount = Atomic<UInt64>(0)

  /// Extended attributes are refused here: records are kept in sidecar files.
  let refusesAttributes = Atomic<Bool>(false)
  /// Some record is, or may be, in a sidecar file.
  let hasSidecars = Atomic<Bool>(false)
  /// Some copy has, or may have, its displaced name.
  let hasDisplaced = Atomic<Bool>(false)
  /// Directories made whose own name is not yet known to be durable.
  private let freshDirectories = Lock(FreshDirectories())
  /// The file system cannot rename without replacing (some network and FUSE ones).
  let lacksNoReplace = Atomic<Bool>(false)
  private let note: @Sendable (String) -> Void

  /// What the umask lets pass, for new directories and for files whose source has no permission bits.
  static let umaskBits: UInt32 = {
    // umask(2) can only be read by setting it; the strict value in between harms nobody who makes a file meanwhile.
    let bits = umask(0o077)
    umask(bits)
    return UInt32(bits)
  }()

  private init(
    path: String, layout: Layout, root: consuming OwnedFD, temporary: consuming OwnedFD?, temporaryRaw: Int32,
    note: @escaping @Sendable (String) -> Void
  ) {
    self.path = path
    self.layout = layout
    self.root = root
    temporaryFD = temporaryRaw
    temporaryOwner = temporary
    self.note = note
    instance = String(UInt64.random(in: .min ... .max), radix: 16)
  }

  // MARK: Opening

  /// - Errors: a `StoreError` naming the path. - Blocking: two system calls.
  public static func openSource(
    _ path: String, layout: Layout, note: @escaping @Sendable (String) -> Void = { _ in }
  ) throws(StoreError) -> FileLocation {
    let raw = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)
    guard raw >= 0 else { throw .source(errno, "open", path) }
    return FileLocation(path: path, layout: layout, root: OwnedFD(adopting: raw), temporary: nil, temporaryRaw: -1, note: note)
  }

  /// Makes `.downbeat/tmp`, removes what a killed process left in it, and finds out whether attributes can be kept.
  /// - Parameter note: called with each fact an operator should know, once.
  /// - Errors: a `StoreError` naming the path. - Blocking: plain calls; after an unclean end a sync of the file system; and
  ///   while another process sweeps.
  public static func openTarget(
    _ path: String, layout: Layout, note: @escaping @Sendable (String) -> Void = { _ in }
  ) throws(StoreError) -> FileLocation {
    let raw = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)
    guard raw >= 0 else {
      let code = errno
      guard code != ENOENT else { throw StoreError(.targetMissing, isRetryable: false, "\(path): no such directory; make it") }
      throw .target(code, "open", path)
    }
    let root = OwnedFD(adopting: raw)
    try makeOwn(root.raw, ownName, path)
    try makeOwn(root.raw, temporaryPath, path)
    let temporaryRaw = db_openat2(
      root.raw, text(temporaryPath), UInt64(O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0, ResolveRule.beneath)
    guard temporaryRaw >= 0 else { throw .target(errno, "openat2", "\(path)/.downbeat/tmp") }
    let location = FileLocation(
      path: path, layout: layout, root: root, temporary: OwnedFD(adopting: temporaryRaw), temporaryRaw: temporaryRaw, note: note)
    location.sweep(temporaryRaw)
    location.holdTemporaries(temporaryRaw)
    location.probeAttributes(temporaryRaw)
    if location.exists(sidecarPath) { location.hasSidecars.store(true, ordering: .relaxed) }
    location.hasDisplaced.store(location.exists(displacedMark), ordering: .relaxed)
    return location
  }

  private static func makeOwn(_ root: Int32, _ name: [UInt8], _ path: String) throws(StoreError) {
    guard mkdirat(root, text(name), 0o700) != 0, errno != EEXIST else { return }
    throw .target(errno, "mkdirat", "\(path)/\(text(name))")
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  private func exists(_ name: [UInt8]) -> Bool {
    faccessat(root.raw, Self.text(name), F_OK, AT_SYMLINK_NOFOLLOW) == 0
  }

  /// Temporary files belong to nobody once the location can be locked exclusively. While another process has it open
  /// (shared lock) nothing is removed.
  private func sweep(_ directory: Int32) {
    if db_flock(directory, LOCK_EX | LOCK_NB) == 0 {
      // A descriptor of its own: reading a directory moves the position.
      let raw = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      var removed = 0
      if raw >= 0, let stream = fdopendir(raw) {
        while let entry = readdir(stream) {
          let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
          if name != ".", name != "..", unlinkat(directory, name, 0) == 0 { removed += 1 }
        }
        closedir(stream)
      }
      if removed > 0 {
        note("\(path): removed \(removed) temporary files of a run that did not end cleanly")
        // Directories it had made may not be durable yet, and nobody remembers which.
        _ = db_syncfs(directory)
      }
    }
  }

  /// From now on nobody else sweeps. Another process may be at it right now, and would take what we are about to write for left
  /// behind: without the lock nothing may be written.
  private func holdTemporaries(_ directory: Int32) {
    while db_flock(directory, LOCK_SH) != 0 {
      if errno == EINTR { continue }
      // A file system without locks: nobody can lock it exclusively either, so nobody sweeps.
      return say("\(path)/.downbeat/tmp cannot be locked (\(Errno.last("flock").reason)); what a killed process leaves there stays")
    }
  }

  private func probeAttributes(_ directory: Int32) {
    if fsetxattr(directory, "user.downbeat", "tmp", 3, 0) != 0, errno == EOPNOTSUPP || errno == EPERM || errno == EACCES {
      noteRefusedAttributes(errno)
    }
  }

  // MARK: Shared facts

  func noteRefusedAttributes(_ code: Int32) {
    // Ours, or another process's that uses the same tree.
    hasSidecars.store(true, ordering: .relaxed)
    guard !refusesAttributes.exchange(true, ordering: .relaxed) else { return }
    note("\(path): extended attributes are refused (\(Errno(code, "fsetxattr").reason)); copies are recorded under .downbeat/meta")
  }

  func say(_ text: String) { note(text) }

  /// A name nobody else uses below `.downbeat/tmp`.
  func temporaryName() -> [UInt8] {
    Array("\(instance)-\(temporaryCount.add(1, ordering: .relaxed).newValue)".utf8)
  }

  /// Where the object's file is. - Errors: `keyNotMappable`.
  func objectPath(bucket: String, key: String, isDisplaced: Bool = false) throws(StoreError) -> ObjectPath {
    do throws(KeyPathError) {
      return try KeyPath.path(
        bucket: layout.bucketInPath ? bucket : nil, key: key, naming: layout.naming, isDisplaced: isDisplaced)
    } catch {
      throw .keyPath(error, bucket: bucket, key: key)
    }
  }

  /// For messages.
  func fullPath(_ relative: [UInt8]) -> String { "\(path)/\(PrintableName.of(relative))" }

  // MARK: Directories whose names are not durable yet

  /// Somebody is about to make it.
  func beginFresh(_ directory: [UInt8]) { freshDirectories.withLock { $0.begin(directory) } }

  /// - Parameter isMade: it is there, whoever made it.
  func endFresh(_ directory: [UInt8], isMade: Bool) { freshDirectories.withLock { $0.end(directory, isMade: isMade) } }

  /// - Parameter mark: as `freshOnTheWay` gave it; a directory made again since then stays in the list.
  func removeFresh(_ directory: [UInt8], _ mark: UInt64) { freshDirectories.withLock { $0.remove(directory, mark) } }

  /// Those of them a path passes through, whoever made them: a file is durable only when every name on its way is.
  func freshOnTheWay(to directory: [UInt8]) -> [(directory: [UInt8], mark: UInt64)] {
    freshDirectories.withLock { fresh in
      guard !fresh.entries.isEmpty else { return [] }
      return ancestors(of: directory).compactMap { path in fresh.entries[path].map { (path, $0.mark) } }
    }
  }
}

/// In the list from before the first attempt to make it, so that nobody uses it and does not know; out of it again when the
/// last attempt has failed, or when the name is durable.
private struct FreshDirectories {
  struct Entry {
    var mark: UInt64
    /// Attempts under way.
    var makers = 0
    var isMade = false
  }

  private(set) var entries: [[UInt8]: Entry] = [:]
  private var markLast: UInt64 = 0

  mutating func begin(_ directory: [UInt8]) {
    markLast += 1
    entries[directory, default: Entry(mark: markLast)].mark = markLast
    entries[directory]?.makers += 1
  }

  mutating func end(_ directory: [UInt8], isMade: Bool) {
    guard var entry = entries[directory] else { return }
    entry.makers -= 1
    entry.isMade = entry.isMade || isMade
    entries[directory] = entry.makers == 0 && !entry.isMade ? nil : entry
  }

  mutating func remove(_ directory: [UInt8], _ mark: UInt64) {
    guard let entry = entries[directory], entry.mark == mark, entry.makers == 0 else { return }
    entries[directory] = nil
  }
}

/// `a/b/c` → `a`, `a/b`, `a/b/c`; nothing for the root.
func ancestors(of directory: [UInt8]) -> [[UInt8]] {
  guard !directory.isEmpty else { return [] }
  var result = directory.indices.filter { directory[$0] == UInt8(ascii: "/") }.map { Array(directory[..<$0]) }
  result.append(directory)
  return result
}

/// The directory part of a relative path; empty for the root.
func parentDirectory(_ path: [UInt8]) -> [UInt8] { Array(path[..<(path.lastIndex(of: UInt8(ascii: "/")) ?? 0)]) }
func lastComponent(_ path: [UInt8]) -> [UInt8] {
  guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return path }
  return Array(path[(slash + 1)...])
}
