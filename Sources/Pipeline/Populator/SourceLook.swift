// What the tree that is listed, and its copies, are right now: for answers about single objects, which neither wait for the lister's
// turn nor disturb it. It looks; what is to be done about it is the lister's.
//
// - Thread: an actor on a reactor whose thread may wait for a disk.
internal import CLinux
internal import Glibc
public import Reactor

public actor SourceLook {
  public enum Answer: Hashable, Sendable {
    case file(WalkedFile)
    /// No file of that name (any more).
    case gone
    /// It cannot be said.
    case unreadable(Errno)
  }

  private let executor: ReactorExecutor
  private let path: String
  private let naming: SourceNaming
  private var source: TreeRoot?
  private var probes: [String: any CopyProbe] = [:]
  /// By site.
  private nonisolated let locations = Lock<[String: PopulatedLocation]>([:])

  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// - Parameter path: of the tree.
  public init(path: String, naming: SourceNaming, on handle: ReactorHandle) {
    self.path = path
    self.naming = naming
    executor = handle.executor
  }

  /// These locations get copies of the tree.
  /// - Thread: any.
  public nonisolated func add(_ added: [PopulatedLocation]) {
    locations.withLock { locations in for location in added { locations[location.site] = location } }
  }

  /// The object's file. - Blocking: some system calls.
  public func file(of object: ObjectName) -> Answer {
    guard let name = naming.path(of: object) else { return .gone }
    do throws(Errno) {
      let source = try root()
      switch source.entry(at: name) {
      case .file(let file): return .file(file)
      // Below a root that was removed, or whose file system is not mounted, everything looks gone.
      case .gone, .directory, .other:
        let isThere = source.isLinked ? !(try isEmpty(source)) : false
        return isThere ? .gone : .unreadable(Errno(ENOENT, path))
      case .failed(let error): return .unreadable(error)
      }
    } catch {
      return .unreadable(error)
    }
  }

  /// Whether the location holds a copy that goes when its object has gone.
  public func hasCopyToRemove(of object: ObjectName, at site: String) -> Bool {
    guard location(site)?.followsSeenDeletes == true else { return false }
    return probe(site)?.hasCopy(of: object) ?? false
  }

  /// All of the object's bytes or none, as its copy and its status say; zeros for what is not there.
  public func figures(of object: ObjectName, at site: String) -> ObjectFigures {
    guard case .file(let file) = file(of: object), let probe = probe(site) else { return ObjectFigures() }
    let isDone = probe.isUpToDate(bucket: object.bucket, key: object.key, file: file)
    return ObjectFigures(bytesTotal: file.size, bytesDone: isDone ? file.size : 0)
  }

  private func location(_ site: String) -> PopulatedLocation? { locations.withLock { $0[site] } }

  private func root() throws(Errno) -> TreeRoot {
    if let source { return source }
    let opened = try TreeRoot(path: path)
    source = opened
    return opened
  }

  private func isEmpty(_ source: TreeRoot) throws(Errno) -> Bool {
    let reader = DirectoryReader()
    reader.open(try source.openDirectory([]))
    return try reader.next() == nil
  }

  private func probe(_ site: String) -> (any CopyProbe)? {
    if let probe = probes[site] { return probe }
    guard let location = location(site) else { return nil }
    do {
      probes[site] = try location.makeProbe()
    } catch {
      // The lister has met the same and said so.
      return nil
    }
    return probes[site]
  }
}
