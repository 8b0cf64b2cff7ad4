// What a quickstart says at its end: a row per location, what FAILED and why, and what the verification found. Pure.

internal import PipelineCore
internal import Pipeline

struct QuickstartSummary: Sendable {
  /// FAILED objects named here; the list has all of them.
  static let failuresShownMax = 10

  struct Failures: Sendable {
    var location: String
    /// Newest first; at most `failuresShownMax` are shown.
    var records: [FailedRecord]
    /// Where the whole list is.
    var statePath: String
  }

  var elapsed: Duration
  var locations: [LocationProgress]
  var failures: [Failures] = []
  /// Kept from earlier: why deletes were not followed, directories that were made.
  var notes: [String] = []

  var lines: [String] {
    var table = TextTable(
      header: ["LOCATION", "OBJECTS", "BYTES", "RATE", "UP TO DATE", "DELETED", "SKIPPED", "FAILED"],
      rightAligned: [1, 2, 3, 4, 5, 6, 7])
    for progress in locations {
      table.add([
        progress.name, Figures.count(progress.completedObjects), Figures.bytes(progress.completedBytes),
        "\(Figures.rate(perSecond(progress.completedObjects)))  \(Figures.bytesRate(perSecond(progress.completedBytes)))",
        Figures.count(progress.upToDateObjects), Figures.count(progress.deletedObjects),
        Figures.count(progress.skippedEntries), Figures.count(progress.failedObjects),
      ])
    }
    return [""] + table.lines + ["in \(Figures.duration(elapsed))"] + failures.flatMap { failureLines($0) } + notes
  }

  private func perSecond(_ value: Int64) -> Double {
    let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
    return seconds > 0 ? Double(value) / seconds : 0
  }

  private func failureLines(_ failures: Failures) -> [String] {
    guard let total = locations.first(where: { $0.name == failures.location })?.failedObjects, total > 0 else { return [] }
    var lines = ["", "\(failures.location): \(Figures.count(total)) FAILED (listed in \(failures.statePath)/failed.log)"]
    let shown = failures.records.prefix(Self.failuresShownMax)
    lines += shown.map { "  \($0.reason): \(PrintableName.of($0.message))" }
    let hidden = total - Int64(shown.count)
    if hidden > 0 { lines.append("  … and \(Figures.count(hidden)) more") }
    return lines
  }
}

/// What the verification found, for people.
enum VerificationLines {
  static func progress(files: Int64, bytes: Int64, of total: Int64) -> String {
    "verifying: \(Figures.percent(done: files, of: total))% of \(Figures.count(total)) files, \(Figures.bytes(bytes)) read"
  }

  static func result(_ name: String, _ result: VerificationResult) -> [String] {
    var parts = ["\(Figures.count(result.identical)) files identical (\(Figures.bytes(result.identicalBytes)))"]
    for (count, what) in [
      (result.missing, "missing"), (result.differing, "different"), (result.unreadable, "unreadable"),
      (result.changedMeanwhile, "changed meanwhile"), (result.kept, "kept although deleted in the source"),
      (result.foreign, "not ours"),
    ] where count > 0 {
      parts.append("\(Figures.count(count)) \(what)")
    }
    if result.foreign == 0, result.kept == 0, result.isIdentical { parts.append("nothing else there") }
    let wrong = result.missing + result.differing + result.unreadable
    var lines = ["\(result.isIdentical ? "verified" : "NOT IDENTICAL") \(name): " + parts.joined(separator: ", ")]
    lines += result.examples.map { "  \($0)" }
    let hidden = wrong - Int64(result.examples.count)
    if hidden > 0 { lines.append("  … and \(Figures.count(hidden)) more") }
    return lines
  }
}
