// Every guard between a mistyped quickstart and somebody's files.
import CLinux
import Glibc
import Testing

@testable import Pipeline

/// A place with a source and room for targets.
private struct Place {
  let root = TempTree("place")
  var source: String { root.full("a") }

  init() { root.file("a/file", "content") }

  func layout(_ targets: [String], force: Bool = false) throws(QuickstartRefusal) -> QuickstartLayout {
    try QuickstartLayout(source: source, targets: targets.map { root.full($0) }, force: force)
  }

  /// The refusal's text; nil if it was not refused.
  func refusal(_ targets: [String], force: Bool = false) -> String? {
    do throws(QuickstartRefusal) {
      _ = try layout(targets, force: force)
      return nil
    } catch {
      return error.description
    }
  }
}

private func realPath(_ path: String) -> String {
  guard let resolved = realpath(path, nil) else { return path }
  defer { free(resolved) }
  return String(cString: resolved)
}

@Test func emptyTargetsAreMarkedLockedAndNamed() throws {
  let place = Place()
  place.root.directory("b")
  place.root.directory("x/b/lost+found")
  let layout = try place.layout(["b/", "x/b", "all", "failed"])
  #expect(layout.source == realPath(place.source))
  #expect(layout.bucket == "a")
  #expect(layout.sourceParent == realPath(place.root.path))
  #expect(layout.locations.map(\.name) == ["b", "b-2", "all-2", "failed-2"])
  #expect(layout.notes == ["made \(realPath(place.root.path))/all", "made \(realPath(place.root.path))/failed"])
  for location in layout.locations {
    #expect(location.statePath == location.path + "/.downbeat/state")
    var facts = stat()
    #expect(stat(location.statePath, &facts) == 0)
    #expect(facts.st_mode & 0o777 == 0o700)
    #expect(location.identity == (try QuickstartPlan.identity(of: location.path)))
  }
  #expect(place.root.read("b/.downbeat/source") == Array("downbeat-target 1\n\(layout.source)".utf8))
  #expect(TempTree.names(place.source).count == 1, "the source is not written to")
}

