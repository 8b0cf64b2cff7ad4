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
        let code = file.code(index)
        let name = Self.sharedType(declaredIn: code) ?? (Self.isStaticLock(code) ? Self.type(around: index, in: file) : nil)
        guard let name, !listed.contains("`\(name)`") else { continue }
        Issue.record("\(file):\(index + 1): the README's concurrency surface lacks `\(name)`")
      }
    }
  }

  /// The name of the type a line declares if several threads may use it: an actor, a Sendable class, a struct that is Sendable on our
  /// word alone.
  static func sharedType(declaredIn line: Substring) -> String? {
    guard let (kind, name) = declaration(in: line) else { return nil }
    let isShared =
      switch kind {
      case "actor": true
      case "class": line.contains("Sendable")
      case "struct": line.contains("@unchecked " + "Sendable")
      default: false
      }
    return isShared ? name : nil
  }

  /// State of the process, whatever its type is otherwise.
  private static func isStaticLock(_ line: Substring) -> Bool { line.contains("static let") && line.contains("= Lock") }

  /// The nearest that is declared above and less indented.
  private static func type(around index: Int, in file: SourceFile) -> String? {
    func indent(_ index: Int) -> Int { file.lines[index].prefix { $0 == " " }.count }
    let above = file.lines.indices[..<index].reversed().lazy.filter { indent($0) < indent(index) }
    return above.compactMap { declaration(in: file.code($0))?.name }.first
  }

  private static func declaration(in line: Substring) -> (kind: Substring, name: String)? {
    let words = line.split { $0 == " " || $0 == ":" || $0 == "<" }
    let kinds: Set<Substring> = ["class", "actor", "struct", "enum", "extension"]
    guard let keyword = words.firstIndex(where: kinds.contains), keyword + 1 < words.count else { return nil }
    let modifiers: Set<Substring> = ["public", "internal", "private", "fileprivate", "final"]
    guard words[..<keyword].allSatisfy(modifiers.contains) else { return nil }
    return (words[keyword], String(words[keyword + 1]))
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
