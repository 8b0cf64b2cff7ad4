// `downbeat quickstart`: the whole pipeline on two directories, with nothing to install or configure.

internal import ArgumentParser

struct Quickstart: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Replicates a directory tree into others, through the real pipeline, with nothing to configure.",
    discussion: """
      Every regular file below SOURCE_DIR is copied to the same relative path below each TARGET_DIR, and changes follow \
      until Ctrl-C. Each target is a location named after its directory; while it runs, \
      `downbeat pause NAME`, `resume NAME`, `status` and `top` work from another terminal. State, pauses and failures of a \
      target live in TARGET_DIR/.downbeat, so it can be stopped and started at any time; what is already there is not \
      copied again. SOURCE_DIR is never written to.

      A target must be empty or have been used with the same source before. Files in it that downbeat did not write are \
      never deleted, and never overwritten without --force.
      """)

  @Argument(help: ArgumentHelp("The tree to replicate.", valueName: "source_dir"), completion: .directory)
  var source: String

  @Argument(help: ArgumentHelp("Where to. Created when missing.", valueName: "target_dir"), completion: .directory)
  var targets: [String]

  @Option(help: ArgumentHelp("Port of the API on 127.0.0.1; 0 lets the system choose one.", valueName: "n"))
  var port = 8900

  @Flag(help: "End when everything is copied: exit code 0, or 1 if anything FAILED.")
  var once = false

  @Flag(help: "Use targets of another source, and overwrite files in them that somebody else changed.")
  var force = false

  @Flag(help: "Delete from the targets what was deleted in the source.")
  var delete = false

  func validate() throws {
    if targets.isEmpty { throw ValidationError("name at least one target directory") }
    guard (0...65_535).contains(port) else { throw ValidationError("--port must be from 0 to 65535") }
  }

  var options: QuickstartOptions {
    QuickstartOptions(source: source, targets: targets, port: port, once: once, force: force, delete: delete)
  }

  func run() throws {
    let status = try QuickstartDaemon.run(options)
    if status != ExitStatus.done { throw SilentExit(status: status) }
  }
}