@Test func aSecondStartOnTheSameSourceIsWelcomeAndOnAnotherSourceIsNot() throws {
  let place = Place()
  place.root.file("other/file", "x")
  do { _ = try place.layout(["b"]) }
  place.root.file("b/file", "a copy")
  #expect(place.refusal(["b"]) == nil)
  let other = { (force: Bool) throws(QuickstartRefusal) in
    try QuickstartLayout(source: place.root.full("other"), targets: [place.root.full("b")], force: force)
  }
  do throws(QuickstartRefusal) {
    _ = try other(false)
    Issue.record("a foreign target was taken")
  } catch {
    #expect(error.description.contains("holds a copy of \(realPath(place.source))"))
    #expect(error.description.contains("--force"))
    #expect(error.description.contains(place.root.full("b")))
  }
  #expect(place.refusal(["b"]) == nil, "the refusal changed nothing")
  let taken = try other(true)
  #expect(taken.notes.first?.contains("took over") == true)
  withExtendedLifetime(taken) { #expect(place.refusal(["b"], force: true)?.contains("in use") == true) }
}

@Test func anOccupiedTargetIsRefusedUnlessForced() throws {
  let place = Place()
  place.root.file("b/precious", "do not lose me")
  let refusal = place.refusal(["b"])
  #expect(refusal?.contains("is not empty (precious)") == true)
  #expect(refusal?.contains("--force") == true)
  #expect(!place.root.exists("b/.downbeat"), "nothing was made in a refused target")
  #expect(place.refusal(["b"], force: true) == nil)
  #expect(place.root.read("b/precious") == Array("do not lose me".utf8))
}

@Test func aMarkerThatSaysNothingDoesNotMakeADirectoryOurs() {
  let place = Place()
  place.root.file("b/.downbeat/source", "something else")
  #expect(place.refusal(["b"]) == nil, "nothing but the remains of a start that was interrupted")
  place.root.file("c/.downbeat/source", "downbeat")
  place.root.file("c/precious")
  #expect(place.refusal(["c"])?.contains("not empty (precious)") == true)
}

private let conflicts: [([String], String)] = [
  (["a"], "the source itself"), (["a/inside"], "inside the source"), (["a/inside/deep"], "far inside"),
  (["."], "around it"), (["b", "b"], "twice"), (["b", "b/c"], "inside each other"), (["b/c", "b"], "the other way round"),
  (["link-to-a"], "the source by a link"), (["link-to-b/c", "b"], "inside each other by a link"),
  (["b", "x/../b/"], "twice by another path"),
]

@Test(arguments: conflicts)
func pathsInEachOthersWayAreRefusedEvenWithForce(targets: [String], why: String) {
  let place = Place()
  for directory in ["a/inside/deep", "b/c", "x"] { place.root.directory(directory) }
  place.root.link("link-to-a", to: "a")
  place.root.link("link-to-b", to: "b")
  for force in [false, true] {
    #expect(place.refusal(targets, force: force)?.contains("the same or lie inside each other") == true, "\(why)")
  }
  #expect(!place.root.exists("b/.downbeat"))
}

@Test func neighboursWithACommonPrefixAreNotInEachOthersWay() {
  let place = Place()
  #expect(place.refusal(["ab", "a-2", "b", "bb"]) == nil)
}

@Test func missingPathsAndFilesAreRefusedByName() {
  let place = Place()
  place.root.file("plain", "x")
  place.root.link("dangling", to: "nowhere")
  #expect(place.refusal(["no/such/parent"])?.contains("no/such/parent cannot be made") == true)
  #expect(place.refusal(["plain"])?.contains("plain is no directory") == true)
  #expect(place.refusal(["plain/below"])?.contains("plain/below") == true)
  #expect(place.refusal(["dangling"])?.contains("leads nowhere") == true)
  #expect(place.refusal([])?.contains("no target") == true)
  for source in ["nowhere", "plain", ""] {
    do throws(QuickstartRefusal) {
      _ = try QuickstartLayout(
        source: source.isEmpty ? "" : place.root.full(source), targets: [place.root.full("b")], force: true)
      Issue.record("source \(source) was taken")
    } catch {
      #expect(error.description.hasPrefix("source \(source.isEmpty ? "" : place.root.full(source))"))
    }
  }
  #expect(!place.root.exists("b"))
}

@Test func aReservedNameThatIsALinkOrAFileIsRefused() {
  let place = Place()
  place.root.directory("b")
  place.root.directory("elsewhere")
  place.root.link("b/.downbeat", to: place.root.full("elsewhere"))
  place.root.file("c/.downbeat", "a file")
  for force in [false, true] {
    #expect(place.refusal(["b"], force: force)?.contains("Not a directory") == true)
    #expect(place.refusal(["c"], force: force)?.contains("Not a directory") == true)
  }
  #expect(TempTree.names(place.root.full("elsewhere")).isEmpty)
}

@Test func twoQuickstartsOnOneTargetRefuseUntilTheFirstEnds() throws {
  let place = Place()
  var first: QuickstartLayout? = try place.layout(["b", "c"])
  #expect(place.refusal(["c"])?.contains("in use by another downbeat (process \(getpid()))") == true)
  #expect(place.refusal(["d"]) == nil, "the source may be shared")
  #expect(first?.locations.count == 2)
  first = nil
  #expect(place.refusal(["c"]) == nil)
}

@Test func aTargetThatIsTheSourceMountedElsewhereIsRefused() throws {
  let place = Place()
  place.root.directory("a/sub")
  place.root.directory("mounted")
  place.root.directory("mounted-sub")
  guard mount(place.source, place.root.full("mounted"), nil, UInt(MS_BIND), nil) == 0 else {
    // Not allowed here (no CAP_SYS_ADMIN): the rule itself is tested on mountinfo texts below.
    #expect(errno == EPERM || errno == EACCES)
    return
  }
  defer { umount(place.root.full("mounted")) }
  #expect(mount(place.root.full("a/sub"), place.root.full("mounted-sub"), nil, UInt(MS_BIND), nil) == 0)
  defer { umount(place.root.full("mounted-sub")) }
  #expect(place.refusal(["mounted"], force: true)?.contains("lie inside each other") == true)
  #expect(place.refusal(["mounted-sub"], force: true)?.contains("lie inside each other") == true)
  #expect(place.refusal(["mounted/new"], force: true)?.contains("lie inside each other") == true)
}

private let mountInfo = """
  21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
  22 21 0:20 / /proc rw - proc proc rw
  30 21 254:0 /srv/data /mnt/data rw shared:1 master:2 - ext4 /dev/vda rw
  31 21 254:1 / /mnt/disk\\040one rw - ext4 /dev/vdb rw
  32 31 254:0 /home/a/deep /mnt/disk\\040one/bound rw - ext4 /dev/vda rw
  33 21 0:40 / /over rw - tmpfs tmpfs rw
  34 33 254:0 /srv/other /over rw - ext4 /dev/vda rw
  not a line
  """

@Test func theMountTableKnowsWhatPathsReallyAre() {
  let mounts = MountTable(mountInfo: mountInfo)
  #expect(mounts.regions(of: "/srv/data/x") == [.init(device: "254:0", path: "/srv/data/x")])
  #expect(mounts.regions(of: "/mnt/data/x") == [.init(device: "254:0", path: "/srv/data/x")])
  #expect(mounts.regions(of: "/mnt/data") == [.init(device: "254:0", path: "/srv/data")])
  #expect(mounts.regions(of: "/over/x") == [.init(device: "254:0", path: "/srv/other/x")])
  #expect(
    mounts.regions(of: "/mnt/disk one")
      == [.init(device: "254:1", path: "/"), .init(device: "254:0", path: "/home/a/deep")])
  #expect(MountTable(mountInfo: "").regions(of: "/x").isEmpty)
}

@Test(arguments: [
  ("/srv/data", "/mnt/data", true), ("/srv/data/sub", "/mnt/data", true), ("/srv", "/mnt/data", true),
  ("/srv/data/a", "/mnt/data/b", false), ("/mnt/disk one", "/home/a", true), ("/mnt/disk one", "/home/a/deep/er", true),
  ("/mnt/disk one", "/home/b", false), ("/mnt/disk one/x", "/home/a", false), ("/", "/mnt/data", true),
  ("/srv/x", "/srv/xy", false),
])
func overlapsAreSeenThroughMounts(a: String, b: String, expected: Bool) {
  let mounts = MountTable(mountInfo: mountInfo)
  #expect(mounts.overlap(a, b) == expected)
  #expect(mounts.overlap(b, a) == expected)
}

@Test func namesAreUniqueAndUsableAsSites() {
  #expect(LocationNames.unique(["b", "b", "b"]) == ["b", "b-2", "b-3"])
  #expect(LocationNames.unique(["b", "b-2", "b"]) == ["b", "b-2", "b-3"])
  #expect(LocationNames.unique(["all", "all", "failed"]) == ["all-2", "all-3", "failed-2"])
  #expect(LocationNames.unique(["a,b:c\nd", "ünï 名"]) == ["a-b-c-d", "ünï 名"])
  let long = LocationNames.unique([String(repeating: "名", count: 80), String(repeating: "名", count: 80)])
  #expect(long[0].utf8.count == 126)
  #expect(long[1] == long[0] + "-2")
}
