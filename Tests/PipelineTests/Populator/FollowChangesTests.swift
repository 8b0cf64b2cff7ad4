// Following a living source: nothing that changes while it is listed, or afterwards, is missed; what is deleted goes
// only when it may. The lister runs on its own thread, so the races here are real ones.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@testable import Pipeline

private func seeded(_ count: Int) -> TempTree {
  let tree = TempTree("source")
  for index in 0..<count { tree.file("d\(index % 7)/f\(index)", "content \(index)") }
  return tree
}

@Test func changedAndNewFilesAndDirectoriesFollow() throws {
  let source = seeded(30)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b"), TempTree("c")])
  check(rig.run())
  source.file("d0/f0", "changed, and longer")
  source.file("new/deep/er/directory/file", "made together with its directories")
  source.file("top", "x")
  source.rename("d1", "new/moved")
  source.rename("d2/f2", "d3/renamed")
  check(
    rig.run {
      rig.targets.allSatisfy { target in
        let copies = TreeListing.of(target.path)
        return TreeListing.of(source.path).allSatisfy { copies[$0.key] == $0.value }
      }
    })
  check(rig.run())
  // Without --delete the old places stay.
  #expect(rig.targets[0].exists("d1/f1"))
  #expect(rig.targets[0].exists("d2/f2"))
  #expect(rig.statuses[0].listingsCompleted == 1, "events were enough")
  #expect(rig.statuses[0].enqueuedDeletes == 0)
}

@Test func attributesAndHardLinksAreChangesToo() throws {
  let source = seeded(3)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")])
  check(rig.run())
  #expect(link(source.full("d0/f0"), source.full("d0/hard")) == 0)
  var times = [timespec(tv_sec: 1_000, tv_nsec: 5), timespec(tv_sec: 1_000, tv_nsec: 5)]
  #expect(utimensat(AT_FDCWD, source.full("d1/f1"), &times, 0) == 0)
  check(rig.run { rig.keys[0].contains("d0/hard") && rig.keys[0].count { $0 == "d1/f1" } == 2 })
}

@Test func filesCreatedWhileTheTreeIsBeingListedAreNeverMissed() throws {
  let source = seeded(400)
  for index in 0..<150 { source.file("w\(index)/f", "x") }
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")]) { $0.tuning.entriesPerTurnMax = 4 }
  var created = 0
  check(
    rig.run {
      // Everywhere: in directories listed already, in those still to come, in the one being read, and in new ones.
      for _ in 0..<3 where created < 600 {
        source.file("w\(created % 150)/n\(created)", "made during the walk")
        if created % 5 == 0 { source.file("w\(created % 150)/sub\(created)/deeper/f", "in a new directory") }
        created += 1
      }
      return created == 600
    })
  check(rig.runUntilSame())
  #expect(rig.statuses[0].listingsCompleted == 1, "no second listing was needed")
}

@Test func aStormOfRandomChangesEndsInTheSameTree() throws {
  var random = SeededGenerator(seed: testSeed)
  let source = seeded(60)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b"), TempTree("c")], deletes: true)
  var storm = TreeStorm(source: source)
  for _ in 0..<60 {
    for _ in 0..<12 { storm.step(&random) }
    rig.turnOnce()
  }
  source.file("last", "so that the source is not empty")
  check(rig.runUntilSame(), "seed \(testSeed)")
  check(rig.run(), "seed \(testSeed)")
}

/// Random changes: create, overwrite, append, delete, rename of files and of whole directories.
private struct TreeStorm {
  let source: TempTree
  /// Every content has a length of its own: two states of a file never look alike within one clock tick.
  private var length = 20
  /// From 100 on: `seeded` has already made d0 to d6.
  private var names = 100

  init(source: TempTree) { self.source = source }

