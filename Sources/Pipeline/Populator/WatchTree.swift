// Which directory a watch descriptor stands for. The kernel names only the descriptor and the last name; this is the
// other half of the path. Directories hang below each other, so that moving one moves everything below it with a
// single change, and memory is one short name per directory instead of one long path.
//
// Pure bookkeeping: no system call, no clock. Descriptors are never used twice by the kernel within one inotify handle.

struct WatchTree {
  typealias Watch = Int32

  private struct Node {
    /// `none` for the root and for a directory whose parent has no watch: `name` is then its whole path.
    var parent: Watch
    var name: String
    var children: [String: Watch] = [:]
  }

  private static let none: Watch = -1
  /// A cycle cannot arise; this bound turns one into a crash instead of a hang.
  private static let depthMax = 4_096

  private var nodes: [Watch: Node] = [:]
  /// Directories without a parent here, by their whole path (the root's is empty).
  private var tops: [String: Watch] = [:]

  var count: Int { nodes.count }

  /// The directory's path, or nil if the descriptor is unknown (its watch was removed, its last events still come).
  func path(of watch: Watch) -> String? {
    guard var node = nodes[watch] else { return nil }
    var parts = [node.name]
    while node.parent != Self.none {
      precondition(parts.count < Self.depthMax, "watches form a ring")
      node = nodes[node.parent]!
      if !node.name.isEmpty { parts.append(node.name) }
    }
    return parts.count == 1 ? parts[0] : parts.reversed().joined(separator: "/")
  }

  func watch(at path: String) -> Watch? {
    if let top = tops[path] { return top }
    guard let root = tops[""] else { return nil }
    var watch = root
    for part in path.split(separator: "/") {
      guard let child = nodes[watch]!.children[String(part)] else { return nil }
      watch = child
    }
    return watch
  }

  /// Notes that `watch` stands for the directory at `path`: new, or the same one found at another place.
  /// - Returns: descriptors that stood for other directories at that place: they are forgotten here and their watches
  ///   are the caller's to remove.
  mutating func place(_ watch: Watch, at path: String) -> [Watch] {
    if self.path(of: watch) == path { return [] }
    var removed: [Watch] = []
    var (parent, name) = parentAndName(of: path)
    if parent != Self.none, isAt(parent, orBelow: watch) {
      // A directory cannot lie below itself: the books are behind the file system. Start this one afresh.
      removed += removeSubtree(watch)
      (parent, name) = parentAndName(of: path)
    }
    if let occupant = parent == Self.none ? tops[name] : nodes[parent]!.children[name] {
      removed += removeSubtree(occupant)
    }
    detach(watch)
    nodes[watch, default: Node(parent: Self.none, name: "")].parent = parent
    nodes[watch]!.name = name
    if parent == Self.none { tops[name] = watch } else { nodes[parent]!.children[name] = watch }
    return removed.filter { $0 != watch }
  }

  /// Forgets the directory and everything below it.
  /// - Returns: the forgotten descriptors.
  mutating func removeSubtree(_ watch: Watch) -> [Watch] {
    guard nodes[watch] != nil else { return [] }
    detach(watch)
    var removed: [Watch] = []
    var rest = [watch]
    while let next = rest.popLast() {
      guard let node = nodes.removeValue(forKey: next) else { continue }
      removed.append(next)
      rest += node.children.values
    }
    return removed
  }

  func child(of watch: Watch, named name: String) -> Watch? { nodes[watch]?.children[name] }

  private func parentAndName(of path: String) -> (Watch, String) {
    guard let slash = path.lastIndex(of: "/") else {
      guard !path.isEmpty, let root = tops[""] else { return (Self.none, path) }
      return (root, path)
    }
    guard let parent = watch(at: String(path[..<slash])) else { return (Self.none, path) }
    return (parent, String(path[path.index(after: slash)...]))
  }

  private func isAt(_ watch: Watch, orBelow top: Watch) -> Bool {
    var current = watch
    while current != Self.none {
      if current == top { return true }
      current = nodes[current]?.parent ?? Self.none
    }
    return false
  }

  private mutating func detach(_ watch: Watch) {
    guard let node = nodes[watch] else { return }
    if node.parent == Self.none {
      if tops[node.name] == watch { tops[node.name] = nil }
    } else if nodes[node.parent]?.children[node.name] == watch {
      nodes[node.parent]!.children[node.name] = nil
    }
  }
}
