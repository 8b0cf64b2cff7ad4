// One section (mapping) of a configuration file, read field by field.
//
// A getter never throws: what is wrong is recorded with its line, column and path, and the default comes back, so one run
// reports every problem of a file. Fields nobody asked for become notes when the section is finished. `null` counts as
// absent. Numbers and booleans may be quoted, as Backbeat's validator accepts them.

internal import Yams

/// What one load shares: the file's name, the remarks, the environment.
final class LoadContext {
  let file: String
  /// Where relative paths in the file start, with a trailing slash.
  let directory: String
  let environment: [String: String]
  let diagnostics: Diagnostics

  init(file: String, directory: String, environment: [String: String], diagnostics: Diagnostics) {
    self.file = file
    self.directory = directory
    self.environment = environment
    self.diagnostics = diagnostics
  }

  /// A path of the file, made absolute.
  func resolve(_ path: String) -> String { path.hasPrefix("/") ? path : directory + path }
}

/// - Thread: the loading one only (not Sendable).
final class Section {
  let path: String
  let position: Position
  /// False for a section the file does not have: every getter then gives its default.
  let isPresent: Bool
  let context: LoadContext
  private let fields: [Field]
  private var asked: Set<String> = []

  private struct Field {
    var name: String
    var position: Position
    var value: Node
  }

  /// The root of a document.
  convenience init(root: Node, context: LoadContext) {
    self.init(path: "", position: .start, node: root, context: context)
  }

  private init(path: String, position: Position, node: Node?, context: LoadContext) {
    self.path = path
    self.position = position
    self.context = context
    isPresent = node != nil
    fields = (node?.mapping ?? [:]).compactMap { key, value in
      guard let name = key.scalar?.string else {
        context.diagnostics.add(
          .error, file: context.file, at: key.mark.map(Position.init) ?? position, field: path,
          "a field's name must be text, not \(key.kindName)")
        return nil
      }
      return Field(name: name, position: value.mark.map(Position.init) ?? key.mark.map(Position.init) ?? position, value: value)
    }
  }

  // MARK: Remarks

  func error(_ name: String, _ message: String) {
    context.diagnostics.add(.error, file: context.file, at: position(of: name), field: fieldPath(name), message)
  }

  func note(_ name: String, _ message: String) {
    context.diagnostics.add(.note, file: context.file, at: position(of: name), field: fieldPath(name), message)
  }

  /// Says that a field must be there. Points at the section, as the field has no place of its own.
  func missing(_ name: String, _ why: String = "") {
    error(name, why.isEmpty ? "is required" : "is required \(why)")
  }

  /// The place of a field's value; the section's own when the field is absent or the name empty.
  func position(of name: String) -> Position {
    fields.first { $0.name == name }?.position ?? position
  }

  func fieldPath(_ name: String) -> String {
    if name.isEmpty { return path }
    return path.isEmpty ? name : "\(path).\(name)"
  }

  // MARK: Getters

  var names: [String] { fields.map(\.name) }

  /// Whether the field is there and not null. Counts as asked for.
  func has(_ name: String) -> Bool { node(name) != nil }

  /// - Parameter mayBeEmpty: "" counts as absent instead of being an error.
  func string(_ name: String, mayBeEmpty: Bool = false) -> String? {
    guard let node = node(name) else { return nil }
    guard let scalar = node.scalar else {
      error(name, "must be text, not \(node.kindName)")
      return nil
    }
    // Backbeat writes an unset password or certificate as "".
    if scalar.string.isEmpty && mayBeEmpty { return nil }
    if scalar.string.isEmpty || scalar.string.utf8.contains(0) {
      error(name, scalar.string.isEmpty ? "must not be empty" : "must not hold a NUL")
      return nil
    }
    return scalar.string
  }

  func string(_ name: String, default value: String) -> String { string(name) ?? value }

  func int(_ name: String, in range: ClosedRange<Int>) -> Int? {
    guard let text = scalarText(name, wanted: "a whole number") else { return nil }
    guard let value = Int(text), range.contains(value) else {
      error(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound), not “\(text)”")
      return nil
    }
    return value
  }

  func int(_ name: String, in range: ClosedRange<Int>, default value: Int) -> Int { int(name, in: range) ?? value }

  func number(_ name: String, in range: ClosedRange<Double>, default value: Double) -> Double {
    guard let text = scalarText(name, wanted: "a number") else { return value }
    guard let number = Double(text), range.contains(number) else {
      error(name, "must be a number from \(range.lowerBound) to \(range.upperBound), not “\(text)”")
      return value
    }
    return number
  }