  mutating func step(_ random: inout SeededGenerator) {
    let files = TreeListing.of(source.path).keys.sorted()
    let directories = ([""] + directoriesBelow("")).sorted()
    length += 1
    names += 1
    let content = String(repeating: "x", count: length)
    let directory = directories.randomElement(using: &random)!
    let parent = directory.isEmpty ? "" : directory + "/"
    switch Int.random(in: 0..<10, using: &random) {
    case 0...2: source.file(parent + "f\(names)", content)
    case 3: source.file(parent + "d\(names)/d/f\(names)", content)
    case 4...5: if let file = files.randomElement(using: &random) { source.file(file, content) }
    case 6: if let file = files.randomElement(using: &random) { source.remove(file) }
    case 7: if let file = files.randomElement(using: &random) { source.rename(file, parent + "f\(names)") }
    case 8: if !directory.isEmpty, directories.count > 4 { source.remove(directory) }
    default:
      let target = directories.randomElement(using: &random)!
      guard !directory.isEmpty, target != directory, !target.hasPrefix(parent) else { return }
      source.rename(directory, (target.isEmpty ? "" : target + "/") + "d\(names)")
    }
  }

  private func directoriesBelow(_ path: String) -> [String] {
    var found: [String] = []
    for bytes in TempTree.names(source.full(path)) {
      let name = String(decoding: bytes, as: UTF8.self)
      guard name.hasPrefix("d") else { continue }
      let full = path.isEmpty ? name : path + "/" + name
      found += [full] + directoriesBelow(full)
    }
    return found
  }
}

// MARK: Events that are missing

@Test func moreChangesThanCanBeRememberedLeadToAListing() throws {
  let source = seeded(20)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")]) {
    $0.tuning.dirtyPathsMax = 4
    $0.tuning.relistInterval = .milliseconds(300)
  }
  check(rig.run())
  for index in 0..<200 { source.file("d\(index % 7)/more\(index)", "x") }
  check(rig.runUntilSame())
  #expect(rig.statuses[0].listingsCompleted >= 2)
  #expect(rig.statuses[0].followsByEvents, "that was a moment's loss, not a state")
}

@Test func withoutRoomForWatchesTheSourceIsListedAtIntervalsAndThatIsSaidOnce() throws {
  let source = seeded(40)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b"), TempTree("c")]) {
    $0.tuning.watchesMax = 2
    $0.tuning.relistInterval = .milliseconds(100)
  }
  check(rig.run { rig.statuses.allSatisfy { $0.listingsCompleted >= 3 } })
  source.file("d6/late", "not announced by any event")
  source.file("quite/new/dir/late", "neither")
  check(rig.runUntilSame())
  #expect(!rig.statuses[0].followsByEvents)
  #expect(rig.notes.count == 1)
  #expect(rig.notes.first?.contains("max_user_watches") == true)
}

@Test func anOverflowOfTheKernelsQueueLeadsToAListing() throws {
  // The queue holds fs.inotify.max_queued_events; the lister is kept from reading by never letting it run: the watcher
  // is driven here by hand.
  let source = TempTree("source")
  source.directory("d")
  let reactor = try Reactor(name: "overflow")
  let watcher = try SourceWatcher()
  let seen = Recorder()
  watcher.delegate = seen
  try watcher.start(on: reactor)
  let fd = open(source.full("d"), O_RDONLY | O_DIRECTORY)
  defer { close(fd) }
  check(watcher.watch(directory: fd, path: "d"))
  let limit = Int(text(of: "/proc/sys/fs/inotify/max_queued_events")) ?? 16_384
  for index in 0...limit / 2 + 10 {
    close(open(source.full("d/x\(index)"), O_CREAT | O_WRONLY, 0o644))
    unlink(source.full("d/x\(index)"))
  }
  check(reactor.runUntil { seen.overflows > 0 })
  #expect(seen.overflows == 1)
  #expect(!seen.changes.isEmpty)
}

private final class Recorder: SourceWatcherDelegate {
  var changes: [SourceChange] = []
  var overflows = 0
  func watcher(_ watcher: SourceWatcher, saw change: SourceChange) { changes.append(change) }
  func watcherOverflowed(_ watcher: SourceWatcher) { overflows += 1 }
}

private func text(of path: String) -> String {
  let fd = open(path, O_RDONLY)
  defer { close(fd) }
  var bytes = [UInt8](repeating: 0, count: 64)
  let count = read(fd, &bytes, bytes.count)
  return String(decoding: bytes.prefix(max(0, count)).filter { $0 != 0x0A }, as: UTF8.self)
}

// MARK: Deletes

