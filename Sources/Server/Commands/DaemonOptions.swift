// What the commands that run the daemon hand to the wiring: checked, absolute, complete.
//
// The commands parse and validate, the wiring builds and runs. Nothing here opens a socket, makes a directory or starts a
// thread.

/// `downbeat serve`.
struct ServeOptions: Sendable {
  var configuration: Configuration
  /// Where it was read from, for SIGHUP.
  var configurationPath: String
  var purpose: ConfigurationPurpose
  /// Absolute.
  var stateDirectory: String
  /// What the reader had to say besides errors; the log begins with it.
  var notes: [Diagnostic]
  /// The environment of the first load, so that a reload sees the same one.
  var environment: [String: String]

  /// Reads the file again, for SIGHUP. With errors in it, `configuration` is nil and the daemon keeps the one it has.
  ///
  /// - Blocking: on the disk, for a small file.
  func reload() -> LoadedConfiguration {
    ConfigurationLoader.load(path: configurationPath, purpose: purpose, environment: environment)
  }
}

/// `downbeat quickstart`.
struct QuickstartOptions: Equatable, Sendable {
  /// As typed: the guards resolve and judge both.
  var source: String
  var targets: [String]
  /// 0 lets the kernel choose.
  var port: Int
  /// End when everything is COMPLETED instead of following changes.
  var once: Bool
  /// Take over targets of another source, overwrite copies somebody changed.
  var force: Bool
  /// Deletes follow too.
  var delete: Bool
}
