// What the configuration reader has to say about a file.
//
// A problem names its place the way compilers do (`file:line:column: error: field: message`), so that editors can
// jump to it. Notes never stop anything; one error does. A message never quotes the value of a secret field.
// This file prints nothing: whoever asked for the check decides where the lines go.

/// A place in a text file; both numbers count from 1.
struct Position: Comparable, Hashable, Sendable {
  var line: Int
  var column: Int

  static let start = Position(line: 1, column: 1)

  static func < (left: Position, right: Position) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }
}

/// One remark about one place in a file.
struct Diagnostic: Equatable, Sendable, CustomStringConvertible {
  enum Severity: String, Sendable { case note, error }

  var severity: Severity
  var file: String
  var position: Position
  /// The field's full path, `extensions.replication.source.path`; empty for the file as a whole.
  var field: String
  var message: String

  var description: String {
    let place = "\(file):\(position.line):\(position.column): \(severity.rawValue): "
    return field.isEmpty ? place + message : place + field + ": " + message
  }
}

/// Collects the remarks of one load, so that all of them are reported at once.
///
/// - Thread: the loading one only (not Sendable).
final class Diagnostics {
  private(set) var all: [Diagnostic] = []

  var hasErrors: Bool { all.contains { $0.severity == .error } }

  /// In the order of the file(s), which is the order in which a person mends them.
  var sorted: [Diagnostic] {
    all.enumerated().sorted { left, right in
      let (a, b) = (left.element, right.element)
      if a.file != b.file { return left.offset < right.offset }
      return a.position == b.position ? left.offset < right.offset : a.position < b.position
    }.map(\.element)
  }

  func add(_ severity: Diagnostic.Severity, file: String, at position: Position, field: String, _ message: String) {
    all.append(Diagnostic(severity: severity, file: file, position: position, field: field, message: message))
  }
}
