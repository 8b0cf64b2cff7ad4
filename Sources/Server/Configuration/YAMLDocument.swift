// Reads a YAML or JSON file (JSON is YAML here) into a tree with positions.
//
// Everything that can go wrong before the first field is looked at becomes one diagnostic: unreadable, too large, not
// UTF-8, syntax, a key twice, more than one document, no section at the top.

internal import Yams

enum YAMLDocument {
  /// The root mapping, or nil after recording why not. An empty file is an empty mapping.
  static func read(_ path: String, bytesMax: Int, diagnostics: Diagnostics) -> Node? {
    func fail(_ message: String, at position: Position = .start, field: String = "") -> Node? {
      diagnostics.add(.error, file: path, at: position, field: field, message)
      return nil
    }
    let text: String
    do { text = try BoundedFile.readText(path, bytesMax: bytesMax) } catch { return fail(error.description) }
    do {
      guard let root = try compose(yaml: text) else { return Node([] as [(Node, Node)]) }
      if root.mapping != nil { return root }
      if root.scalar?.string.isEmpty == true { return Node([] as [(Node, Node)]) }
      return fail("the file must hold fields at its top, not \(root.kindName)", at: root.mark.map(Position.init) ?? .start)
    } catch let error as YamlError {
      let problem = describe(error)
      return fail(problem.message, at: problem.position, field: problem.field)
    } catch {
      return fail("\(error)")
    }
  }

  private static func describe(_ error: YamlError) -> (message: String, position: Position, field: String) {
    switch error {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let around = context.map { " (\($0.text.trimmed) that starts at line \($0.mark.line))" } ?? ""
      return (problem + around, Position(mark), "")
    case .duplicatedKeysInMapping(let duplicates, let context):
      return ("is given more than once", Position(context.mark), duplicates.first ?? "")
    case .reader(let problem, let offset, _, let text): return (problem, position(at: offset ?? 0, in: text), "")
    default: return ("\(error)", .start, "")
    }
  }

  private static func position(at offset: Int, in text: String) -> Position {
    let lines = text.prefix(offset).split(separator: "\n", omittingEmptySubsequences: false)
    return Position(line: max(1, lines.count), column: (lines.last?.count ?? 0) + 1)
  }
}
