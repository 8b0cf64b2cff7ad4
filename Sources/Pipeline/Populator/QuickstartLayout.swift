// `downbeat quickstart SOURCE TARGET…`: which directories, under which names, and whether they may be used. Every guard
// that keeps a mistyped command from writing into the wrong place is here, before anything else runs.
//
// The order matters: everything is judged before anything is made, and judged again under the lock, because another
// process may have come in between. The source is never written to.

internal import PipelineCore
internal import CLinux
internal import Glibc
internal import Reactor

/// Why a quickstart is refused (exit code 2): one line that names the path and the way out.
public struct QuickstartRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String
  init(_ description: String) { self.description = description }
}

/// The checked and prepared directories. Holds each target's lock as long as it lives.
public final class QuickstartLayout {
  public struct Location: Hashable, Sendable {
    /// Unique among the locations.
    public var name: String
    /// Real path of the target.
    public var path: String
    /// Device and inode of the target, which the lister must never enter.
    public var identity: FileIdentity
    /// Where the location's status, pause state and failed list live.
    public var statePath: String { path + "/" + TargetDirectory.reservedName + "/state" }
  }

  /// Real path of the source.
  public let source: String
  /// The source's last path component.
  public let bucket: String
  /// The directory the source lies in: `<sourceParent>/<bucket>/<key>` is an object's file.
  public let sourceParent: String
  public let locations: [Location]
  /// What was made or taken over on the way; for the user.
  public let notes: [String]
  private let held: [TargetDirectory]

  /// Checks everything, then makes what is missing, marks and locks the targets.
  /// - Blocking: system calls and two fsyncs per target.
  /// - Errors: the first refusal; nothing was made then, except directories the locks had to be taken in.
  public init(source: String, targets: [String], force: Bool) throws(QuickstartRefusal) {
    guard !targets.isEmpty else { throw QuickstartRefusal("no target directory given") }
    let plan = try QuickstartPlan(source: source, targets: targets)
    try plan.checkDisjoint(MountTable(mountInfo: Self.mountInfo()))
    for target in plan.targets {
      try Self.judge(Self.look(at: target), target: target, source: plan.source, force: force)
    }
    var (held, notes): ([TargetDirectory], [String]) = ([], [])
    for target in plan.targets {
      held.append(try Self.take(target, source: plan.source, force: force, &notes))
    }
    self.source = plan.source
    let slash = plan.source.lastIndex(of: "/")!
    bucket = String(plan.source[plan.source.index(after: slash)...])
    sourceParent = slash == plan.source.startIndex ? "/" : String(plan.source[..<slash])
    var locations: [Location] = []
    for (target, name) in zip(plan.targets, LocationNames.unique(plan.targets.map(\.component))) {
      locations.append(Location(name: name, path: target.path, identity: try QuickstartPlan.identity(of: target.path)))
    }
    self.locations = locations
    self.notes = notes
    self.held = held
  }

  // MARK: One target

  private static func look(at target: QuickstartPlan.Target) throws(QuickstartRefusal) -> TargetFacts {
    do throws(Errno) { return try TargetDirectory.look(at: target.path) } catch {
      throw QuickstartRefusal("target \(target.given) cannot be used: \(error)")
    }
  }

  /// The rule of who may be written to.
  static func judge(_ facts: TargetFacts, target: QuickstartPlan.Target, source: String, force: Bool) throws(QuickstartRefusal) {
    switch facts {
    case .missing, .empty: return
    case .marked(let other):
      guard other == source || force else {
        throw QuickstartRefusal(
          "target \(target.given) holds a copy of \(PrintableName.of(other)): choose another target, or take it over with --force"
        )
      }
    case .occupied(let example):
      guard force else {
        throw QuickstartRefusal(
          "target \(target.given) is not empty (\(example)) and no copy made by downbeat: choose an empty directory, or use "
            + "--force (files with the same name as one of the source are then overwritten, no other is touched)")
      }
    }
  }

  /// Makes, locks and marks one target.
  private static func take(
    _ target: QuickstartPlan.Target, source: String, force: Bool, _ notes: inout [String]
  ) throws(QuickstartRefusal) -> TargetDirectory {
    if target.isMissing {
      guard mkdir(target.path, 0o755) == 0 || errno == EEXIST else {
        throw QuickstartRefusal("target \(target.given) cannot be made: \(Errno.last("mkdir \(target.path)"))")
      }
      notes.append("made \(target.path)")
    }
    let directory: TargetDirectory
    do throws(TargetDirectory.Failure) { directory = try TargetDirectory(locking: target.path) } catch {
      throw refusal(error, target)
    }
    let facts = try look(at: target)
    try judge(facts, target: target, source: source, force: force)
    if case .marked(let other) = facts, other != source {
      notes.append("took over \(target.path), which held a copy of \(PrintableName.of(other))")
    }
    do throws(Errno) { try directory.mark(target.path, source: source) } catch { throw refusal(.system(error), target) }
    return directory
  }

  private static func refusal(_ failure: TargetDirectory.Failure, _ target: QuickstartPlan.Target) -> QuickstartRefusal {
    switch failure {
    case .inUse(let pid):
      QuickstartRefusal("target \(target.given) is in use by another downbeat (process \(pid)): end that one first")
    case .system(let error): QuickstartRefusal("target \(target.given) cannot be used: \(error)")
    }
  }

  private static func mountInfo() -> String {
    let raw = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)
    // No /proc: paths and inodes are still compared.
    guard raw >= 0 else { return "" }
    let file = OwnedFD(adopting: raw)
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(file.raw, &block, block.count)
      if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += block[..<count]
    }
  }
}
