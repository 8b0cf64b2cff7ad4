// Progress as text: numbers, widths, bars, sentences, and redrawing in place on a terminal.
import Reactor
import TestSupport
import Testing

@testable import Server

private let counts: [(Int64, String)] = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (-1_234, "-1,234")]
private let sizes: [(Int64, String)] = [
  (0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_250, "1.3 kB"), (9_949, "9.9 kB"), (9_950, "10 kB"), (999_499, "999 kB"),
  (999_500, "1.0 MB"), (45_000_000, "45 MB"), (1_234_567_890, "1.2 GB"), (Int64.max, "9.2 EB"),
]

@Test(arguments: counts) func countsHaveThousands(value: Int64, expected: String) { #expect(Figures.count(value) == expected) }
@Test(arguments: sizes) func bytesHaveTwoDigitsAtLeast(value: Int64, expected: String) {
  #expect(Figures.bytes(value) == expected)
}

@Test func percentIsHonestAtItsEnds() {
  #expect(Figures.percent(done: 0, of: 0) == 0)
  #expect(Figures.percent(done: 0, of: 10) == 0)
  #expect(Figures.percent(done: 1, of: 1_000_000) == 1)
  #expect(Figures.percent(done: 999_999, of: 1_000_000) == 99)
  #expect(Figures.percent(done: 1_000_000, of: 1_000_000) == 100)
}

@Test func ratesAndTimes() {
  #expect(Figures.rate(0) == "0/s")
  #expect(Figures.rate(0.44) == "0.4/s")
  #expect(Figures.rate(3_210.4) == "3,210/s")
  #expect(Figures.duration(.milliseconds(440)) == "0.4 s")
  #expect(Figures.duration(.seconds(59)) == "59 s")
  #expect(Figures.duration(.seconds(185)) == "3 min 05 s")
  #expect(Figures.duration(.seconds(7_620)) == "2 h 07 min")
}

@Test func wideAndCombiningCharactersAreCountedInColumns() {
  #expect(DisplayWidth.of("abc") == 3)
  #expect(DisplayWidth.of("名前") == 4)
  #expect(DisplayWidth.of("e\u{301}") == 1)
  #expect(DisplayWidth.fitted("名前です", columns: 5) == "名前…")
  #expect(DisplayWidth.fitted("名前です", columns: 4) == "名…")
  #expect(DisplayWidth.fitted("abc", columns: 3) == "abc")
  #expect(DisplayWidth.fitted("abc", columns: 0) == "")
}

@Test func theSpeedIsThatOfTheLastSeconds() {
  var meter = SpeedMeter()
  #expect(meter.objectsPerSecond == 0)
  for second in 0...60 {
    // 100 objects a second, and nothing any more after 30 s.
    meter.add(
      objects: Int64(min(second, 30) * 100), bytes: Int64(min(second, 30) * 5_000), at: Instant(ns: Int64(second) * 1_000_000_000)
    )
    if second == 30 {
      #expect(abs(meter.objectsPerSecond - 100) < 1)
      #expect(abs(meter.bytesPerSecond - 5_000) < 50)
    }
  }
  #expect(meter.objectsPerSecond == 0)
}

private func progress(_ name: String, done: Int64 = 450, total: Int64 = 1_000) -> LocationProgress {
  var progress = LocationProgress(name: name)
  progress.isListing = false
  progress.upToDateObjects = 100
  progress.enqueuedObjects = total - 100
  progress.completedObjects = done - 100
  progress.completedBytes = 123_456_789
  return progress
}

private func row(_ progress: LocationProgress) -> ProgressLines.Row {
  ProgressLines.Row(progress: progress, objectsPerSecond: 3_210, bytesPerSecond: 45_000_000)
}

private let lines = ProgressLines(hint: ResumeHint(apiURL: "http://127.0.0.1:8900"))

@Test func aBarShowsWhatThereIsRoomFor() {
  let shown = { (columns: Int) in lines.bars([row(progress("b"))], columns: columns, rowsMax: 5)[0] }
  #expect(
    shown(100)
      == "b  [##################----------------------]  45%  450/1,000  3,210/s  45 MB/s  123 MB")
  #expect(shown(50) == "b  [####-------]  45%  450/1,000  3,210/s  45 MB/s")
  #expect(shown(34) == "b  [#####--------]  45%  450/1,000")
  #expect(shown(20) == "b  45%  450/1,000")
  #expect(shown(8) == "b  45% …")
}

