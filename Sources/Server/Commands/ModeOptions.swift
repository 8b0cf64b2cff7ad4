// `--embedded` and `--roles`, shared by `serve` and `check-config`, because both decide what a configuration must hold.

internal import ArgumentParser

struct ModeOptions: ParsableArguments {
  @Flag(help: "Broker, control bus and state store inside this process: no Kafka, Redis or ZooKeeper to install.")
  var embedded = false

  @Option(
    help: ArgumentHelp(
      "Which parts this node runs, separated by commas: \(Role.allCases.map(\.rawValue).joined(separator: ", ")). All that this build has by default.",
      valueName: "list"))
  var roles: String?

  /// For `serve`.
  ///
  /// - Errors: a `CommandFailure` for a role or mode that this build cannot serve.
  func purpose(capabilities: Capabilities = .thisBuild) throws(CommandFailure) -> ConfigurationPurpose {
    if !embedded && !capabilities.externalServers {
      throw .usage("this build serves embedded mode only: add --embedded")
    }
    return ConfigurationPurpose(
      capabilities: capabilities, embedded: embedded, roles: try chosenRoles(from: capabilities.roles))
  }

  /// For `check-config`: the one mode a build has need not be named.
  func checkPurpose(capabilities: Capabilities = .thisBuild) throws(CommandFailure) -> ConfigurationPurpose {
    ConfigurationPurpose(
      capabilities: capabilities, embedded: embedded || !capabilities.externalServers,
      roles: try chosenRoles(from: capabilities.roles))
  }

  private func chosenRoles(from served: Set<Role>) throws(CommandFailure) -> Set<Role> {
    guard let roles else { return served }
    var chosen: Set<Role> = []
    for word in roles.split(separator: ",", omittingEmptySubsequences: false).map(\.trimmed) {
      guard let role = Role(rawValue: word) else {
        throw .usage("--roles: “\(word)” is no role; there are \(Role.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      guard served.contains(role) else { throw .usage("--roles: this build does not serve the role “\(word)”") }
      chosen.insert(role)
    }
    return chosen
  }
}
