// The command line: `downbeat COMMAND …`, one file a command in Commands/.
//
// swift-argument-parser reads the arguments and writes the help; this file only fixes what the operator can rely on: wrong
// usage exits 2 (the parser alone would say 64), help and version go to standard output, every failure is one line on
// standard error beginning with the program's name.

internal import ArgumentParser
internal import CLinux
internal import Glibc

@main
enum Main {
  static func main() {
    exit(Downbeat.run(Array(CommandLine.arguments.dropFirst())))
  }
}

struct Downbeat: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "downbeat",
    abstract: "Replicates objects from one place to many, and lets you pause each place on its own.",
    discussion: """
      Begin with:  downbeat quickstart SOURCE_DIR TARGET_DIR …
      Then, from another terminal:  downbeat status,  downbeat pause NAME,  downbeat resume NAME

      Exit codes: 0 done; 1 something failed while running (server unreachable, port in use, not finished in time, \
      unhealthy, an object failed); 2 wrong usage, configuration, path or directory.
      """,
    version: "downbeat \(Version.text)",
    groupedSubcommands: [
      CommandGroup(name: "Daemon", subcommands: [Quickstart.self, Serve.self, CheckConfig.self, ResyncCommand.self, Broker.self]),
      CommandGroup(
        name: "Control",
        subcommands: [
          Status.self, Pause.self, Resume.self, Schedule.self, Unschedule.self, Metrics.self, Top.self, Failed.self, Retry.self, Health.self,
        ]),
    ])

  /// The words after `downbeat`, in the order of the help.
  static var commandNames: [String] { configuration.subcommands.compactMap { $0._commandName } }

  /// Parses and runs one command line.
  ///
  /// - Returns: the process's exit code.
  /// - Blocking: for as long as the command runs.
  static func run(_ arguments: [String]) -> Int32 {
    do {
      var command = try parseAsRoot(arguments)
      try command.run()
      return ExitStatus.done
    } catch let failure as CommandFailure {
      StandardError.line("downbeat: \(failure)")
      return failure.status
    } catch let silent as SilentExit {
      return silent.status
    } catch {
      return report(error)
    }
  }

  /// What the parser has to say: help and version (exit 0), or what is wrong with the arguments (exit 2).
  private static func report(_ error: any Error) -> Int32 {
    let code = exitCode(for: error)
    let text = fullMessage(for: error)
    if code == .success {
      if !text.isEmpty { print(text) }
      return ExitStatus.done
    }
    if !text.isEmpty { StandardError.line(text) }
    return code == .validationFailure ? ExitStatus.usage : code.rawValue
  }
}
