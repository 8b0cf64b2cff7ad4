// What is said of single objects of a tree and their copies, beside the lister.
import CLinux
import Glibc
import Reactor
import TestSupport
import Testing

@testable import Pipeline

@Suite struct SourceLookTests {
  private func object(_ key: String, bucket: String = "bucket") -> ObjectName { ObjectName(bucket: bucket, key: key) }

  private func location(_ site: String, _ target: TempTree, deletes: Bool = false) -> PopulatedLocation {
    let path = target.path
    return PopulatedLocation(site: site, partitionCount: 1, followsSeenDeletes: deletes, makeProbe: { RigProbe(target: path) })
  }

  @Test func objectsAreFilesAndNothingIsSaidOfARootThatWasRemoved() async throws {
    let worker = try ReactorWorker()
    defer { worker.end() }
    let source = TempTree("source")
    source.file("a/b", "four")
    source.directory("a/d")
    source.link("l", to: "a/b")
    let look = SourceLook(path: source.path, naming: .oneBucket("bucket"), on: worker.handle)
    guard case .file(let file) = await look.file(of: object("a/b")) else {
      Issue.record("not found")
      return
    }
    #expect(file.size == 4 && file.modifiedNs > 0)
    for key in ["a/c", "a/d", "l", "a/b/c"] { #expect(await look.file(of: object(key)) == .gone, "\(key)") }
    #expect(await look.file(of: object("a/b", bucket: "other")) == .gone)
    guard case .unreadable = await look.file(of: object("../a")) else {
      Issue.record("a path that leads out is no answer")
      return
    }
    let unmounted = TempTree("unmounted")
    guard case .unreadable = await SourceLook(path: unmounted.path, naming: .oneBucket("bucket"), on: worker.handle).file(of: object("a/b")) else {
      Issue.record("believed a root with nothing in it")
      return
    }
    source.remove("")
    guard case .unreadable = await look.file(of: object("a/b")) else {
      Issue.record("believed a root that is not there")
      return
    }
  }

  @Test func aCopyIsAllOrNothingAndOnlyFollowedDeletesRemoveOne() async throws {
    let worker = try ReactorWorker()
    defer { worker.end() }
    let (source, target, other) = (TempTree("source"), TempTree("b"), TempTree("c"))
    source.file("f", "twelve bytes")
    target.file("f", "twelve bytes")
    var times = [timespec](repeating: timespec(tv_sec: 1_700_000_000, tv_nsec: 0), count: 2)
    for path in [source.full("f"), target.full("f")] { #expect(utimensat(Int32(-100), path, &times, 0) == 0) }
    target.file("gone", "a copy")
    other.file("gone", "a copy")
    let look = SourceLook(path: source.path, naming: .oneBucket("bucket"), on: worker.handle)
    #expect(await look.figures(of: object("f"), at: "b") == ObjectFigures(), "a location nobody has named")
    look.add([location("b", target, deletes: true), location("c", other)])
    #expect(await look.figures(of: object("f"), at: "b") == ObjectFigures(bytesTotal: 12, bytesDone: 12))
    #expect(await look.figures(of: object("f"), at: "c") == ObjectFigures(bytesTotal: 12))
    #expect(await look.figures(of: object("gone"), at: "b") == ObjectFigures())
    #expect(await look.hasCopyToRemove(of: object("gone"), at: "b"))
    #expect(await look.hasCopyToRemove(of: object("gone"), at: "c") == false)
    #expect(await look.hasCopyToRemove(of: object("never"), at: "b") == false)
  }
}
