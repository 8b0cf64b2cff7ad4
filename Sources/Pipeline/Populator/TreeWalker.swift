// A walk of a tree in bounded steps and bounded memory: a million files in one directory or in ten thousand cost the same.
//
// One directory is open at a time; the others on the way down are only names, re-opened by path when their turn comes
// back, so a deep tree needs no deep stack of descriptors. Of a directory's subdirectories a page of names is kept; if it
// has more, it is read again for the names after the last one (byte order makes the pages disjoint). Names held over all
// levels are bounded by `subdirectoryNamesMax` (plus the smallest page per level).
//
// It follows no link, never leaves the root, and goes on after every error. What appears behind its back is the
// watcher's concern: `onDirectory` runs before the directory is read, so a watch set there misses nothing.

internal import PipelineCore
internal import CLinux
internal import Glibc
internal import Reactor

/// Walks one tree, or one directory of it, once.
public final class TreeWalker {
  /// Subdirectory names kept over all levels: at most about 4 MB.
  public static let subdirectoryNamesMax = 65_536
  /// Names kept for one level even when the levels above hold the whole allowance.
  static let pageNamesMin = 64

  public enum Item: Sendable {
    case file(WalkedFile)
    case failure(TreeFailure)
  }

  public enum Progress: Hashable, Sendable {
    case more
    /// Nothing is left. The listing is trustworthy as a whole only if `counts.failures` is 0.
    case finished
  }

  public struct Options {
    /// Names at the root that are not part of the tree.
    public var reservedAtRoot: Set<String> = []
    /// Directories that must not be entered, whatever they are called here.
    public var refused: Set<FileIdentity> = []
    /// Smaller in tests, so that small trees reach the bound.
    public var subdirectoryNamesMax = TreeWalker.subdirectoryNamesMax

    public init(reservedAtRoot: Set<String> = [], refused: Set<FileIdentity> = []) {
      self.reservedAtRoot = reservedAtRoot
      self.refused = refused
    }
  }

  public private(set) var counts = TreeCounts()
  /// Most subdirectory names held at a time: what the walk's memory depends on.
  private(set) var namesHeldMax = 0
  /// Called with each directory (descriptor and path) before its names are read, only for paths that are UTF-8.
  public var onDirectory: ((_ fd: Int32, _ path: String) -> Void)?

  private let root: TreeRoot
  private let options: Options
  private let reader = DirectoryReader()
  private var levels: [Level] = []
  private var path: [UInt8]
  private var namesHeld = 0 {
    didSet { namesHeldMax = max(namesHeldMax, namesHeld) }
  }
  private var started = false

  /// One directory on the way down.
  private struct Level {
    /// Length of the walk's path without this directory's own name.
    var parentLength: Int
    /// False if a name on the way is no UTF-8: then no file below can be an object.
    var isNameable: Bool
    var page = SubdirectoryPage(namesMax: 0)
    /// Files are handed out only the first time a directory is read.
    var pass = 0
  }

  /// - Parameter under: a directory of the tree; empty for all of it.
  public init(root: TreeRoot, under: String = "", options: Options = Options()) {
    self.root = root
    self.options = options
    path = Array(under.utf8)
  }

  /// Reads on, at most `entriesMax` names (or directories entered), and hands out what they are.
  /// - Thread: the owner's. - Blocking: yes, a few system calls per entry.
  public func step(entriesMax: Int, _ visit: (Item) -> Void) -> Progress {
    if !started {
      started = true
      enter(parentLength: 0, isNameable: true, visit)
    }
    for _ in 0..<entriesMax {
      if reader.isOpen {
        readOne(visit)
      } else if !advance(visit) {
        return .finished
      }
    }
    return .more
  }

  // MARK: Moving between directories

  /// Enters the next subdirectory, or reads the level again for its next page, or goes up. False at the very end.
  private func advance(_ visit: (Item) -> Void) -> Bool {
    guard !levels.isEmpty else { return false }
    let index = levels.count - 1
    if let name = levels[index].page.popFirst() {
      namesHeld -= 1
      let parentLength = path.count
      if !path.isEmpty { path.append(Self.slash) }
      path += name
      enter(parentLength: parentLength, isNameable: levels[index].isNameable && isUTF8(name), visit)
    } else if levels[index].page.hasMore {
      openCurrent(visit)
    } else {
      leave()
    }
    return true
  }

  private func enter(parentLength: Int, isNameable: Bool, _ visit: (Item) -> Void) {
    levels.append(Level(parentLength: parentLength, isNameable: isNameable))
    openCurrent(visit)
  }

  private func leave() {
    let level = levels.removeLast()
    path.removeLast(path.count - level.parentLength)
  }

  /// Opens the directory at `path` for its next pass; a directory that cannot be opened is left at once.
  private func openCurrent(_ visit: (Item) -> Void) {
    let index = levels.count - 1
    do throws(Errno) {
      reader.open(try root.openDirectory(path))
      if levels[index].pass == 0 {
        guard try mayEnter() else {
          fail(.holdsTarget, visit)
          return abandon()
        }
        counts.directories += 1
        if levels[index].isNameable { onDirectory?(reader.fd, String(decoding: path, as: UTF8.self)) }
      }
    } catch {
      // Gone, or replaced by a file or a link since its name was read.
      if [ENOENT, ENOTDIR, ELOOP].contains(error.code) { counts.vanished += 1 } else { fail(error, visit) }
      return abandon()
    }
    levels[index].pass += 1
    levels[index].page.startPass(namesMax: max(Self.pageNamesMin, (options.subdirectoryNamesMax - namesHeld) / 2))
  }

