// The walk of a tree: everything that is a regular file is found once, whatever else lies about, in bounded memory.
import CLinux
import Glibc
import Pipeline
import Reactor
import TestSupport
import Testing

@testable import Pipeline

private struct Walk {
  var files: [WalkedFile] = []
  var failures: [TreeFailure] = []
  var directories: [String] = []
  var counts = TreeCounts()
  var paths: [String] { files.map(\.path).sorted() }
}

private func walk(
  _ path: String, under: String = "", options: TreeWalker.Options = .init(), entriesMax: Int = 7,
  eachStep: () -> Void = {}
) throws -> Walk {
  let walker = TreeWalker(root: try TreeRoot(path: path), under: under, options: options)
  var result = Walk()
  walker.onDirectory = { _, path in result.directories.append(path) }
  while true {
    let progress = walker.step(entriesMax: entriesMax) { item in
      switch item {
      case .file(let file): result.files.append(file)
      case .failure(let failure): result.failures.append(failure)
      }
    }
    if progress == .finished { break }
    eachStep()
  }
  result.counts = walker.counts
  return result
}

@Test func everyRegularFileOfATreeIsFoundOnceWithSizeAndTime() throws {
  let tree = TempTree()
  tree.file("a", "1")
  tree.file("sub/b", "22")
  tree.file("sub/deep/er/c", "333")
  tree.file("with space/ünïcode 名", "")
  tree.file("sub/%41 and %2F", "4444")
  tree.directory("empty/inside")
  let found = try walk(tree.path)
  #expect(found.paths == ["a", "sub/%41 and %2F", "sub/b", "sub/deep/er/c", "with space/ünïcode 名"])
  #expect(found.failures.isEmpty)
  #expect(found.counts.files == 5)
  #expect(found.counts.bytes == 10)
  #expect(found.counts.directories == 7)
  for file in found.files {
    var facts = stat()
    #expect(stat(tree.full(file.path), &facts) == 0)
    #expect(file.size == Int64(facts.st_size))
    #expect(file.modifiedNs == Int64(facts.st_mtim.tv_sec) * 1_000_000_000 + Int64(facts.st_mtim.tv_nsec))
  }
}

@Test func linksSocketsDevicesAndPipesAreSkippedAndCounted() throws {
  let tree = TempTree()
  tree.file("real/file")
  tree.link("to-file", to: "real/file")
  tree.link("to-directory", to: "real")
  tree.link("dangling", to: "nowhere")
  tree.link("out", to: "/etc")
  #expect(mkfifo(tree.full("pipe"), 0o600) == 0)
  #expect(mknod(tree.full("socket"), S_IFSOCK | 0o600, 0) == 0)
  let found = try walk(tree.path)
  #expect(found.paths == ["real/file"])
  #expect(found.counts[.link] == 4)
  #expect(found.counts[.pipe] == 1)
  #expect(found.counts[.socket] == 1)
  #expect(found.counts.skipped == 6)
  #expect(found.failures.isEmpty)
  #expect(try walk("/dev", options: .init(reservedAtRoot: ["shm", "pts"])).counts[.device] > 0)
}

@Test func subdirectoriesBeyondAPageAreAllVisitedOnceAndFilesAreNotRepeated() throws {
  let tree = TempTree()
  for index in 0..<700 { tree.file("d\(index)/x\(index % 3)/f") }
  for index in 0..<50 { tree.file("top\(index)") }
  var options = TreeWalker.Options()
  options.subdirectoryNamesMax = 16  // a page is the smallest one: 64 names
  let found = try walk(tree.path, options: options)
  #expect(found.files.count == 750)
  #expect(Set(found.paths).count == 750)
  #expect(Set(found.directories).count == found.directories.count)
  #expect(found.directories.count == 1 + 700 + 700)
}

