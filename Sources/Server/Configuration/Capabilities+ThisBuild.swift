// What is compiled into this binary. A part that lands adds its word here, and nothing else has to change.

extension Capabilities {
  static let thisBuild = Capabilities(
    locationTypes: [.file, .s3, .noop],
    sourceTypes: [.file, .s3],
    roles: [.api, .queueProcessor, .statusProcessor, .populator],
    externalServers: true)
}