  private func abandon() {
    reader.close()
    leave()
  }

  private func mayEnter() throws(Errno) -> Bool {
    if options.refused.isEmpty { return true }
    return !options.refused.contains(try reader.identity())
  }

  // MARK: Reading one directory

  private func readOne(_ visit: (Item) -> Void) {
    do throws(Errno) {
      if let (name, type) = try reader.next() {
        take(name, type, visit)
        return
      }
    } catch {
      fail(error, visit)
    }
    reader.close()
    let index = levels.count - 1
    levels[index].page.endPass()
    namesHeld += levels[index].page.count
  }

  private func take(_ name: [UInt8], _ type: EntryType, _ visit: (Item) -> Void) {
    if path.isEmpty, isReserved(name) {
      if levels[0].pass == 1 { counts[.reserved] += 1 }
      return
    }
    let firstPass = levels[levels.count - 1].pass == 1
    switch type {
    case .directory: levels[levels.count - 1].page.offer(name)
    case .other(let kind): if firstPass { counts[kind] += 1 }
    case .file: if firstPass { look(at: name, visit) }
    case .unknown: look(at: name, visit)
    }
  }

  private func look(at name: [UInt8], _ visit: (Item) -> Void) {
    let index = levels.count - 1
    let firstPass = levels[index].pass == 1
    do throws(Errno) {
      guard let facts = try reader.facts(of: name) else {
        if firstPass { counts.vanished += 1 }
        return
      }
      switch facts.kind {
      case .directory: levels[index].page.offer(name)
      case .other(let kind): if firstPass { counts[kind] += 1 }
      case .file:
        guard firstPass else { return }
        found(name, facts, visit)
      }
    } catch {
      if firstPass { fail(error, name: name, visit) }
    }
  }

  private func found(_ name: [UInt8], _ facts: InodeFacts, _ visit: (Item) -> Void) {
    guard levels[levels.count - 1].isNameable, let full = String(validating: joined(name), as: UTF8.self) else {
      counts.failures += 1
      return visit(.failure(TreeFailure(path: PrintableName.of(joined(name)), reason: .keyNotUTF8)))
    }
    counts.files += 1
    counts.bytes += facts.size
    visit(.file(WalkedFile(path: full, size: facts.size, modifiedNs: facts.modifiedNs, permissions: facts.permissions)))
  }

  // MARK: Failures and names

  private func fail(_ error: Errno, name: [UInt8] = [], _ visit: (Item) -> Void) {
    fail(.unreadable(code: error.code, call: error.call), name: name, visit)
  }

  private func fail(_ reason: TreeFailureReason, name: [UInt8] = [], _ visit: (Item) -> Void) {
    counts.failures += 1
    let full = joined(name)
    visit(.failure(TreeFailure(path: full.isEmpty ? "." : PrintableName.of(full), reason: reason)))
  }

  private func joined(_ name: [UInt8]) -> [UInt8] {
    if name.isEmpty || path.isEmpty { return path + name }
    return path + [Self.slash] + name
  }

  private func isReserved(_ name: [UInt8]) -> Bool {
    !options.reservedAtRoot.isEmpty && options.reservedAtRoot.contains(String(decoding: name, as: UTF8.self))
  }

  private func isUTF8(_ name: [UInt8]) -> Bool { String(validating: name, as: UTF8.self) != nil }

  private static let slash = UInt8(ascii: "/")
}

/// The smallest names after the last page, in byte order: reading a directory again yields its next page.
struct SubdirectoryPage {
  /// Names of this page that are still to be entered, greatest first (so that the next one is popped from the end).
  private var names: [[UInt8]] = []
  /// The greatest name of the pages so far; the next page starts after it.
  private var after: [UInt8]?
  private var namesMax: Int
  /// The smallest name known to be beyond this page; names from there on need not be kept in this pass.
  private var cut: [UInt8]?

  init(namesMax: Int) { self.namesMax = namesMax }

  var count: Int { names.count }
  /// More names lie beyond this page: the directory must be read again.
  var hasMore: Bool { cut != nil }

  mutating func startPass(namesMax: Int) {
    precondition(names.isEmpty, "the last page is not used up")
    self.namesMax = namesMax
    cut = nil
  }

  mutating func offer(_ name: [UInt8]) {
    if let after, !after.lexicographicallyPrecedes(name) { return }
    if let cut, !name.lexicographicallyPrecedes(cut) { return }
    names.append(name)
    if names.count >= 2 * namesMax { truncate() }
  }

  mutating func endPass() {
    truncate()
    after = names.last ?? after
    names.reverse()
  }

  mutating func popFirst() -> [UInt8]? { names.popLast() }

  private mutating func truncate() {
    names.sort { $0.lexicographicallyPrecedes($1) }
    guard names.count > namesMax else { return }
    cut = names[namesMax]
    names.removeLast(names.count - namesMax)
  }
}
