// Which of two versions of an object is the later one, by their ids or else by when they were made.

/// Raw version ids begin with a 14-digit time and a 6-digit sequence, both counted down.
public enum VersionOrder {
  /// - Parameter modified: ISO 8601; empty if unknown.
  public static func isLater(_ ours: String?, _ modified: String, than asked: String?, _ askedModified: String) -> Bool {
    guard let ours, let asked, ours != asked else { return false }
    // Version ids count down, so the smaller one is the later; ids of another form are ordered by time.
    if isComparable(ours, asked) { return ours < asked }
    return !modified.isEmpty && !askedModified.isEmpty && modified > askedModified
  }

  public static func isComparable(_ first: String, _ second: String) -> Bool {
    first.utf8.count == second.utf8.count && countsDown(first) && countsDown(second)
  }

  /// Whether an id begins with the digits that count down.
  public static func countsDown(_ id: String) -> Bool {
    let octets = id.utf8.span
    guard octets.count >= digits else { return false }
    for index in 0..<digits where !ByteScan.isDigit(octets[index]) { return false }
    return true
  }

  private static let digits = 20
}
