// Events become paths to look at: once each, rested, bounded.
import Reactor
import Testing

@testable import Pipeline

private func at(_ ms: Int64) -> Instant { Instant(ns: 1_000_000_000 + ms * 1_000_000) }
private func entry(_ path: String) -> DirtyPaths.Item { .init(path: path, kind: .entry) }
private func subtree(_ path: String) -> DirtyPaths.Item { .init(path: path, kind: .subtree) }

private func takeAll(_ dirty: inout DirtyPaths, at ms: Int64) -> Set<DirtyPaths.Item> {
  var taken: Set<DirtyPaths.Item> = []
  while let item = dirty.takeDue(now: at(ms)) { check(taken.insert(item).inserted) }
  return taken
}

@Test func aPathRestsAfterItsLastEventAndIsTakenOnce() {
  var dirty = DirtyPaths()
  #expect(dirty.nextDue == nil)
  for ms in stride(from: Int64(0), through: 100, by: 10) { check(dirty.touch(entry("a"), now: at(ms))) }
  #expect(dirty.count == 1)
  #expect(dirty.nextDue! <= at(300))
  check(takeAll(&dirty, at: 299).isEmpty)
  #expect(dirty.nextDue == at(300), "asking early corrects the next time to ask")
  check(takeAll(&dirty, at: 300) == [entry("a")])
  #expect(dirty.isEmpty)
  #expect(dirty.nextDue == nil)
}

@Test func aPathThatNeverRestsIsLookedAtAllTheSame() {
  var dirty = DirtyPaths()
  var looks = 0
  for ms in stride(from: Int64(0), to: 10_000, by: 50) {
    _ = dirty.touch(entry("log"), now: at(ms))
    looks += takeAll(&dirty, at: ms).count
  }
  #expect((4...5).contains(looks))
}

@Test func aFullSetTakesKnownPathsAndRefusesNewOnes() {
  var dirty = DirtyPaths(pathsMax: 2)
  check(dirty.touch(entry("a"), now: at(0)))
  check(dirty.touch(entry("b"), now: at(0)))
  check(!dirty.touch(entry("c"), now: at(0)))
  check(dirty.touch(entry("a"), now: at(10)))
  check(takeAll(&dirty, at: 1_000) == [entry("a"), entry("b")])
  check(dirty.touch(entry("c"), now: at(1_000)))
  dirty.removeAll()
  #expect(dirty.isEmpty)
}

@Test func aNewDirectoryInsideANewDirectoryIsListedOnlyOnce() {
  var dirty = DirtyPaths()
  for path in ["a", "a/b", "a/b/c", "a.x", "ab", "z/a/b"] { _ = dirty.touch(subtree(path), now: at(0)) }
  _ = dirty.touch(entry("a/b/file"), now: at(0))
  check(takeAll(&dirty, at: 500) == [subtree("a"), subtree("a.x"), subtree("ab"), subtree("z/a/b"), entry("a/b/file")])
  #expect(DirtyPaths.ancestors(of: "a/b/c") == ["a/b", "a", ""])
  #expect(DirtyPaths.ancestors(of: "").isEmpty)
}
