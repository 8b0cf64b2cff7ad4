// Paths that changed and have to be looked at, each once however many events named it. A path rests for `settle` after
// its last event, so a file written in many steps is enqueued once, but never longer than `settleMax` after its first.
//
// Bounded: when it is full the caller lists the tree again, which finds everything these paths would have told.

internal import Reactor

struct DirtyPaths {
  /// Paths kept; a listing is cheaper than remembering more.
  static let pathsMax = 16_384
  /// Rest after the last event of a path.
  static let settle: Duration = .milliseconds(200)
  /// A path that changes all the time is looked at this often.
  static let settleMax: Duration = .seconds(2)

  enum Kind: Hashable, Sendable {
    /// One name: a file, or whatever is there by now.
    case entry
    /// A directory that appeared: everything below has to be listed.
    case subtree
    /// A directory that went away: copies below may have lost their source.
    case lostSubtree
  }

  struct Item: Hashable, Sendable {
    var path: String
    var kind: Kind
  }

  private struct Rest {
    var first: Instant
    var last: Instant
    mutating func touch(_ now: Instant) { last = max(last, now) }
  }

  private let pathsMax: Int
  private let settle: Duration
  private var resting: [Item: Rest] = [:]
  /// Rested, oldest last; taken from the end.
  private var ready: [Item] = []
  /// Not later than the earliest `due` of what rests.
  private var wake: Instant?

  init(pathsMax: Int = DirtyPaths.pathsMax, settle: Duration = DirtyPaths.settle) {
    self.pathsMax = pathsMax
    self.settle = settle
  }

  var count: Int { resting.count + ready.count }
  var isEmpty: Bool { count == 0 }

  /// Notes an event.
  /// - Returns: false if there is no room; nothing was noted.
  mutating func touch(_ item: Item, now: Instant) -> Bool {
    if resting[item]?.touch(now) == nil {
      guard count < pathsMax else { return false }
      resting[item] = Rest(first: now, last: now)
    }
    let due = now + settle
    wake = wake.map { min($0, due) } ?? due
    return true
  }

  /// The next path that has rested.
  mutating func takeDue(now: Instant) -> Item? {
    if ready.isEmpty { gather(now: now) }
    return ready.popLast()
  }

  /// When to ask again; nil if nothing rests. Never later than the truth, perhaps earlier.
  var nextDue: Instant? { ready.isEmpty ? wake : Instant(ns: 0) }

  mutating func removeAll() { self = DirtyPaths(pathsMax: pathsMax, settle: settle) }

  private mutating func gather(now: Instant) {
    guard let soonest = wake, soonest <= now else { return }
    wake = nil
    for (item, rest) in resting {
      let due = min(rest.last + settle, rest.first + max(settle, Self.settleMax))
      if due <= now { ready.append(item) } else { wake = wake.map { min($0, due) } ?? due }
    }
    for item in ready { resting[item] = nil }
    dropCovered()
  }

  /// A subtree inside another one that is due too would be listed twice.
  private mutating func dropCovered() {
    let subtrees = Set(ready.lazy.filter { $0.kind == .subtree }.map { $0.path })
    guard subtrees.count > 1 else { return }
    ready.removeAll { item in
      item.kind == .subtree && Self.ancestors(of: item.path).contains { subtrees.contains($0) }
    }
  }

  /// `a/b/c` → `a/b`, `a`, and the root.
  static func ancestors(of path: String) -> [String] {
    guard !path.isEmpty else { return [] }
    var found: [String] = []
    var rest = path[...]
    while let slash = rest.lastIndex(of: "/") {
      rest = rest[..<slash]
      found.append(String(rest))
    }
    return found + [""]
  }
}
