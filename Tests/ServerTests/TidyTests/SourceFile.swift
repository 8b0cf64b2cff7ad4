// The repository's own text files, as the tidy rules see them.

import Foundation
import Testing

struct SourceFile: CustomStringConvertible {
  /// From the repository's root: `Sources/Reactor/Reactor.swift`.
  let path: String
  let lines: [Substring]

  var description: String { path }

  /// The modules a Swift file imports, with the line numbers.
  var imports: [(module: String, line: Int)] {
    lines.enumerated().compactMap { index, line in
      let words = line.split(separator: " ")
      guard let at = words.firstIndex(of: "import"), at + 1 < words.count, !line.drop(while: { $0 == " " }).hasPrefix("//") else {
        return nil
      }
      guard
        words[..<at].allSatisfy({
          ["public", "internal", "private", "package", "fileprivate", "@testable", "@preconcurrency"].contains($0)
        })
      else { return nil }
      // `import struct Foundation.Data` imports from Foundation.
      let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias", "actor"]
      let name = kinds.contains(words[at + 1]) && at + 2 < words.count ? words[at + 2] : words[at + 1]
      return (String(name.prefix { $0 != "." }), index + 1)
    }
  }

  /// The line without its trailing comment; empty for a comment line. Strings are not examined: a rule that trips on one can
  /// be met by splitting it.
  func code(_ index: Int) -> Substring {
    let line = lines[index]
    guard let comment = line.firstRange(of: "//") else { return line }
    return line[..<comment.lowerBound]
  }

  /// Whether the line, or the one above it, carries a comment.
  func hasComment(_ index: Int) -> Bool {
    let own = lines[index].contains("//")
    let above = index > 0 && lines[index - 1].drop { $0 == " " }.hasPrefix("//")
    return own || above
  }
}

extension Substring {
  /// Whether the text occurs with no letter before it: `try` in `entry` does not count.
  func containsWord(_ text: String) -> Bool {
    ranges(of: text).contains { range in
      range.lowerBound == startIndex || !self[index(before: range.lowerBound)].isLetter
    }
  }
}

enum Repository {
  static let root: String = {
    // This file is Tests/ServerTests/TidyTests/SourceFile.swift.
    "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
  }()

  /// Text files below the given folders (or the files themselves), build products left out.
  static func files(under places: [String], suffix: String = "") throws -> [SourceFile] {
    var result: [SourceFile] = []
    for place in places {
      for path in try paths(place) where path.hasSuffix(suffix) && !path.hasSuffix("/Placeholder.swift") {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: root + "/" + path))
        // Anything that is not UTF-8 is no text of ours.
        guard let text = String(data: bytes, encoding: .utf8) else { continue }
        result.append(SourceFile(path: path, lines: text.split(separator: "\n", omittingEmptySubsequences: false)))
      }
    }
    return result.sorted { $0.path < $1.path }
  }

  private static func paths(_ place: String) throws -> [String] {
    let whole = root + "/" + place
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: whole, isDirectory: &isDirectory) else { return [] }
    if !isDirectory.boolValue { return [place] }
    let skipped: Set<String> = [".build", "out", "results", ".git"]
    return try FileManager.default.contentsOfDirectory(atPath: whole).filter { !skipped.contains($0) }.flatMap { name in
      try paths(place + "/" + name)
    }
  }
}
