// The README stays true: what it lists is what there is.

import Foundation
import PipelineCore
import Testing

@testable import Server

@Suite struct ReadmeTests {
  private let readme: SourceFile
  private var text: String { readme.lines.joined(separator: "\n") }

  init() throws {
    readme = try #require(try Repository.files(under: ["README.md"]).first, "there is no README.md")
  }

  /// The lines between a heading and the next one.
  private func section(_ heading: String) throws -> [Substring] {
    let start = try #require(readme.lines.firstIndex { $0.hasPrefix("## ") && $0.contains(heading) }, "no section “\(heading)”")
    return Array(readme.lines[(start + 1)...].prefix { !$0.hasPrefix("## ") })
  }

  @Test func everyDeadLetterReasonIsListedAndNoOther() throws {
    let listed = Set(
      try section("Dead letters").filter { $0.hasPrefix("| `") }.compactMap {
        $0.split(separator: "`").dropFirst().first.map(String.init)
      })
    #expect(listed == Set(DeadLetterReason.allCases.map(\.rawValue)))
  }

  @Test func everyFolderIsInTheFileMapAndEveryPathOfItExists() throws {
    let map = try section("File map")
    let named = map.filter { $0.hasPrefix("| `") }.compactMap { $0.split(separator: "`").dropFirst().first.map(String.init) }
    for path in named {
      #expect(FileManager.default.fileExists(atPath: Repository.root + "/" + path), "the file map names \(path)")
    }
    let folders = Set(
      try Repository.files(under: ["Sources"], suffix: ".swift").map {
        $0.path.split(separator: "/").dropLast().joined(separator: "/")
      })
    for folder in folders where !named.contains(where: { folder == $0 || folder == $0.dropLast($0.hasSuffix("/") ? 1 : 0) }) {
      Issue.record("the file map lacks \(folder)")
    }
  }

  /// The concurrency surface: classes that cross threads, locks, and every promise the compiler cannot check.
  @Test func theConcurrencySurfaceIsListed() throws {
    let listed = try section("Concurrency surface").joined(separator: "\n")
    for file in try Repository.files(under: ["Sources"], suffix: ".swift") {
      for index in file.lines.indices {
        guard let name = Self.sharedType(declaredIn: file.code(index)), !listed.contains("`\(name)`") else { continue }
        Issue.record("\(file):\(index + 1): the README's concurrency surface lacks `\(name)`")
      }
    }
  }

  /// The name of the Sendable class or actor a line declares, if it does.
  static func sharedType(declaredIn line: Substring) -> String? {
    let words = line.split { $0 == " " || $0 == ":" || $0 == "<" }
    guard let keyword = words.firstIndex(where: { $0 == "class" || $0 == "actor" }), keyword + 1 < words.count else { return nil }
    let modifiers: Set<Substring> = ["public", "internal", "private", "fileprivate", "final"]
    guard words[..<keyword].allSatisfy(modifiers.contains) else { return nil }
    let isShared = words[keyword] == "actor" || line.contains("Sendable")
    return isShared ? String(words[keyword + 1]) : nil
  }

  @Test func everyCommandIsMentioned() throws {
    for command in Downbeat.commandNames where !["`\(command)`", "`\(command) "].contains(where: text.contains) {
      Issue.record("the README does not mention the command \(command)")
    }
  }

  @Test func everyCodeBlockIsClosed() {
    #expect(readme.lines.count { $0.hasPrefix("```") }.isMultiple(of: 2))
  }
}
