// `downbeat check-config`: what `serve` would say about a configuration, without starting anything.

internal import ArgumentParser
internal import CLinux
internal import Glibc
internal import HTTP

struct CheckConfig: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check-config",
    abstract: "Checks a configuration file and prints every note and error in it.",
    discussion: """
      Each line is FILE:LINE:COLUMN: note|error: FIELD: MESSAGE. Notes name fields that have no effect. Exit code 0: \
      `serve` would start with this file; 2: it would not.
      """)

  @Argument(help: ArgumentHelp("The configuration, YAML or JSON.", valueName: "file"), completion: .file())
  var file: String

  @OptionGroup var mode: ModeOptions

  func run() throws {
    let purpose = try mode.checkPurpose()
    let loaded = ConfigurationLoader.load(
      path: file, purpose: purpose, environment: Environment.variables)
    for diagnostic in loaded.diagnostics { print(diagnostic) }
    let errors = loaded.diagnostics.count { $0.severity == .error }
    guard let configuration = loaded.configuration else {
      throw CommandFailure.usage("\(file): \(errors) \(errors == 1 ? "error" : "errors")")
    }
    print("\(file): good. \(Self.summary(configuration))")
  }

  /// One sentence on what the file makes the daemon do, so that a surprising file shows itself.
  static func summary(_ configuration: Configuration) -> String {
    let locations = configuration.replication.locations
    let served = locations.filter { !$0.isDisabled }.map { "\($0.site) (\($0.type.rawValue))" }
    let disabled = locations.count - served.count
    return
      "Node \(configuration.nodeID), API on \(HostPort(host: configuration.server.bindAddress.description, port: configuration.server.port)), "
      + (served.isEmpty ? "no location to serve" : "serving \(served.joined(separator: ", "))")
      + (disabled == 0 ? "." : "; \(disabled) disabled.")
  }
}
