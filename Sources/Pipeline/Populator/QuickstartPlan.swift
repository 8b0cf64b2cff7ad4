// The paths of a quickstart, resolved: what was typed, what it really is, and whether any two of them are in each other's way.

internal import PipelineCore
internal import CLinux
internal import Glibc
internal import Reactor

struct QuickstartPlan {
  struct Target: Hashable, Sendable {
    /// As typed, printable.
    var given: String
    /// The location is named after it.
    var component: String
    /// Real path; of a missing target the real path of its parent and the name it will have.
    var path: String
    var isMissing: Bool
  }

  let source: String
  let targets: [Target]

  /// - Errors: a refusal that names the path: missing, no directory, unreadable.
  init(source given: String, targets: [String]) throws(QuickstartRefusal) {
    source = try Self.resolvedDirectory(given, role: "source")
    _ = try Self.identity(of: source)
    var resolved: [Target] = []
    for target in targets { resolved.append(try Self.resolve(target: target)) }
    self.targets = resolved
  }

  /// No two of source and targets may be the same, or lie inside each other, by whatever path.
  func checkDisjoint(_ mounts: MountTable) throws(QuickstartRefusal) {
    for (index, target) in targets.enumerated() {
      if try Self.overlap(source, target, mounts) {
        throw QuickstartRefusal(
          "target \(target.given) and source \(PrintableName.of(source)) are the same or lie inside each other: "
            + "choose a target outside of the source")
      }
      for other in targets[..<index] where try Self.overlap(other.path, target, mounts) {
        throw QuickstartRefusal(
          "targets \(other.given) and \(target.given) are the same or lie inside each other: choose separate directories")
      }
    }
  }

  private static func overlap(_ path: String, _ target: Target, _ mounts: MountTable) throws(QuickstartRefusal) -> Bool {
    if mounts.overlap(path, target.path) { return true }
    guard !target.isMissing, access(path, F_OK) == 0 else { return false }
    return try identity(of: path) == identity(of: target.path)
  }

  /// The directory is opened, so that one that may not be read is refused here.
  static func identity(of path: String) throws(QuickstartRefusal) -> FileIdentity {
    do throws(Errno) {
      let raw = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard raw >= 0 else { throw Errno.last("open \(path)") }
      let reader = DirectoryReader()
      reader.open(OwnedFD(adopting: raw))
      return try reader.identity()
    } catch {
      throw QuickstartRefusal("\(PrintableName.of(path)) cannot be read: \(error)")
    }
  }

  // MARK: Resolving

  private static func resolve(target given: String) throws(QuickstartRefusal) -> Target {
    let shown = PrintableName.of(given)
    if access(given, F_OK) == 0 {
      let path = try resolvedDirectory(given, role: "target")
      let typed = lastComponent(given)
      let component = ["", ".", ".."].contains(typed) ? lastComponent(path) : typed
      return Target(given: shown, component: component, path: path, isMissing: false)
    }
    let name = lastComponent(given)
    guard errno == ENOENT, !["", ".", ".."].contains(name) else {
      throw QuickstartRefusal("target \(shown): \(Errno.last("access"))")
    }
    var parent = given[...]
    while parent.last == "/" { parent = parent.dropLast() }
    parent = parent.dropLast(name.count)
    let directory: String
    do throws(QuickstartRefusal) {
      directory = try resolvedDirectory(parent.isEmpty ? "." : String(parent), role: "target")
    } catch {
      throw QuickstartRefusal("target \(shown) cannot be made: the directory it would be in does not exist; make that first")
    }
    var facts = stat()
    // A dangling link has a name already, but leads nowhere.
    guard lstat(directory + "/" + name, &facts) != 0 else {
      throw QuickstartRefusal("target \(shown) is a link that leads nowhere: remove it, or make the directory it names")
    }
    let path = directory == "/" ? "/" + name : directory + "/" + name
    return Target(given: shown, component: name, path: path, isMissing: true)
  }

  private static func resolvedDirectory(_ given: String, role: String) throws(QuickstartRefusal) -> String {
    let shown = PrintableName.of(given)
    guard let resolved = realpath(given, nil) else {
      throw QuickstartRefusal("\(role) \(shown): \(Errno.last("realpath").reason)")
    }
    defer { free(resolved) }
    guard let path = String(validatingCString: resolved) else {
      throw QuickstartRefusal("\(role) \(shown): its real path is not UTF-8")
    }
    var facts = stat()
    guard stat(path, &facts) == 0 else { throw QuickstartRefusal("\(role) \(shown): \(Errno.last("stat").reason)") }
    guard facts.st_mode & S_IFMT == S_IFDIR else { throw QuickstartRefusal("\(role) \(shown) is no directory") }
    return path
  }

  private static func lastComponent(_ path: String) -> String {
    path.split(separator: "/").last.map { String($0) } ?? ""
  }
}
