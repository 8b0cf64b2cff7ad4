// The console on a pipe: what is written, when, and that nobody waits for it.
import CLinux
import Glibc
import Pipeline
import Reactor
import TestSupport
import Testing

@testable import Server

/// Reads what the console wrote, without waiting for more.
private final class Listener {
  let writing: Int32
  private let reading: Int32
  private var heard: [UInt8] = []

  init() {
    var ends: [Int32] = [0, 0]
    precondition(pipe(&ends) == 0)
    (reading, writing) = (ends[0], ends[1])
    _ = fcntl(reading, F_SETFL, O_NONBLOCK)
  }

  deinit {
    close(reading)
    close(writing)
  }

  var text: String {
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(reading, &block, block.count)
      if count <= 0 { return String(decoding: heard, as: UTF8.self) }
      heard += block[..<count]
    }
  }

  func hears(_ part: String) -> Bool { eventually { text.contains(part) } }
}

private final class Numbers: Sendable {
  private let now = Lock<[LocationProgress]>([])
  init(_ progress: [LocationProgress]) { set(progress) }
  func set(_ progress: [LocationProgress]) { now.withLock { $0 = progress } }
  var value: [LocationProgress] { now.withLock { $0 } }
}

private func some(_ done: Int64, paused: Bool = false) -> [LocationProgress] {
  var progress = LocationProgress(name: "b")
  progress.isListing = false
  progress.isPaused = paused
  progress.enqueuedObjects = 100
  progress.completedObjects = done
  return [progress]
}

private let hint = ResumeHint(apiURL: "http://127.0.0.1:8900")

@Test func offATerminalALineComesOnlyWhenSomethingChanged() throws {
  let listener = Listener()
  let numbers = Numbers(some(10))
  var output = QuickstartConsole.Output(fd: listener.writing, isTerminal: false)
  output.frameInterval = .milliseconds(5)
  output.lineInterval = .milliseconds(5)
  let console = try QuickstartConsole(hint: hint, output: output) { numbers.value }
  #expect(listener.hears("b: 10% of 100 objects"))
  console.say("listening on http://127.0.0.1:8900")
  #expect(listener.hears("listening on"))
  numbers.set(some(50, paused: true))
  #expect(listener.hears("paused at 50 of 100 objects; downbeat resume b"))
  numbers.set(some(100))
  #expect(listener.hears("b: 100% of 100 objects"))
  console.stop()
  console.join()
  let lines = listener.text.split(separator: "\n")
  #expect(lines.count == 4, "\(lines)")
  #expect(!listener.text.contains("\u{1B}"))
}

@Test func onATerminalTheBlockIsRedrawnInPlaceAndTextsStayAboveIt() throws {
  let listener = Listener()
  let numbers = Numbers(some(10))
  var output = QuickstartConsole.Output(fd: listener.writing, isTerminal: true, columns: 60)
  output.frameInterval = .milliseconds(5)
  let console = try QuickstartConsole(hint: hint, output: output) { numbers.value }
  #expect(listener.hears("]  10%"))
  console.say("a note")
  #expect(listener.hears("\u{1B}[1A\ra note"))
  numbers.set(some(20))
  #expect(listener.hears("]  20%"))
  console.stop()
  console.join()
}

@Test func theEndShowsSummaryAndVerdict() throws {
  let tree = TinyTree()
  defer { tree.remove() }
  tree.write("a/one", "1")
  tree.write("b/one", "1")
  tree.alike("a/one", "b/one")
  for isDifferent in [false, true] {
    if isDifferent { tree.write("a/two", "2") }
    let listener = Listener()
    let output = QuickstartConsole.Output(fd: listener.writing, isTerminal: false, lineInterval: .seconds(100))
    let console = try QuickstartConsole(hint: hint, output: output) { some(100) }
    let verdict = Lock<QuickstartConsole.Verdict?>(nil)
    let summary = QuickstartSummary(elapsed: .seconds(2), locations: some(100))
    let (source, target) = (tree.path("a"), tree.path("b"))
    console.finish(
      .init(
        summary: summary,
        verify: {
          try TreeVerifier(
            sourcePath: source, naming: .oneBucket("a"),
            locations: [VerifiedLocation(name: "b", path: target, makeProbe: { AllOurs() })])
        }, filesExpected: 1)
    ) { result in verdict.withLock { $0 = result } }
    #expect(eventually { verdict.withLock { $0 != nil } })
    console.stop()
    console.join()
    let text = listener.text
    #expect(text.contains("LOCATION"))
    #expect(text.contains("in 2.0 s"))
    if isDifferent {
      guard case .different? = verdict.withLock({ $0 }) else {
        Issue.record("not seen")
        return
      }
      #expect(text.contains("NOT IDENTICAL b: 1 files identical (1 B), 1 missing"))
      #expect(text.contains("  b: two: not there"))
    } else {
      #expect(verdict.withLock { $0 } == .identical)
      #expect(text.contains("verified b: 1 files identical (1 B), nothing else there"))
    }
  }
}

