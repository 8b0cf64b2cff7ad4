// Watch descriptors to paths, through moves, against a model that is a plain dictionary of paths.
import TestSupport
import Testing

@testable import Pipeline

private func tree(_ places: [(Int32, String)]) -> WatchTree {
  var tree = WatchTree()
  for (watch, path) in places { check(tree.place(watch, at: path).isEmpty) }
  return tree
}

@Test func aDescriptorLeadsToItsPathAndBack() {
  let watches = tree([(1, ""), (2, "a"), (3, "a/b"), (4, "a/b/c"), (5, "z")])
  for (watch, path) in [(1, ""), (2, "a"), (3, "a/b"), (4, "a/b/c"), (5, "z")] as [(Int32, String)] {
    #expect(watches.path(of: watch) == path)
    #expect(watches.watch(at: path) == watch)
  }
  #expect(watches.path(of: 9) == nil)
  #expect(watches.watch(at: "a/x") == nil)
  #expect(watches.child(of: 2, named: "b") == 3)
}

@Test func movingADirectoryMovesEverythingBelowIt() {
  var watches = tree([(1, ""), (2, "a"), (3, "a/b"), (4, "a/b/c"), (5, "z")])
  check(watches.place(3, at: "z/moved").isEmpty)
  #expect(watches.path(of: 4) == "z/moved/c")
  #expect(watches.watch(at: "a/b") == nil)
  #expect(watches.child(of: 2, named: "b") == nil, "the event that names the old place finds nothing there")
}

@Test func whatStoodAtThePlaceBeforeIsHandedBackForRemoval() {
  var watches = tree([(1, ""), (2, "a"), (3, "a/b"), (4, "x")])
  check(Set(watches.place(9, at: "a")) == [2, 3])
  #expect(watches.path(of: 3) == nil)
  #expect(watches.path(of: 9) == "a")
  check(Set(watches.removeSubtree(9)) == [9])
  #expect(watches.count == 2)
}

@Test func aDirectoryWithoutAWatchedParentIsKnownByItsWholePath() {
  var watches = tree([(1, ""), (5, "no/watch/here"), (6, "no/watch/here/below")])
  #expect(watches.path(of: 5) == "no/watch/here")
  #expect(watches.path(of: 6) == "no/watch/here/below")
  #expect(watches.watch(at: "no/watch/here") == 5)
  check(watches.place(5, at: "elsewhere").isEmpty)
  #expect(watches.path(of: 5) == "elsewhere")
}

@Test func aDirectoryFoundBelowItselfStartsAfresh() {
  var watches = tree([(1, ""), (2, "a"), (3, "a/b")])
  // Really: a/b was moved away and a moved into it, under the name it had; only the second move is seen.
  check(watches.place(2, at: "a/b/a") == [3])
  #expect(watches.path(of: 2) == "a/b/a")
  #expect(watches.path(of: 3) == nil)
}

@Test func randomMovesAgreeWithAModelOfPlainPaths() {
  var random = SeededGenerator(seed: testSeed)
  for _ in 0..<100 {
    var watches = tree([(1, "")])
    var model: [Int32: String] = [1: ""]
    for watch in Int32(2)..<40 {
      let parent = model.values.sorted().randomElement(using: &random)!
      let name = "n\(Int.random(in: 0..<4, using: &random))"
      let path = parent.isEmpty ? name : parent + "/" + name
      let moved = Bool.random(using: &random) && model.count > 3
      let subject = moved ? model.keys.filter { $0 != 1 }.sorted().randomElement(using: &random)! : watch
      if let old = model[subject], path == old || path.hasPrefix(old + "/") { continue }
      let removed = watches.place(subject, at: path)
      // The model: what was at `path`, or below it, is gone; what was below the subject moves with it.
      let gone = model.filter { ($0.value == path || $0.value.hasPrefix(path + "/")) && $0.key != subject }
      let old = model[subject]
      for key in gone.keys { model[key] = nil }
      if let old { for (key, value) in model where value.hasPrefix(old + "/") { model[key] = path + value.dropFirst(old.count) } }
      model[subject] = path
      #expect(Set(removed) == Set(gone.keys), "seed \(testSeed)")
      #expect(watches.count == model.count, "seed \(testSeed)")
      for (key, value) in model { #expect(watches.path(of: key) == value, "seed \(testSeed)") }
    }
  }
}
