import Testing

@Test func placeholder_Simulation() {}
