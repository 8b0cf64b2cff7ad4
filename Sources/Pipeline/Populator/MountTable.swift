// Which directories are the same, or lie inside each other, although their paths do not say so: bind mounts and file
// systems mounted twice. Read from /proc/self/mountinfo (proc(5)); pure once the text is there.
//
// A directory is a set of regions: the place in its file system where it really lies, and the roots of everything mounted
// below it. Two directories overlap if a region of one lies at, above or below a region of the other.

struct MountTable {
  /// A place within a file system, whatever path it is reached by.
  struct Region: Hashable, Sendable {
    /// `major:minor`
    var device: String
    /// From the file system's own root.
    var path: String

    func overlaps(_ other: Region) -> Bool {
      device == other.device && (MountTable.holds(path, other.path) || MountTable.holds(other.path, path))
    }
  }

  private struct Mount {
    var device: String
    var root: String
    var point: String
  }

  private var mounts: [Mount] = []

  /// Lines that cannot be understood are left out: the comparison of paths and inodes remains.
  init(mountInfo text: String) {
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ", omittingEmptySubsequences: false)
      guard fields.count >= 5 else { continue }
      mounts.append(
        Mount(device: String(fields[2]), root: Self.unescaped(fields[3]), point: Self.unescaped(fields[4])))
    }
  }

  /// - Parameter path: a real path (no links, no `..`).
  func regions(of path: String) -> Set<Region> {
    var found: Set<Region> = []
    // Of several mounts on one point the last one is what is seen.
    var own: Mount?
    for mount in mounts where Self.holds(mount.point, path) && mount.point.utf8.count >= (own?.point.utf8.count ?? 0) {
      own = mount
    }
    if let own {
      let rest = path.dropFirst(own.point == "/" ? 0 : own.point.count)
      found.insert(Region(device: own.device, path: Self.joined(own.root, String(rest))))
    }
    for mount in mounts where mount.point != path && Self.holds(path, mount.point) {
      found.insert(Region(device: mount.device, path: mount.root))
    }
    return found
  }

  func overlap(_ a: String, _ b: String) -> Bool {
    if Self.holds(a, b) || Self.holds(b, a) { return true }
    let others = regions(of: b)
    return regions(of: a).contains { region in others.contains { region.overlaps($0) } }
  }

  /// Is `path` at `directory` or below it?
  static func holds(_ directory: String, _ path: String) -> Bool {
    directory == "/" || path == directory || path.hasPrefix(directory + "/")
  }

  private static func joined(_ root: String, _ rest: String) -> String {
    let below = rest.hasPrefix("/") ? String(rest.dropFirst()) : rest
    if below.isEmpty { return root }
    return root == "/" ? "/" + below : root + "/" + below
  }

  /// Blank, tab, newline and backslash are written as three octal digits.
  private static func unescaped(_ field: Substring) -> String {
    guard field.contains("\\") else { return String(field) }
    var bytes: [UInt8] = []
    var rest = Array(field.utf8)[...]
    while let first = rest.popFirst() {
      if first == UInt8(ascii: "\\"), let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8) {
        bytes.append(value)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(first)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
