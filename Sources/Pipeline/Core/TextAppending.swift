// Text into bytes.

extension [UInt8] {
  /// The text's UTF-8 in one copy: `append(contentsOf:)` and `+=` with `utf8` go through an iterator.
  public mutating func append(text: String) {
    // Unsafe: the pointer does not outlive the call.
    let isDone: Void? = unsafe text.utf8.withContiguousStorageIfAvailable { unsafe append(contentsOf: $0) }
    if isDone == nil { append(contentsOf: text.utf8) }
  }
}
