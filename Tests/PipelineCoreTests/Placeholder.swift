import Testing

@Test func placeholder_PipelineCoreTests() {}
