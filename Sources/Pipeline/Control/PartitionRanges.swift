// The partitions a node consumes, as its report names them: `0-3,7`. Short for what groups really assign; what is not short enough
// for a report is left out of it, and who consumes those partitions is not known then. Pure.

enum PartitionRanges {
  /// Of the text in a report.
  static let bytesMax = 2_048
  /// Partitions read out of one report.
  static let countMax = 100_000

  /// - Parameter partitions: in any order. - Returns: nil for none, and for a text that would be too long.
  static func text(_ partitions: [Int32]) -> String? {
    var ranges: [ClosedRange<Int32>] = []
    for partition in partitions.sorted() {
      if let last = ranges.last, last.upperBound >= partition - 1 {
        ranges[ranges.count - 1] = last.lowerBound...max(last.upperBound, partition)
      } else {
        ranges.append(partition...partition)
      }
    }
    let text = ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    return text.isEmpty || text.utf8.count > bytesMax ? nil : text
  }

  /// - Returns: ascending as written; empty for what is none of ours.
  static func partitions(_ text: String) -> [Int32] {
    guard text.utf8.count <= bytesMax else { return [] }
    var partitions: [Int32] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int32($0) }
      guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first >= 0, first <= last,
        Int(last) - Int(first) < countMax - partitions.count
      else { return [] }
      partitions += first...last
    }
    return partitions
  }
}
