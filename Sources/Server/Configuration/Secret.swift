// A text that must never be printed: passwords, secret keys, session tokens.
//
// Every way Swift has of turning a value into text (interpolation, `print`, `dump`, `String(reflecting:)`) gives
// "<secret>"; the text itself comes out only through `reveal()`, which is easy to find with grep. This does not
// scrub memory: the text lives in an ordinary String.

/// A text that prints as `<secret>`.
struct Secret: Hashable, Sendable {
  private let text: String

  init(_ text: String) { self.text = text }

  /// The text itself, for the call that needs it. Never log or store what this returns.
  func reveal() -> String { text }

  var isEmpty: Bool { text.isEmpty }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  var description: String { "<secret>" }
  var debugDescription: String { "<secret>" }
  var customMirror: Mirror { Mirror(self, children: [], displayStyle: .struct) }
}
