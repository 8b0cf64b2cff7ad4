// The testing macros rebuild their argument as a closure, in which a mutating call does not compile. These take the
// result of the call instead and point at the caller's line.

import Testing

func unwrap<Value>(_ value: Value?, at location: SourceLocation = #_sourceLocation) throws -> Value {
  try #require(value, sourceLocation: location)
}

func expectEqual<Value: Equatable>(
  _ value: Value, _ expected: Value, _ note: @autoclosure () -> String = "", at location: SourceLocation = #_sourceLocation
) {
  if value != expected { Issue.record("\(value) is not \(expected) \(note())", sourceLocation: location) }
}