@Test func deletesFollowByEventsOnlyWhenAsked() throws {
  let source = seeded(30)
  source.file("gone/with/all", "x")
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")], deletes: true)
  check(rig.run())
  rig.targets[0].file("d0/kept.foreign", "not ours")
  rig.targets[0].file("gone/with/kept.foreign", "not ours either")
  source.remove("d0/f0")
  source.rename("gone", "elsewhere")
  source.file("d1/f1", "changed")
  check(rig.run { !rig.targets[0].exists("d0/f0") && !rig.targets[0].exists("gone/with/all") })
  check(rig.run())
  #expect(rig.targets[0].exists("elsewhere/with/all"))
  #expect(rig.targets[0].exists("d0/kept.foreign"))
  #expect(rig.targets[0].exists("gone/with/kept.foreign"))
  #expect(rig.statuses[0].listingsCompleted == 1)
  #expect(rig.statuses[0].enqueuedDeletes == 2)
}

@Test func aFileThatNeverHadACopyNeedsNoDelete() throws {
  let source = seeded(2)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")], deletes: true)
  check(rig.run())
  for index in 0..<20 {
    source.file("temporary\(index)")
    source.remove("temporary\(index)")
  }
  source.file("after")
  check(rig.run { rig.keys[0].contains("after") })
  check(rig.run())
  #expect(rig.statuses[0].enqueuedDeletes == 0)
}

@Test func copiesWhoseSourceWentWhileNobodyWatchedGoAfterACompleteListing() throws {
  let source = seeded(20)
  let targets = [TempTree("b")]
  do {
    let rig = try PopulatorRig(source: source, targets: targets, deletes: true)
    check(rig.run())
  }
  source.remove("d3")
  source.remove("d4/f4")
  targets[0].file("kept.foreign")
  do {
    let careful = try PopulatorRig(source: source, targets: targets)
    check(careful.run())
    #expect(careful.targets[0].exists("d3/f3"), "not asked to")
  }
  let rig = try PopulatorRig(source: source, targets: targets, deletes: true)
  check(rig.run())
  var same = TreeListing.of(targets[0].path)
  #expect(same.removeValue(forKey: "kept.foreign") != nil)
  check(same == TreeListing.of(source.path))
  #expect(rig.statuses[0].deletesWithheld == nil)
}

@Test func anEmptiedSourceDeletesNothing() throws {
  let source = seeded(10)
  let targets = [TempTree("b")]
  do {
    let rig = try PopulatorRig(source: source, targets: targets, deletes: true)
    check(rig.run())
  }
  for index in 0..<7 { source.remove("d\(index)") }
  let rig = try PopulatorRig(source: source, targets: targets, deletes: true)
  check(rig.run())
  #expect(rig.statuses[0].enqueuedDeletes == 0)
  #expect(rig.statuses[0].deletesWithheld == "the source is empty")
  #expect(TreeListing.of(targets[0].path).count == 10)
}

@Test func aListingWithErrorsDeletesNothing() throws {
  let source = seeded(10)
  let targets = [TempTree("b")]
  do {
    let rig = try PopulatorRig(source: source, targets: targets, deletes: true)
    check(rig.run())
  }
  source.remove("d1")
  let bad = (Array(source.path.utf8) + [0x2F, 0xFF, 0]).map { CChar(bitPattern: $0) }
  close(open(bad, O_CREAT | O_WRONLY, 0o644))
  let rig = try PopulatorRig(source: source, targets: targets, deletes: true)
  check(rig.run())
  #expect(rig.statuses[0].enqueuedDeletes == 0)
  #expect(rig.statuses[0].deletesWithheld == "1 paths of the source could not be read")
}

@Test func aSourceThatIsRemovedAltogetherDeletesNothing() throws {
  let source = seeded(10)
  let rig = try PopulatorRig(source: source, targets: [TempTree("b")], deletes: true) { $0.tuning.settle = .seconds(3) }
  check(rig.run())
  source.remove("")
  check(rig.run { rig.statuses[0].deletesWithheld == "the source directory was removed" })
  check(rig.run())
  #expect(rig.statuses[0].enqueuedDeletes == 0)
  #expect(TreeListing.of(rig.targets[0].path).count == 10)
}
