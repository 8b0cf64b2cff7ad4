// `downbeat serve`: the daemon.

internal import ArgumentParser

struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs the daemon until SIGTERM or SIGINT.",
    discussion: """
      Log lines are JSON on standard error. SIGHUP reads the configuration again: a valid one is applied, with errors the \
      old one stays. SIGTERM or SIGINT: no further entry is taken, what runs finishes and is committed, exit code 0. A \
      second signal, or shutdownTimeoutS seconds, abandons what still runs, exit code 1: it is done again at the next \
      start, nothing is lost.

      Only one daemon may use a state directory at a time.
      """)

  /// Where the configuration is without --config and $BACKBEAT_CONFIG_FILE.
  static let standardConfiguration = "/etc/downbeat/config.yaml"
  static let standardStateDirectory = "/var/lib/downbeat"

  @Option(
    help: ArgumentHelp(
      "The configuration, YAML or JSON. Default: $BACKBEAT_CONFIG_FILE, then \(standardConfiguration).", valueName: "file"),
    completion: .file())
  var config: String?

  @Option(help: ArgumentHelp("What must survive a restart is kept here.", valueName: "directory"), completion: .directory)
  var stateDir = standardStateDirectory

  @OptionGroup var mode: ModeOptions

  /// - Errors: everything wrong with the arguments or the file, after printing the file's errors one a line.
  func options(environment: [String: String] = Environment.variables) throws(CommandFailure) -> ServeOptions {
    try Self.options(config: config, stateDir: stateDir, purpose: try mode.purpose(), environment: environment)
  }

  /// The configuration as `serve` finds it, for other commands as well.
  static func options(
    config: String?, stateDir: String, purpose: ConfigurationPurpose, environment: [String: String] = Environment.variables
  ) throws(CommandFailure) -> ServeOptions {
    let fromEnvironment = environment["BACKBEAT_CONFIG_FILE"].flatMap { $0.isEmpty ? nil : $0 }
    let path = Paths.absolute(config ?? fromEnvironment ?? Self.standardConfiguration)
    let loaded = ConfigurationLoader.load(path: path, purpose: purpose, environment: environment)
    let errors = loaded.diagnostics.filter { $0.severity == .error }
    guard let configuration = loaded.configuration else {
      for error in errors { StandardError.line(error.description) }
      throw .usage("\(path): \(errors.count) \(errors.count == 1 ? "error" : "errors")")
    }
    return ServeOptions(
      configuration: configuration, configurationPath: path, purpose: purpose, stateDirectory: Paths.absolute(stateDir),
      notes: loaded.diagnostics, environment: environment)
  }

  func run() throws {
    let status = try ServeDaemon.run(try options())
    if status != ExitStatus.done { throw SilentExit(status: status) }
  }
}