@Test func aPageKeepsTheSmallestNamesAndEveryNameComesInExactlyOnePage() {
  var random = SeededGenerator(seed: testSeed)
  for count in [0, 1, 63, 64, 65, 128, 129, 500] {
    let names = (0..<count).map { Array("n\($0)".utf8) }
    var page = SubdirectoryPage(namesMax: 64)
    var seen: [[UInt8]] = []
    repeat {
      page.startPass(namesMax: Int.random(in: 1...80, using: &random))
      for name in names.shuffled(using: &random) { page.offer(name) }
      page.endPass()
      while let name = page.popFirst() { seen.append(name) }
    } while page.hasMore
    #expect(seen == names.sorted { $0.lexicographicallyPrecedes($1) }, "seed \(testSeed) count \(count)")
  }
}

@Test func aNameThatIsNotUTF8IsAFailureWithAPrintableFormAndTheRestGoesOn() throws {
  let tree = TempTree()
  tree.file("good")
  func bad(_ name: [UInt8]) -> [CChar] { (Array(tree.path.utf8) + [0x2F] + name + [0]).map { CChar(bitPattern: $0) } }
  close(open(bad([0x62, 0xFF, 0x0A, 0x64]), O_CREAT | O_WRONLY, 0o644))
  mkdir(bad([0xC3]), 0o755)
  close(open(bad([0xC3, 0x2F, 0x66]), O_CREAT | O_WRONLY, 0o644))
  let found = try walk(tree.path)
  #expect(found.paths == ["good"])
  #expect(found.failures.map(\.reason) == [.keyNotUTF8, .keyNotUTF8])
  #expect(Set(found.failures.map(\.path)) == ["b\\xFF\\x0Ad", "\\xC3/f"])
  #expect(found.failures[0].reason.code == "KeyNotUTF8")
  #expect(found.directories == [""], "a directory whose name cannot be a key is read, but not offered for watching")
}

@Test func anUnreadableDirectoryIsNamedAndTheRestGoesOn() throws {
  // Longer than the kernel takes in one path: it cannot be opened, by root neither.
  let tree = TempTree()
  tree.file("readable/file")
  let part = String(repeating: "d", count: 250)
  var fd = open(tree.path, O_RDONLY | O_DIRECTORY)
  for _ in 0..<18 {
    mkdirat(fd, part, 0o755)
    let next = openat(fd, part, O_RDONLY | O_DIRECTORY)
    close(fd)
    fd = next
  }
  close(fd)
  defer { removeDeep(tree.path, part, depth: 18) }
  let found = try walk(tree.path)
  #expect(found.paths == ["readable/file"])
  #expect(found.failures.count == 1)
  #expect(found.failures.first?.path.hasSuffix("/" + part) == true)
  #expect(found.failures.first?.reason == .unreadable(code: ENAMETOOLONG, call: "openat2"))
  #expect(found.failures.first?.message.contains("File name too long") == true)
}

/// The chain is too long for a path: it is taken apart one level at a time from below.
private func removeDeep(_ root: String, _ part: String, depth: Int) {
  for level in stride(from: depth, to: 0, by: -1) {
    var fd = open(root, O_RDONLY | O_DIRECTORY)
    for _ in 1..<level {
      let next = openat(fd, part, O_RDONLY | O_DIRECTORY)
      close(fd)
      fd = next
    }
    unlinkat(fd, part, AT_REMOVEDIR)
    close(fd)
  }
}

@Test func aTreeThatChangesUnderTheWalkCostsNothingButTheChangedEntries() throws {
  let tree = TempTree()
  for index in 0..<40 { tree.file("d\(index)/f") }
  var step = 0
  let found = try walk(tree.path, entriesMax: 3) {
    step += 1
    if step == 3 {
      for index in 20..<40 { tree.remove("d\(index)") }
      tree.remove("d7")
      tree.link("d7", to: "/etc")
    }
  }
  #expect(found.failures.isEmpty)
  #expect(found.paths.allSatisfy { !$0.contains("passwd") })
  #expect(Set((0..<20).filter { $0 != 7 }.map { "d\($0)/f" }).isSubset(of: Set(found.paths)))
}

