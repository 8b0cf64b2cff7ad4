// The progress of all locations as lines: with a bar, as wide as the terminal allows, or as plain sentences for a log. Pure.

/// How to go on with a paused location, for people.
struct ResumeHint: Hashable, Sendable {
  /// Without a `/` at the end.
  var apiURL: String

  func text(_ location: String) -> String {
    "\(command(location))  or  curl -X POST \(apiURL)/_/crr/resume/\(ControlURL.segment(location))"
  }

  func command(_ location: String) -> String {
    let url = apiURL == ControlURL.standard ? "" : " --url \(apiURL)"
    return "downbeat resume \(Self.quoted(location))\(url)"
  }

  /// Left alone where a shell would not touch it.
  static func quoted(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
      default: false
      }
    }
    if isPlain && !word.hasPrefix("-") { return word }
    return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}

struct ProgressLines {
  struct Row {
    var progress: LocationProgress
    var objectsPerSecond: Double
    var bytesPerSecond: Double
  }

  static let nameColumnsMax = 24
  static let barColumnsMax = 40
  static let barColumnsMin = 10

  var hint: ResumeHint

  // MARK: On a terminal

  /// One line per location, none wider than `columns`; at most `rowsMax` of them.
  func bars(_ rows: [Row], columns: Int, rowsMax: Int) -> [String] {
    let nameColumns = min(Self.nameColumnsMax, rows.map { DisplayWidth.of($0.progress.name) }.max() ?? 0)
    var lines = rows.map { bar($0, nameColumns: nameColumns, columns: columns) }
    if lines.count > rowsMax {
      let shown = max(0, rowsMax - 1)
      lines = Array(lines.prefix(shown)) + ["… and \(lines.count - shown) more locations"]
    }
    return lines.map { DisplayWidth.fitted($0, columns: columns) }
  }

  private func bar(_ row: Row, nameColumns: Int, columns: Int) -> String {
    let progress = row.progress
    let name = DisplayWidth.padded(DisplayWidth.fitted(progress.name, columns: nameColumns), columns: nameColumns)
    if progress.isPaused { return "\(name)  paused at \(counts(progress)): \(hint.text(progress.name))" }
    // The most telling first: what there is no room for is left out from the end.
    var parts = ["\(Figures.count(progress.done))/\(Figures.count(progress.total))" + (progress.isListing ? "+" : "")]
    if progress.failedObjects > 0 { parts.append("\(Figures.count(progress.failedObjects)) FAILED") }
    parts += [
      Figures.rate(row.objectsPerSecond), Figures.bytesRate(row.bytesPerSecond), Figures.bytes(progress.completedBytes),
    ]
    // The name, two blanks, two brackets, a blank, `100%`.
    let fixed = nameColumns + 9
    while parts.count > 1, fixed + Self.barColumnsMin + text(parts).count > columns { parts.removeLast() }
    let room = min(Self.barColumnsMax, columns - fixed - text(parts).count)
    let percent = String(repeating: " ", count: 3 - String(progress.percent).count) + "\(progress.percent)%"
    guard room >= Self.barColumnsMin else { return "\(name) \(percent)\(text(parts))" }
    let filled = room * progress.percent / 100
    let drawn = String(repeating: "#", count: filled) + String(repeating: "-", count: room - filled)
    return "\(name)  [\(drawn)] \(percent)\(text(parts))"
  }

  private func text(_ parts: [String]) -> String { parts.map { "  " + $0 }.joined() }

  private func counts(_ progress: LocationProgress) -> String {
    "\(Figures.count(progress.done)) of \(Figures.count(progress.total)) objects"
  }

  // MARK: In a log

  /// One sentence per location.
  func sentences(_ rows: [Row]) -> [String] { rows.map { sentence($0) } }

  private func sentence(_ row: Row) -> String {
    let progress = row.progress
    if progress.isPaused { return "\(progress.name): paused at \(counts(progress)); \(hint.text(progress.name))" }
    var parts = [
      progress.isListing
        ? "\(counts(progress)) found so far" : "\(progress.percent)% of \(Figures.count(progress.total)) objects",
      Figures.bytes(progress.completedBytes), Figures.rate(row.objectsPerSecond), Figures.bytesRate(row.bytesPerSecond),
    ]
    if progress.failedObjects > 0 { parts.append("\(Figures.count(progress.failedObjects)) FAILED") }
    return "\(progress.name): " + parts.joined(separator: ", ")
  }
}
