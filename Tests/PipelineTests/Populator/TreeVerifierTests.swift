// The verification finds every single way in which a copy can differ, and nothing where there is nothing.
import CLinux
import Glibc
import Testing

@testable import Pipeline

/// A source and a target that is its exact copy.
private struct Pair {
  let source = TempTree("source")
  let target = TempTree("b")

  init() {
    source.file("a", "1")
    source.file("d/b", "22")
    source.file("d/e/c", "333")
    source.file("empty", "")
    source.file("large", bytes: (0..<900_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
    source.link("link", to: "a")
    for path in TreeListing.of(source.path).keys { copy(path) }
    target.file(".downbeat/state/x", "ours")
  }

  func copy(_ path: String) {
    target.file(path, bytes: source.read(path)!)
    sameTime(path)
  }

  func sameTime(_ path: String) {
    var facts = stat()
    stat(source.full(path), &facts)
    var times = [facts.st_atim, facts.st_mtim]
    utimensat(AT_FDCWD, target.full(path), &times, 0)
  }

  func verify(_ eachStep: () -> Void = {}) throws -> VerificationResult {
    let path = target.path
    let verifier = try TreeVerifier(
      sourcePath: source.path, naming: .oneBucket("bucket"),
      locations: [VerifiedLocation(name: "b", path: path, makeProbe: { RigProbe(target: path) })])
    while verifier.step() { eachStep() }
    #expect(verifier.filesDone == 5)
    return verifier.results[0]
  }
}

@Test func anExactCopyIsIdentical() throws {
  let pair = Pair()
  let result = try pair.verify()
  #expect(result.isIdentical)
  #expect(result.identical == 5)
  #expect(result.identicalBytes == 900_006)
  #expect(result.foreign == 0)
  #expect(result.kept == 0)
  #expect(result.examples.isEmpty)
}

@Test func aMissingCopyIsNamed() throws {
  let pair = Pair()
  pair.target.remove("d/e")
  let result = try pair.verify()
  #expect(!result.isIdentical)
  #expect(result.missing == 1)
  #expect(result.identical == 4)
  #expect(result.examples == ["b: d/e/c: not there"])
}

@Test(arguments: [0, 1, 262_143, 262_144, 500_000, 899_999])
func oneFlippedByteIsFoundWhereverItIs(at position: Int) throws {
  let pair = Pair()
  var bytes = pair.source.read("large")!
  bytes[position] ^= 1
  pair.target.file("large", bytes: bytes)
  pair.sameTime("large")
  let result = try pair.verify()
  #expect(result.differing == 1)
  #expect(result.identical == 4)
  #expect(result.examples == ["b: large: other bytes"])
}

@Test func anotherSizeTimeOrKindIsADifference() throws {
  let pair = Pair()
  pair.target.file("a", "12")
  pair.target.file("d/b", "22")  // the same bytes, now
  pair.target.remove("empty")
  pair.target.link("empty", to: "a")
  let result = try pair.verify()
  #expect(result.differing == 3)
  #expect(
    Set(result.examples) == ["b: a: 2 bytes instead of 1", "b: d/b: another modification time", "b: empty: no regular file"])
  #expect(result.foreign == 1, "the link")
}

@Test func aTargetThatKeepsWholeSecondsIsNotBlamed() throws {
  let pair = Pair()
  for path in ["a", "d/b"] {
    var facts = stat()
    stat(pair.source.full(path), &facts)
    var times = [facts.st_atim, timespec(tv_sec: facts.st_mtim.tv_sec & ~1, tv_nsec: 0)]
    utimensat(AT_FDCWD, pair.target.full(path), &times, 0)
  }
  #expect(try pair.verify().isIdentical)
}

@Test func whatIsNotOursAndWhatIsKeptIsCountedAndNoDifference() throws {
  let pair = Pair()
  pair.target.file("x/kept.foreign")
  pair.target.file("x/copy-whose-source-is-gone")
  pair.target.link("x/link", to: "/etc")
  let result = try pair.verify()
  #expect(result.isIdentical)
  #expect(result.foreign == 2)
  #expect(result.kept == 1)
}

@Test func aSourceThatChangesMeanwhileIsNotCalledADifference() throws {
  let pair = Pair()
  let path = pair.target.path
  let verifier = try TreeVerifier(
    sourcePath: pair.source.path, naming: .oneBucket("bucket"),
    locations: [VerifiedLocation(name: "b", path: path, makeProbe: { RigProbe(target: path) })])
  // One step: the names are read, nothing is compared yet.
  check(verifier.step())
  pair.source.file("a", "changed")
  pair.source.remove("empty")
  while verifier.step() {}
  #expect(verifier.results[0].isIdentical)
  #expect(verifier.results[0].changedMeanwhile == 1)
  #expect(verifier.results[0].identical == 3)
}

@Test func manyDifferencesAreCountedAndTheFirstAreNamed() throws {
  let pair = Pair()
  for path in ["a", "d", "empty", "large"] { pair.target.remove(path) }
  for index in 0..<100 { pair.source.file("many/f\(index)", "x") }
  let path = pair.target.path
  let verifier = try TreeVerifier(
    sourcePath: pair.source.path, naming: .oneBucket("bucket"),
    locations: [VerifiedLocation(name: "b", path: path, makeProbe: { RigProbe(target: path) })])
  while verifier.step() {}
  #expect(verifier.results[0].missing == 105)
  #expect(verifier.results[0].examples.count == VerificationResult.examplesMax)
}

/// Notes the digest it is told for every file.
private final class RecordingProbe: CopyProbe {
  let recorded: String
  init(recorded: String) { self.recorded = recorded }
  func isUpToDate(bucket: String, key: String, file: WalkedFile) -> Bool { true }
  func hasCopy(of object: ObjectName) -> Bool { true }
  func path(ofCopyOf object: ObjectName) -> String? { object.key }
  func object(ofCopyAt path: String) -> ObjectName? { ObjectName(bucket: "bucket", key: path) }
  func recordedMD5(ofCopyAt path: String) -> MD5Digest? { MD5Digest(hex: recorded) }
}

@Test func theRecordedDigestIsComparedWithTheBytes() throws {
  let (source, copy) = (TempTree("source"), TempTree("b"))
  let target = copy.path
  for name in ["f", "g"] {
    source.file(name, "a")
    TempTree.write(target + "/" + name, Array("a".utf8))
    var facts = stat()
    stat(source.full(name), &facts)
    var times = [facts.st_atim, facts.st_mtim]
    utimensat(AT_FDCWD, target + "/" + name, &times, 0)
  }
  for (recorded, identical) in [("0cc175b9c0f1b6a831c399e269772661", Int64(2)), ("92eb5ffee6ae2fec3ad71c777531578f", 0)] {
    let verifier = try TreeVerifier(
      sourcePath: source.path, naming: .oneBucket("bucket"),
      locations: [VerifiedLocation(name: "b", path: target, makeProbe: { RecordingProbe(recorded: recorded) })])
    while verifier.step() {}
    #expect(verifier.results[0].identical == identical)
    #expect(verifier.results[0].differing == 2 - identical)
  }
}
