import Testing

@Test func placeholder_ReactorTests() {}
