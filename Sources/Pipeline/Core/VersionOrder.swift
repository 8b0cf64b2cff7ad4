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
    first.utf8.count == second.utf8.count
      && [first, second].allSatisfy { id in
        id.utf8.count >= 20 && id.utf8.prefix(20).allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      }
  }
}
