// `downbeat health`: is the daemon alive, and can it work?

internal import ArgumentParser

struct Health: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Asks the daemon whether it is alive and ready.",
    discussion: "Exit code 0: ready. 1: it cannot be reached, or something it needs is away; the reasons are printed.")

  @Option(help: ArgumentHelp("The daemon's API. Default: $DOWNBEAT_URL, then \(ControlURL.standard).", valueName: "url"))
  var url: String?

  @Flag(help: "Print the daemon's answer as it came.")
  var json = false

  func run() throws {
    var control = ControlOptions()
    control.url = url
    let client = try control.client()
    let ready = try client.send(.get, "/_/ready")
    let text = String(decoding: ready.body, as: UTF8.self)
    if json { print(text) }
    guard ready.status == 200 else {
      throw CommandFailure.running("\(client.url) is not ready (\(ready.status)): \(text)")
    }
    if !json { print("\(client.url): ready") }
  }
}