@Test func noLineIsWiderThanTheTerminal() {
  var rows = [row(progress("b")), row(progress("a rather long name of a location 名前", done: 999_999_999, total: 1_000_000_000))]
  rows[1].progress.failedObjects = 12_345
  var paused = progress("c d")
  paused.isPaused = true
  rows.append(row(paused))
  for columns in 1...200 {
    for line in lines.bars(rows, columns: columns, rowsMax: 10) {
      #expect(DisplayWidth.of(line) <= columns, "\(columns): \(line)")
    }
  }
  #expect(lines.bars(rows, columns: 80, rowsMax: 2).last == "… and 2 more locations")
}

@Test func failuresAndGrowingTotalsShow() {
  var some = progress("b")
  some.failedObjects = 2
  some.isListing = true
  let line = lines.bars([row(some)], columns: 120, rowsMax: 1)[0]
  #expect(line.contains("2 FAILED"))
  #expect(line.contains("452/1,000+"))
  #expect(lines.sentences([row(some)]) == ["b: 452 of 1,000 objects found so far, 123 MB, 3,210/s, 45 MB/s, 2 FAILED"])
  #expect(lines.sentences([row(progress("b"))]) == ["b: 45% of 1,000 objects, 123 MB, 3,210/s, 45 MB/s"])
}

@Test func aPausedLocationSaysHowToResumeIt() {
  var paused = progress("b")
  paused.isPaused = true
  #expect(
    lines.sentences([row(paused)])
      == ["b: paused at 450 of 1,000 objects; downbeat resume b  or  curl -X POST http://127.0.0.1:8900/_/crr/resume/b"])
  let elsewhere = ResumeHint(apiURL: "http://127.0.0.1:9000")
  #expect(elsewhere.command("b") == "downbeat resume b --url http://127.0.0.1:9000")
  #expect(elsewhere.command("it's b") == "downbeat resume 'it'\\''s b' --url http://127.0.0.1:9000")
  #expect(elsewhere.text("a b").hasSuffix("/_/crr/resume/a%20b"))
}

/// A terminal with the few abilities the block uses.
private struct Screen {
  let columns: Int
  var rows: [[Character]] = [[]]
  var row = 0
  var column = 0

  mutating func take(_ text: String) {
    var rest = Array(text)[...]
    while let next = rest.popFirst() {
      switch next {
      case "\n":
        row += 1
        column = 0
        if row == rows.count { rows.append([]) }
      case "\r": column = 0
      case "\u{1B}":
        check(rest.popFirst() == "[")
        var number = ""
        while let digit = rest.first, digit.isNumber { number.append(rest.removeFirst()) }
        escape(rest.removeFirst(), Int(number) ?? 1)
      default:
        while rows[row].count <= column { rows[row].append(" ") }
        rows[row][column] = next
        column += 1
        check(column <= columns, "a line wrapped")
      }
    }
  }

  private mutating func escape(_ letter: Character, _ count: Int) {
    switch letter {
    case "A": row = max(0, row - count)
    case "K": rows[row].removeLast(max(0, rows[row].count - column))
    case "J":
      rows[row].removeLast(max(0, rows[row].count - column))
      rows.removeLast(rows.count - row - 1)
    default: Issue.record("unknown escape \(letter)")
    }
  }

  private func check(_ condition: Bool, _ comment: Comment = "bad escape") { #expect(condition, comment) }

  var text: [String] { rows.map { String($0) } }
}

@Test func framesReplaceEachOtherAndTextsAboveStay() {
  var random = SeededGenerator(seed: testSeed)
  var block = TerminalBlock()
  var screen = Screen(columns: 30)
  var said: [String] = []
  for step in 0..<200 {
    let frame = (0..<Int.random(in: 0...4, using: &random)).map { line in
      String(repeating: "\(step % 10)", count: Int.random(in: 0...30, using: &random)) + (line > 9 ? "" : "")
    }
    let above = Int.random(in: 0...3, using: &random) == 0 ? ["said \(step)"] : []
    said += above
    screen.take(block.frame(frame, columns: 30, above: above))
    #expect(screen.text == said + frame + [""], "seed \(testSeed)")
  }
}

@Test func aNewWidthLeavesTheOldLinesAlone() {
  var block = TerminalBlock()
  #expect(!block.frame(["one"], columns: 30).contains("A"))
  #expect(block.frame(["two"], columns: 30).hasPrefix("\u{1B}[1A"))
  #expect(!block.frame(["three"], columns: 20).contains("\u{1B}[1A"))
  #expect(block.frame(["four"], columns: 20).hasPrefix("\u{1B}[1A"))
}
