// The process's environment as a dictionary, taken where a command starts and passed on from there.

internal import Foundation

enum Environment {
  static var variables: [String: String] { ProcessInfo.processInfo.environment }
}
