// What is compiled into this binary. A part that lands adds its word here, and nothing else has to change.

extension Capabilities {
  static let thisBuild = Capabilities(
    locationTypes: [.file, .noop],
    sourceTypes: [.file],
    roles: [.api, .queueProcessor, .statusProcessor, .populator],
    externalServers: true)
}
