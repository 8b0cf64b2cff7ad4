// How a command ends: one sentence on standard error and one exit code.

internal import CLinux
internal import Glibc

/// The exit codes of every command.
enum ExitStatus {
  static let done: Int32 = 0
  /// Something failed while running: port in use, server unreachable, a 202, unhealthy, an object FAILED.
  static let failed: Int32 = 1
  /// Wrong usage or configuration, a missing path, a refused directory.
  static let usage: Int32 = 2
}

/// Ends a command with a message.
struct CommandFailure: Error, Equatable, CustomStringConvertible {
  var description: String
  var status: Int32

  /// What the caller asked for cannot be: exit 2.
  static func usage(_ message: String) -> CommandFailure { CommandFailure(description: message, status: ExitStatus.usage) }

  /// What was asked for did not work: exit 1.
  static func running(_ message: String) -> CommandFailure { CommandFailure(description: message, status: ExitStatus.failed) }
}

/// Ends a command whose output has said everything already.
struct SilentExit: Error, Equatable {
  var status: Int32
}

enum StandardError {
  /// Writes one line, whole, after everything printed so far (both streams may be the same file).
  static func line(_ text: String) {
    fflush(nil)
    let bytes = Array((text + "\n").utf8)
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { write(2, $0.baseAddress! + done, $0.count - done) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return }  // nobody is left to tell
      done += count
    }
  }
}