@Test func aRefusedDirectoryIsNotEnteredWhateverItIsCalled() throws {
  let tree = TempTree()
  tree.file("inside/target/copy")
  tree.file("inside/file")
  var facts = stat()
  #expect(stat(tree.full("inside/target"), &facts) == 0)
  let identity = FileIdentity(device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino))
  let found = try walk(tree.path, options: .init(refused: [identity]))
  #expect(found.paths == ["inside/file"])
  #expect(found.failures == [TreeFailure(path: "inside/target", reason: .holdsTarget)])
}

@Test func aWalkOfOneDirectoryGivesPathsOfTheWholeTreeAndReservedNamesCountOnlyAtTheRoot() throws {
  let tree = TempTree()
  tree.file("a/b/c/file")
  tree.file("a/other")
  tree.file("a/.downbeat/kept")
  tree.file(".downbeat/state/x")
  let options = TreeWalker.Options(reservedAtRoot: [".downbeat"])
  #expect(try walk(tree.path, under: "a/b", options: options).paths == ["a/b/c/file"])
  let whole = try walk(tree.path, options: options)
  #expect(whole.paths == ["a/.downbeat/kept", "a/b/c/file", "a/other"])
  #expect(whole.counts[.reserved] == 1)
  let gone = try walk(tree.path, under: "not/there")
  #expect(gone.files.isEmpty)
  #expect(gone.failures.isEmpty)
}

@Test func oneLookAtAPathFollowsNothing() throws {
  let tree = TempTree()
  tree.file("d/file", "12")
  tree.link("link", to: "d/file")
  tree.link("dlink", to: "d")
  let root = try TreeRoot(path: tree.path)
  guard case .file(let file) = root.entry(at: "d/file") else { return #expect(Bool(false), "no file") }
  #expect(file.size == 2)
  guard case .directory = root.entry(at: "d") else { return #expect(Bool(false), "no directory") }
  guard case .other(.link) = root.entry(at: "link") else { return #expect(Bool(false), "no link") }
  for path in ["dlink/file", "d/none", "none/none", "d/file/x"] {
    guard case .gone = root.entry(at: path) else { return #expect(Bool(false), "\(path) is not gone") }
  }
  guard case .failed = root.entry(at: "../\(tree.path.split(separator: "/").last!)/d/file") else {
    return #expect(Bool(false), "left the root")
  }
  #expect(root.isLinked)
  let lost = TempTree()
  let lostRoot = try TreeRoot(path: lost.path)
  lost.remove("")
  #expect(!lostRoot.isLinked)
}

@Test func aHugeTreeIsWalkedInFlatMemory() throws {
  // 7,000 files normally. DOWNBEAT_TEST_LONG=1 walks 1,000,000 in one directory and 10,000 directories, and measures
  // the process (which only tells something when this test runs alone).
  let isLong = getenv("DOWNBEAT_TEST_LONG") != nil
  let tree = TempTree("huge", under: isLong ? "/dev/shm" : "/tmp")
  let flat = isLong ? 1_000_000 : 6_000
  let directories = isLong ? 10_000 : 1_000
  tree.directory("flat")
  for index in 0..<flat { close(open(tree.full("flat/file-with-a-name-\(index)"), O_CREAT | O_WRONLY, 0o644)) }
  for index in 0..<directories { tree.file("many/d\(index)/f") }
  var options = TreeWalker.Options()
  if !isLong { options.subdirectoryNamesMax = 256 }
  let before = residentBytes()
  let walker = TreeWalker(root: try TreeRoot(path: tree.path), options: options)
  var files = 0
  while walker.step(entriesMax: 512, { item in if case .file = item { files += 1 } }) == .more {}
  #expect(files == flat + directories)
  #expect(walker.namesHeldMax <= options.subdirectoryNamesMax / 2 + 2, "held \(walker.namesHeldMax)")
  if isLong { #expect(residentBytes() - before < 8 << 20, "grew from \(before) to \(residentBytes())") }
}

private func residentBytes() -> Int {
  let fd = open("/proc/self/statm", O_RDONLY)
  defer { close(fd) }
  var text = [UInt8](repeating: 0, count: 128)
  let count = read(fd, &text, text.count)
  let fields = String(decoding: text.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
  return (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE))
}
