// A block of lines at the bottom of a terminal, redrawn in place: each frame is one text, in which every line clears only
// the rest of itself, so nothing flickers. Pure: it says what to write, not where.

struct TerminalBlock {
  private static let escape = "\u{1B}["
  private var height = 0
  private var columns = 0

  /// - Parameters:
  ///   - lines: none wider than `columns`.
  ///   - above: lines that stay, printed above the block.
  mutating func frame(_ lines: [String], columns: Int, above: [String] = []) -> String {
    var text = ""
    if columns == self.columns, height > 0 {
      text += "\(Self.escape)\(height)A\r"
    } else if height > 0 {
      // Another width has wrapped the old lines to nobody knows how many: they are left where they are.
      text += "\r"
    }
    for line in above + lines { text += line + "\(Self.escape)K\n" }
    // Whatever is left of a taller block.
    text += "\(Self.escape)J"
    height = lines.count
    self.columns = columns
    return text
  }
}