@Test func aCancelledVerificationIsUnfinished() throws {
  let tree = TinyTree()
  defer { tree.remove() }
  tree.write("a/one", "1")
  tree.write("b/one", "1")
  let listener = Listener()
  let console = try QuickstartConsole(hint: hint, output: .init(fd: listener.writing, isTerminal: true)) { some(1) }
  console.cancel()
  let verdict = Lock<QuickstartConsole.Verdict?>(nil)
  let (source, target) = (tree.path("a"), tree.path("b"))
  console.finish(
    .init(
      summary: QuickstartSummary(elapsed: .zero, locations: some(1)),
      verify: {
        try TreeVerifier(
          sourcePath: source, naming: .oneBucket("a"),
          locations: [VerifiedLocation(name: "b", path: target, makeProbe: { AllOurs() })])
      })
  ) { result in verdict.withLock { $0 = result } }
  #expect(eventually { verdict.withLock { $0 != nil } })
  #expect(verdict.withLock { $0 } == .unfinished("interrupted"))
  console.stop()
  console.join()
}

@Test func whatNobodyReadsAnyMoreIsDropped() throws {
  var ends: [Int32] = [0, 0]
  precondition(pipe(&ends) == 0)
  signal(SIGPIPE, SIG_IGN)
  close(ends[0])
  let console = try QuickstartConsole(hint: hint, output: .init(fd: ends[1], isTerminal: false)) { some(1) }
  let verdict = Lock<QuickstartConsole.Verdict?>(nil)
  console.say("hello")
  console.finish(.init(summary: QuickstartSummary(elapsed: .zero, locations: some(1)))) { result in
    verdict.withLock { $0 = result }
  }
  #expect(eventually { verdict.withLock { $0 == .notAsked } })
  console.stop()
  console.join()
  close(ends[1])
}

@Test func theSummaryNamesWhatFailed() {
  var b = some(90)[0]
  b.failedObjects = 12
  b.skippedEntries = 80
  b.completedBytes = 97_000_000
  let records = (0..<12).map { index in
    FailedRecord(bucket: "a", key: "k\(index)", reason: "TargetOccupied", message: "k\(index): not\nours", failedAtMs: 1)
  }
  let summary = QuickstartSummary(
    elapsed: .seconds(10), locations: [b], failures: [.init(location: "b", records: records, statePath: "/t/b/.downbeat/state")])
  let lines = summary.lines
  #expect(lines[1] == "LOCATION  OBJECTS  BYTES             RATE  UP TO DATE  DELETED  SKIPPED  FAILED")
  #expect(lines[2] == "b              90  97 MB  9.0/s  9.7 MB/s           0        0       80      12")
  #expect(lines.contains("b: 12 FAILED (listed in /t/b/.downbeat/state/failed.log)"))
  #expect(lines.contains("  TargetOccupied: k0: not\\x0Aours"))
  #expect(lines.last == "  … and 2 more")
}

/// Every file is a copy of the object of its name.
private final class AllOurs: CopyProbe {
  func isUpToDate(bucket: String, key: String, file: WalkedFile) -> Bool { true }
  func hasCopy(of object: ObjectName) -> Bool { true }
  func path(ofCopyOf object: ObjectName) -> String? { object.key }
  func object(ofCopyAt path: String) -> ObjectName? { ObjectName(bucket: "a", key: path) }
}

/// Two directories of a few files.
private struct TinyTree {
  private let root: String

  init() {
    var template = Array("/tmp/downbeat-console-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil)
    root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    mkdir(path("a"), 0o755)
    mkdir(path("b"), 0o755)
  }

  func path(_ name: String) -> String { root + "/" + name }

  func write(_ name: String, _ text: String) {
    let fd = open(path(name), O_CREAT | O_TRUNC | O_WRONLY, 0o644)
    precondition(Glibc.write(fd, text, text.utf8.count) == text.utf8.count)
    close(fd)
  }

  func alike(_ from: String, _ to: String) {
    var facts = stat()
    stat(path(from), &facts)
    var times = [facts.st_atim, facts.st_mtim]
    utimensat(AT_FDCWD, path(to), &times, 0)
  }

  func remove() {
    for name in ["a/one", "a/two", "b/one", "b/two"] { unlink(path(name)) }
    for name in ["a", "b"] { rmdir(path(name)) }
    rmdir(root)
  }
}
