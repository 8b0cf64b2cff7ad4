// What every control command takes: where the daemon is, which service, how to print.

internal import ArgumentParser

struct ControlOptions: ParsableArguments {
  enum Service: String, CaseIterable, ExpressibleByArgument { case crr, ingestion, lifecycle }

  @Option(
    help: ArgumentHelp(
      "The daemon's API. Default: $DOWNBEAT_URL, then \(ControlURL.standard).", valueName: "url"))
  var url: String?

  @Option(help: "The service whose locations are meant.")
  var service = Service.crr

  @Flag(help: "Print the daemon's answer as it came, one JSON document.")
  var json = false

  func client(environment: [String: String] = Environment.variables) throws(CommandFailure) -> ControlClient {
    let fromEnvironment = environment["DOWNBEAT_URL"].flatMap { $0.isEmpty ? nil : $0 }
    return ControlClient(url: try ControlURL(url ?? fromEnvironment ?? ControlURL.standard))
  }

  /// `/_/{service}/{verb}/{location}`, the location percent-encoded; nil and `all` mean all of them.
  func path(_ verb: String, _ location: String?, _ suffix: String = "") -> String {
    "/_/\(service.rawValue)/\(verb)/\(ControlURL.segment(location ?? "all"))\(suffix)"
  }

  /// Prints an answer's body, for `--json`.
  func printBody(_ reply: HTTPReply) { print(String(decoding: reply.body, as: UTF8.self)) }
}

/// Refuses what cannot be a location before asking the daemon, so that the message is about the argument.
struct LocationArgument: ExpressibleByArgument {
  var name: String

  init?(argument: String) {
    guard argument == "all" || NodeName.locationProblem(argument) == nil else { return nil }
    name = argument
  }
}
