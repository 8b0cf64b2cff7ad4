// `#expect` cannot hold a call that mutates a struct; this can.
import Testing

func check(_ condition: Bool, _ comment: Comment? = nil, at location: SourceLocation = #_sourceLocation) {
  #expect(condition, comment, sourceLocation: location)
}