  func bool(_ name: String, default value: Bool) -> Bool {
    guard let text = scalarText(name, wanted: "true or false") else { return value }
    switch text {
    case "true", "True", "TRUE": return true
    case "false", "False", "FALSE": return false
    default:
      error(name, "must be true or false, not “\(text)”")
      return value
    }
  }

  /// One of an enumeration's words, or nil when absent or wrong.
  func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, _ type: Choice.Type) -> Choice?
  where Choice.RawValue == String {
    guard let text = scalarText(name, wanted: "text") else { return nil }
    guard let choice = Choice(rawValue: text) else {
      let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      error(name, "must be one of \(words), not “\(text)”")
      return nil
    }
    return choice
  }

  /// The section of that name; an absent one (with defaults only) when the file has none or something else there.
  func section(_ name: String) -> Section {
    let node = node(name)
    if let node, node.mapping == nil {
      error(name, "must be a section, not \(node.kindName)")
      return Section(path: fieldPath(name), position: position(of: name), node: nil, context: context)
    }
    return Section(path: fieldPath(name), position: position(of: name), node: node, context: context)
  }

  /// The items of a list of sections; empty when absent or wrong.
  func sections(_ name: String) -> [Section] {
    list(name, of: "sections").enumerated().compactMap { index, node in
      let itemPath = "\(fieldPath(name))[\(index)]"
      let itemPosition = node.mark.map(Position.init) ?? position(of: name)
      guard node.mapping != nil else {
        context.diagnostics.add(
          .error, file: context.file, at: itemPosition, field: itemPath, "must be a section, not \(node.kindName)")
        return nil
      }
      return Section(path: itemPath, position: itemPosition, node: node, context: context)
    }
  }

  /// The items of a list of texts, each mapped by `read`; where it gives nil, an error saying what is wanted.
  func items<Item>(_ name: String, wanted: String, _ read: (String) -> Item?) -> [Item] {
    list(name, of: wanted).enumerated().compactMap { index, node in
      if let text = node.scalar?.string, let item = read(text) { return item }
      let what = node.scalar.map { "“\($0.string)”" } ?? node.kindName
      context.diagnostics.add(
        .error, file: context.file, at: node.mark.map(Position.init) ?? position(of: name),
        field: "\(fieldPath(name))[\(index)]", "must be \(wanted), not \(what)")
      return nil
    }
  }

  /// Whether the field holds a list.
  func isList(_ name: String) -> Bool { node(name)?.sequence != nil }

  /// Ends the reading of this section: what was not asked for is noted.
  ///
  /// - Parameter unused: names that Backbeat has here and Downbeat has no use for.
  func finish(unused: Set<String> = []) {
    for field in fields where !asked.contains(field.name) {
      if unused.contains(field.name) {
        note(field.name, "not used by Downbeat")
      } else if let likely = asked.filter({ editDistance($0, field.name) <= min(2, field.name.utf8.count / 3) }).min() {
        note(field.name, "unknown field, ignored (did you mean “\(likely)”?)")
      } else {
        note(field.name, "unknown field, ignored")
      }
    }
  }

  private func node(_ name: String) -> Node? {
    asked.insert(name)
    guard let value = fields.first(where: { $0.name == name })?.value else { return nil }
    if case .scalar(let scalar) = value, scalar.style == .plain, ["", "~", "null", "Null", "NULL"].contains(scalar.string) {
      return nil
    }
    return value
  }

  private func list(_ name: String, of wanted: String) -> [Node] {
    guard let node = node(name) else { return [] }
    guard let sequence = node.sequence else {
      error(name, "must be a list of \(wanted), not \(node.kindName)")
      return []
    }
    return Array(sequence)
  }

  private func scalarText(_ name: String, wanted: String) -> String? {
    guard let node = node(name) else { return nil }
    guard let scalar = node.scalar else {
      error(name, "must be \(wanted), not \(node.kindName)")
      return nil
    }
    return scalar.string
  }
}

extension Position {
  init(_ mark: Mark) { self.init(line: mark.line, column: mark.column) }
}

extension Node {
  /// What a person would call it.
  var kindName: String {
    switch self {
    case .scalar: "text"
    case .mapping: "a section"
    case .sequence: "a list"
    case .alias: "an alias"
    }
  }
}

/// Levenshtein distance, for “did you mean”.
private func editDistance(_ left: String, _ right: String) -> Int {
  let (left, right) = (Array(left.utf8), Array(right.utf8))
  var row = Array(0...right.count)
  for (i, a) in left.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for (j, b) in right.enumerated() {
      let next = min(row[j] + 1, row[j + 1] + 1, diagonal + (a == b ? 0 : 1))
      diagonal = row[j + 1]
      row[j + 1] = next
    }
  }
  return row[right.count]
}
