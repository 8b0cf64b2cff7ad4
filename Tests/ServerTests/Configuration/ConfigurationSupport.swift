import TestSupport
import Testing

@testable import Server

/// Loads a text as `config.yaml` in a directory of its own and gives the remarks without that directory's name.
func load(
  _ text: String, embedded: Bool = true, capabilities: Capabilities = .everything, roles: Set<Role>? = nil,
  environment: [String: String] = [:], neighbours: [String: String] = [:]
) -> (configuration: Configuration?, remarks: [String]) {
  let directory = TemporaryDirectory()
  for (name, content) in neighbours { directory.write(name, content) }
  let file = directory.write("config.yaml", text)
  let loaded = ConfigurationLoader.load(
    path: file,
    purpose: ConfigurationPurpose(capabilities: capabilities, embedded: embedded, roles: roles ?? capabilities.roles),
    environment: environment)
  let prefix = directory.path + "/"
  let remarks = loaded.diagnostics.map { diagnostic in
    var short = diagnostic
    if short.file.hasPrefix(prefix) { short.file.removeFirst(prefix.count) }
    return short.description.split(separator: prefix).joined()
  }
  return (loaded.configuration, remarks)
}

/// One row of a table: a file and everything that must be said about it.
struct RemarkCase: CustomTestStringConvertible, Sendable {
  var name: String
  var text: String
  var remarks: [String]
  var embedded = true
  var capabilities = Capabilities.everything
  var environment: [String: String] = [:]
  var neighbours: [String: String] = [:]

  var testDescription: String { name }

  func check(sourceLocation: SourceLocation = #_sourceLocation) {
    let loaded = load(
      text, embedded: embedded, capabilities: capabilities, environment: environment, neighbours: neighbours)
    #expect(loaded.remarks == remarks, sourceLocation: sourceLocation)
    let hasError = remarks.contains { $0.contains(": error: ") }
    #expect((loaded.configuration == nil) == hasError, sourceLocation: sourceLocation)
  }
}

extension TemporaryDirectory {
  /// Writes a file below the directory and returns its path.
  @discardableResult
  func write(_ name: String, _ text: String) -> String {
    let file = path + "/" + name
    do { try writeFile(file, text) } catch { preconditionFailure("\(error)") }
    return file
  }
}
